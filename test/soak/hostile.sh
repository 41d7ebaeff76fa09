#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Hostile guests in L1: one that reads every leaf and its neighbours with every index at a border and with random
# ones, from each mode of the CPU, with and without KVM's emulator and CPUID faulting, and compares each answer with a
# model; then one that reads in a tight loop on two vCPUs, for what that does to the log and to another VM. See
# test/hostile-guest.c and test/jobs/hostile.sh. Prints verdicts; the logs are in build/SERIES/soak/LANE/hostile.
#
# The KVM selftest of the series (exit_stats_test.c) tests the rest, from ring 0 in long mode: exact numbers of each
# kind of exit, two vCPUs, two VMs, nested guests, totals that are the sum of all reasons, parameters that are off.
# Usage: [KSERIES=...] [LANE=vmx|svm] test/soak/hostile.sh, after make lab

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=test/lib-jobs.sh
. "$top/test/lib-jobs.sh"

# -b: the cost is compared where a tick of the TSC is an instruction.
bochs=()
[ "$lane" = svm ] || bochs=(-b)
run_soak hostile hostile-guest "${bochs[@]}" -t 1800 "$top/test/jobs/hostile.sh"
