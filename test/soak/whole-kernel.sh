#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The classic way: a whole patched kernel, of a small configuration, is built by make kernel-deb's script, its package is
# installed in a Debian (test/build-debian-l1.sh), and that boots it as L1, with an L2 that reads its exits. See
# test/jobs/kernel.sh. Prints verdicts; the logs are in build/SERIES/soak/LANE/whole-kernel.
# Usage: [KSERIES=...] [LANE=...] test/soak/whole-kernel.sh, after make lab

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=test/lib-jobs.sh
. "$top/test/lib-jobs.sh"

out=$build/soak/$lane/whole-kernel
jobs=$top/test/jobs
status=0
"$top/test/build-debian-l1.sh" kernel
rm -rf "$out"
mkdir -p "$out"
run_job "$out" -d -k "$build/debian/vmlinuz" "$jobs/kernel.sh" "$jobs/read-leaves.sh" || status=$?
judge_run whole-kernel "$out" $status
if "$top/test/check-leaves.sh" "$out" >"$out/leaves.log" 2>&1; then
	echo "ok whole-kernel: cpuid in L2 reads what L1 logs"
else
	echo "not ok whole-kernel: cpuid in L2 reads what L1 logs: $(tail -n 1 "$out/leaves.log")"
fi
