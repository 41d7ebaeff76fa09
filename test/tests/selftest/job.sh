#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: runs the KVM selftests of the series and of KVM's statistics, then the former again with KVM shadowing page
# tables, with which it also emulates VMX's invalid guest states. 4 is their own exit status for "cannot run here".
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# run_selftest NAME TEST: its output and its exit status as NAME.txt and NAME.status.
run_selftest()
{
	status=0

	progress "the selftest runs ($1)"
	"/job/$2" >"/out/$1.txt" 2>&1 || status=$?
	echo $status >"/out/$1.status"
}

# run_series [PARAMETER]: the selftests of the series, with KVM loaded that way.
run_series()
{
	run_selftest "vms${1:+-$1}" exit_stats_vms_test
	run_selftest "interface${1:+-$1}" exit_stats_test
	run_selftest "ledger${1:+-$1}" exit_stats_ledger_test
	run_selftest "scenarios${1:+-$1}" exit_stats_scenarios_test
}

parameter=ept=0
[ "$(kvm_vendor)" = kvm_intel ] || parameter=npt=0
run_series
# exit_stats_vms_test has a vCPU 3 that is its VM's second one.
expect "the log names a vCPU by its ID" "lines" "$(dmesg | grep -c 'exit_stats: vm .* vcpu 3: all reasons: [0-9]* exits')" -gt 0
run_selftest statistics kvm_binary_stats_test
unload_kvm
load_kvm /modules $parameter
run_series $parameter
