#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: runs the KVM selftest of the series, then again with KVM doing more itself: on VMX it emulates invalid guest
# states instead of entering the guest with them, on SVM it shadows page tables. 4 is its own exit status for
# "cannot run here".
set -eu

# shellcheck source=test/l1/lib.sh
. /lab/lib.sh

# run_selftest NAME: its output and its exit status as NAME.txt and NAME.status.
run_selftest()
{
	status=0

	progress "the selftest runs ($1)"
	/job/exit_stats_test >"/out/$1.txt" 2>&1 || status=$?
	echo $status >"/out/$1.status"
}

parameter=unrestricted_guest=0
[ "$(kvm_vendor)" = kvm_intel ] || parameter=npt=0
run_selftest default
unload_kvm
load_kvm /modules $parameter
run_selftest $parameter
