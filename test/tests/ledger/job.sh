#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: an L2 with one vCPU does one thing after another. Before and after each, it is paused, and all that knows of its
# vCPU's time is read: the ledger in debugfs and in QEMU's query-stats, KVM's own times, and the scheduler's.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# show_vcpu: what the scheduler knows of the vCPU's thread: ns on a CPU, ns of waiting for one.
show_vcpu() { cut -d ' ' -f 1,2 "/proc/$l2_pid/task/$(cat "$l2_stats/vcpu0/pid")/schedstat"; }

# pause NAME: pauses L2 and saves these.
pause()
{
	qmp stop
	show_tables >"/out/$1.stats"
	cat "$l2_stats/halt_wait_ns" "$l2_stats/halt_poll_success_ns" "$l2_stats/halt_poll_fail_ns" >"/out/$1.halted"
	show_vcpu >"/out/$1.schedstat"
}

# phase NAME COMMAND: L2 runs COMMAND between two pauses.
phase()
{
	progress "L2 is to be $1"
	pause "$1-before"
	qmp cont
	l2 "$2"
	pause "$1-after"
	qmp cont
}

count='i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'
boot_l2
l2 'cpuid -1 -r -l 0x4FFFFFFB -s 1' >/out/abi.txt
phase busy "$count"
phase idle 'sleep 3'
phase device 'stty -F /dev/ttyS0 raw; yes | head -c 4000 >/dev/ttyS0'
while :; do :; done &
hog=$!
phase shared "$count"
kill $hog
qmp stop
show_tables >/out/end.stats
qmp query-stats '"target": "vcpu", "providers": [{"provider": "kvm", "names": ["exits", "wall_cycles", "guest_cycles", "kvm_cycles", "vmm_cycles", "halted_cycles", "preempted_cycles", "blocked_cycles", "outside_cycles"]}]'
echo "$qmp_answer" >/out/query-stats.json
qmp cont
end_l2
