#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: the benchmark with each kind of accounting, one CSV a kind in /out/bench-*.csv; and of the slab of KVM's vCPUs
# the bytes of an object, the objects and the pages of a slab, in /out/slab-*.txt.
# /job/stock.tar and /job/patched.tar hold the two sets of modules.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# measure NAME SET [COMMAND]: with the modules of SET loaded and COMMAND run.
measure()
{
	progress "benchmark: $1"
	load_kvm "/tmp/$2"
	${3:-:}
	/job/bench-exits >/tmp/rows
	grep , /tmp/rows >"/out/bench-$1.csv"	# without the library's own line
	awk '$1 == "kvm_vcpu" { print $4, $5, $6 }' /proc/slabinfo >"/out/slab-$1.txt"
	unload_kvm
}
account_off() { echo N >/sys/module/kvm/parameters/exit_stats; }
trace_on()
{
	echo 1 >/sys/kernel/tracing/events/kvm/kvm_exit/enable
	echo 1 >/sys/kernel/tracing/events/kvm/kvm_entry/enable
}

for set in stock patched; do
	mkdir "/tmp/$set"
	tar -xf "/job/$set.tar" -C "/tmp/$set"
done
measure unpatched stock		# once more below: in the first VM after a boot Linux 6.1 maps a page faster
measure unpatched stock
measure off patched account_off
measure on patched
measure tracepoints stock trace_on
