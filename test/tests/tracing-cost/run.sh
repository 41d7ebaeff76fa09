#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what a VM-exit costs with ours and, on Debian's own modules, with tracers that count exits: a histogram of
# the tracepoint, a BPF program, perf kvm stat. In Bochs, also for SVM, where a tick of the TSC is an instruction.
# judge.py compares. Usage: [SERIES=...] [LANE=...] run.sh DIR, with the lab, L1's Debian and the selftests built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$top/test/measure/bench/build-bench.sh" "$work"
"$top/test/lab/boot-l1.sh" -b -d -t 2400 -o "$1" "${0%/*}/job.sh" "$work"/{stock.tar,patched.tar,bench-exits} ||
	not_ok "its run in L1" "it failed: see $1"
