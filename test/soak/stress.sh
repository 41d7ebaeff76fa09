#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Stress in L1: VMs created and destroyed, modules reloaded and parameters written, each many times, while everything
# that shows exits is read; then memory must be back, and all slots must be KVM's exits. See test/jobs/stress.sh.
# Prints verdicts; the logs are in build/SERIES/soak/LANE/stress.
# Usage: [KSERIES=...] [LANE=vmx|svm] test/soak/stress.sh, after make lab

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=test/lib-jobs.sh
. "$top/test/lib-jobs.sh"

# Two CPUs in Bochs, so that vCPUs move between them and code is patched under them. QEMU's emulation of SVM does not
# bear that: with two CPUs the kernel dies of an int3 when its own tracepoints are switched on and off, too.
options=(-b -c 2 -t 3600)
[ "$lane" = vmx ] || options=(-t 1500)
run_soak stress stress-vms "${options[@]}" "$top"/test/jobs/{stress,read-totals,watch-exits}.sh
