#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: an L2 with one vCPU does one thing after another. Before and after each, it is paused, and all that knows of its
# vCPU's time is read: the ledger in debugfs and in QEMU's query-stats, KVM's own times, the scheduler's, the tracepoints
# where KVM_RUN begins and ends, and L2's own steal time. Meanwhile exitstat in L2 tells what L2 knows of itself.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
tracing=/sys/kernel/tracing
group=/run/cgroup/l2

# note TEXT: into the trace, with the TSC.
note() { echo "$1" >$tracing/trace_marker; }

# show_thread: what /proc knows of the vCPU's thread: ns on a CPU, ns of waiting for one, ticks in the guest.
show_thread()
{
	local thread

	thread=/proc/$l2_pid/task/$(cat "$l2_stats/vcpu0/pid")
	cut -d ' ' -f 1,2 "$thread/schedstat"
	sed 's/.*) //' "$thread/stat" | cut -d ' ' -f 41
}

# pause NAME: saves L2's ticks of steal time, pauses L2 and saves the rest.
pause()
{
	l2 "awk '/^cpu / { print \$9 }' /proc/stat" >"/out/$1.steal"
	qmp stop
	note "$1-begins"
	show_tables >"/out/$1.stats"
	note "$1-ends"
	cat "$l2_stats/halt_wait_ns" "$l2_stats/halt_poll_success_ns" "$l2_stats/halt_poll_fail_ns" >"/out/$1.halted"
	show_thread >"/out/$1.thread"
}

# phase NAME COMMAND: L2 runs COMMAND between two pauses.
phase()
{
	progress "L2 is to be $1"
	echo "$1" >>/out/phases
	pause "$1-before"
	qmp cont
	l2 "exitstat --csv -- sh -c '$2'" >"/out/$1.csv"
	pause "$1-after"
	qmp cont
}

# start_hog, end_hog: something else wants L1's CPU.
start_hog()
{
	while :; do :; done &
	hog=$!
}
end_hog() { kill $hog; }

# A disk of which a request takes five milliseconds, to swap to.
insmod /modules/configfs.ko 2>/dev/null || :	# another test may have
insmod /modules/null_blk.ko memory_backed=1 irqmode=2 completion_nsec=5000000
mkswap /dev/nullb0 >/dev/null
swapon /dev/nullb0
page_cluster=$(cat /proc/sys/vm/page-cluster)
echo 0 >/proc/sys/vm/page-cluster	# each page is a request
mkdir /run/cgroup
mount -t cgroup2 cgroup2 /run/cgroup
echo +memory >/run/cgroup/cgroup.subtree_control
mkdir $group

# KVM_RUN, _IO(KVMIO, 0x80), and nothing else that QEMU does with KVM.
echo x86-tsc >$tracing/trace_clock
echo 16384 >$tracing/buffer_size_kb
echo 'cmd == 0xae80' >$tracing/events/syscalls/sys_enter_ioctl/filter
echo 1 >$tracing/events/syscalls/sys_enter_ioctl/enable
echo 1 >$tracing/events/kvm/kvm_userspace_exit/enable

# Else the guest does something else until a page is there, or halts.
l2_kernel_args=no-kvmapf
echo $$ >$group/cgroup.procs
boot_l2
echo $$ >/run/cgroup/cgroup.procs
l2 'cpuid -1 -r -l 0x4FFFFFFB -s 1' >/out/abi.txt
l2 'cd /tmp; dd if=/dev/urandom of=data bs=64k count=32 2>/dev/null; mkfifo never'

count='i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done'
write='stty -F /dev/ttyS0 raw; yes | head -c 1500 >/dev/ttyS0'
repeat() { echo "i=0; while [ \$i -lt $1 ]; do $2; i=\$((i + 1)); done"; }
phase busy "$count"
phase idle 'sleep 3'
phase timer "$(repeat 100 'read -t 0.01 x <>/tmp/never')"
phase fork "$(repeat 50 /bin/busybox\ true)"
phase cpuid "$(repeat 5 cpuid\ -1\ \>/dev/null)"
phase memory 'dd if=/dev/zero of=/tmp/new bs=64k count=256 2>/dev/null; rm /tmp/new'
phase device "$write"
start_hog
phase shared "$count"
phase "shared-device" "$write"
end_hog
# In steps, until there is no more: to ask for all at once takes long.
qmp stop
while echo 32M >$group/memory.reclaim; do :; done 2>/dev/null
qmp cont
phase paged 'cat /tmp/data >/dev/null'

qmp stop
show_tables >/out/end.stats
qmp query-stats '"target": "vcpu", "providers": [{"provider": "kvm", "names": ["exits", "wall_cycles", "guest_cycles", "kvm_cycles", "vmm_cycles", "halted_cycles", "preempted_cycles", "blocked_cycles", "outside_cycles"]}]'
echo "$qmp_answer" >/out/query-stats.json
qmp cont
end_l2
# At each note: TSC, what it says, and up to there the cycles from KVM_RUN's returns with zero to its next calls.
awk '
	/entries-in-buffer/ { print $NF == "#P:1" ? $(NF - 1) : "?" }
	/^#/ { next }
	{ match($0, / [0-9]+: /); tsc = substr($0, RSTART + 1, RLENGTH - 3) }
	/kvm_userspace_exit: reason KVM_EXIT/ { begin = tsc }
	/sys_ioctl/ && begin { vmm += tsc - begin; times++; begin = 0 }
	/tracing_mark_write: / { printf "%.0f %s %.0f %d\n", tsc, $NF, vmm, times }' $tracing/trace >/out/notes.txt

# For the next test in this L1.
echo 0 >$tracing/events/enable
echo 0 >$tracing/events/syscalls/sys_enter_ioctl/filter
echo local >$tracing/trace_clock
echo >$tracing/trace
swapoff /dev/nullb0
echo "$page_cluster" >/proc/sys/vm/page-cluster
rmmod null_blk
rmdir $group
umount /run/cgroup
