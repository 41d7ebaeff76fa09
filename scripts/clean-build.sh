#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Removes what was built. The downloads and the kernel's tree with its commits stay: to fetch again, remove build/
# yourself, after 'make export'.
# Usage: clean-build.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

[ -d "$build" ] || exit 0
one_at_a_time
find "$build" -mindepth 1 -maxdepth 1 ! -name debs ! -name headers ! -name image ! -name kver ! -name linux \
	! -name lock -exec rm -rf {} +
# Beside the series' directories: what the lab and the tests wrote.
find "${build%/*}" -mindepth 1 -maxdepth 1 ! -name '[0-9]*.[0-9]*' -exec rm -rf {} +
# Ignored files only: what make made.
[ ! -d "$ktree/.git" ] || kgit clean -fdXq
