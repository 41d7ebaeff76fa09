#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian: workloads in an L2 of two vCPUs, with all that counts its exits: exit_stats, histograms of the
# tracepoints, perf kvm stat, and KVM's own statistics. L2 is paused between two workloads; what they all say then is in
# /out/WORKLOAD.*, and /out/workloads lists them in their order, for judge.py to compare. Beside this lie
# exit-workload, linked at 0x5e570000, where no other code is, and msr.ko.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
events=/sys/kernel/tracing/events/kvm
control=/run/perf.control answers=/run/perf.answers

# tell_perf COMMAND: returns when perf has done it.
tell_perf()
{
	echo "$1" >&3
	read -r -t 300 <&4 || fail "perf does not answer to $1"
}

# take NAME: pauses L2 and saves what all but perf have counted.
take()
{
	local stat

	snapshot "$1"
	cat $events/kvm_msr/hist >"/out/$1.msr"
	for stat in irq_exits irq_window_exits io_exits halt_exits hypercalls; do
		echo "$stat $(cat "$l2_stats/$stat")"
	done >"/out/$1.kvm"
}

# measure NAME COMMAND [N WITNESS REASONS]: L2 runs COMMAND between two pauses. It causes N exits of these reasons, for
# which there is a count of its own: "program", of exits in the program, or "read" or "write", of the one MSR.
measure()
{
	local name="$1" perf

	progress "$1"
	echo "$1 ${*:3}" >>/out/workloads
	# From the pause on, as -D -1 starts with the events off.
	perf kvm --host stat record -p "$l2_pid" -o /tmp/perf.data -D -1 --control "fifo:$control,$answers" \
		>"/out/$1.perf-record" 2>&1 &
	perf=$!
	tell_perf enable
	qmp cont
	l2 "$2" >"/out/$1.log" || fail "$1: L2's command failed: see $1.log"
	take "$1"
	tell_perf stop
	wait $perf || fail "$1: perf failed: see $1.perf-record"
	perf kvm --host -i /tmp/perf.data stat report >"/out/$1.perf" 2>&1	# the table is on stderr
	perf script -i /tmp/perf.data -F tid,event,trace 2>"/out/$1.perf-script" | awk '
		$2 == "kvm:kvm_entry:" { last[$1] = "none" }
		$2 == "kvm:kvm_exit:" && match($0, /reason .* rip /) {
			name = substr($0, RSTART + 7, RLENGTH - 12)
			gsub(/ /, "_", name)
			seen[name]++
			last[$1] = name
		}
		END {
			for (name in seen)
				print "seen", name, seen[name]
			for (thread in last)
				print "last", last[thread], 1
		}' >"/out/$1.samples"
}

if [ "$(kvm_vendor)" = kvm_amd ]; then
	instruction=vmmcall cpuid=cpuid io=io hypercall=hypercall violation=npf mmio=npf read=msr write=msr
else
	instruction=vmcall cpuid=CPUID io=IO_INSTRUCTION hypercall=VMCALL violation=EPT_VIOLATION
	mmio="EPT_VIOLATION EPT_MISCONFIG" read=MSR_READ write=MSR_WRITE
fi
echo never >/sys/kernel/mm/transparent_hugepage/enabled		# so that each page of L2's is one exit

make -C /root/kvm-exit-stats install >/dev/null
modprobe "$(kvm_vendor)"
trace_exits
echo 'hist:keys=exit_reason if guest_rip >= 0x5e570000 && guest_rip < 0x5e580000' >>$events/kvm_exit/trigger
echo 'hist:keys=write if ecx == 0x8b' >$events/kvm_msr/trigger
# nox2apic as in survive.sh, for the reboot.
l2_kernel_args='nox2apic memmap=8M$128M' l2_qemu_args="-smp 2" l2_memory=256
boot_l2
qmp set-action '"reboot": "reset"'
l2 'insmod /job/msr.ko allow_writes=on' || fail "msr.ko does not load in L2"
mkfifo $control $answers
exec 3<>$control 4<>$answers

take start
echo start >/out/workloads
run=/job/exit-workload n=1000
measure cpuid "$run cpuid $n" $n program $cpuid
measure in "$run in $n" $n program $io
measure out "$run out $n" $n program $io
measure mmio "$run mmio $n" $n program "$mmio"
measure touch "$run touch $n" $n program $violation
measure hypercall "$run $instruction $n" $n program $hypercall
measure rdmsr "$run rdmsr $n" $n read $read
measure wrmsr "$run wrmsr $n" $n write $write
{
	measure sleep 'i=0; while [ $i -lt 50 ]; do usleep 20000; i=$((i + 1)); done'
	measure idle 'sleep 3'
	measure fork 'i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i + 1)); done'
	measure busy 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'
}
cpu1=/sys/devices/system/cpu/cpu1/online
measure hotplug "echo 0 >$cpu1 && echo 1 >$cpu1"
measure reboot 'reboot -f'
qmp cont
qmp set-action '"reboot": "shutdown"'
end_l2
