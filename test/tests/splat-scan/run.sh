#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests test/lab/scan-splats.sh with the logs of fixtures/. Usage: run.sh

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lib.sh
. "$here/../../lib.sh"

scan=$here/../../lab/scan-splats.sh
clean=$here/fixtures/clean.txt

# finds_splats FILE...: in each of them, also behind a clean log.
finds_splats()
{
	local file

	for file; do
		if "$scan" "$file" >/dev/null || "$scan" "$clean" "$file" >/dev/null; then
			echo "$file passes"
			return 1
		fi
	done
}

verdict "a clean log passes" "$scan" "$clean"
verdict "a log with a splat does not" finds_splats "$here"/fixtures/splats/*.txt
verdict "an empty log and a missing one do not" finds_splats "$here"/fixtures/{empty,no-such-file}.txt
