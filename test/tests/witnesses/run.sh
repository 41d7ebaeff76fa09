#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the workloads of job.sh in a Debian as L1, for judge.py to compare what has counted their exits.
# Usage: [SERIES=...] [LANE=...] run.sh DIR, with the lab and L1's Debian built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where no other code of L2 is, so that the histogram can tell its exits.
cp "$top/build/programs/exit-workload-apart" "$work/exit-workload"
xz -dcf "$(stock_module arch/x86/kernel/msr)" >"$work/msr.ko"
"$top/test/lab/boot-l1.sh" -d -t 2400 -o "$1" "${0%/*}/job.sh" "$work/exit-workload" "$work/msr.ko" ||
	not_ok "its run in L1" "it failed: see $1"
