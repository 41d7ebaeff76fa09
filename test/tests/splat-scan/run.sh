#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests test/scan-splats.sh with the logs of test/fixtures: the clean one passes; each file of splats/, an
# empty file and a missing one do not. Usage: test/check-scan.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

scan=$top/test/scan-splats.sh
fixtures=$top/test/fixtures

"$scan" "$fixtures/clean.txt" || die "the clean log does not pass"
for file in "$fixtures"/splats/*.txt "$fixtures/empty.txt" "$fixtures/no-such-file.txt"; do
	! "$scan" "$file" >/dev/null || die "$file passes"
	! "$scan" "$fixtures/clean.txt" "$file" >/dev/null || die "$file passes behind a clean log"
done
