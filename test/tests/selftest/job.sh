#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: runs the KVM selftests of the series and of KVM's statistics, then the former again with KVM shadowing page
# tables, with which it also emulates VMX's invalid guest states. 4 is their own exit status for "cannot run here".
set -eu

# shellcheck source=test/l1/lib.sh
. /lab/lib.sh

# run_selftest NAME TEST: its output and its exit status as NAME.txt and NAME.status.
run_selftest()
{
	status=0

	progress "the selftest runs ($1)"
	"/job/$2" >"/out/$1.txt" 2>&1 || status=$?
	echo $status >"/out/$1.status"
}

parameter=ept=0
[ "$(kvm_vendor)" = kvm_intel ] || parameter=npt=0
run_selftest default exit_stats_test
run_selftest statistics kvm_binary_stats_test
unload_kvm
load_kvm /modules $parameter
run_selftest $parameter exit_stats_test
