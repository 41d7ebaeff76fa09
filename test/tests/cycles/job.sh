#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what KVM has charged to each exit reason of one L2, and what tracing sees of the same exits: for judge.py to
# compare. Tracing is inside of what KVM measures: it begins at the tracepoint kvm_exit and ends when the vendor's
# handle_exit() returns. Its clock is the TSC, too.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
cd /sys/kernel/tracing
handler=kvm_intel:vmx_handle_exit
[ "$(kvm_vendor)" = kvm_intel ] || handler=kvm_amd:svm_handle_exit

# sum_trace: of the trace on stdin a line "NAME EXITS CYCLES" for each reason. The cycles leave out the time in which the
# vCPU's thread was not on the CPU, and that until the vCPU is loaded again, as KVM does.
sum_trace()
{
	awk '
		/^#/ { next }
		{
			for (i = 1; i < NF && $i !~ /^\[[0-9]+\]$/; i++)
				;
			tsc = $(i + 2) + 0
			event = $(i + 3)
		}
		event == "kvm_exit:" {
			name = $0
			sub(/.* reason /, "", name)
			sub(/ rip .*/, "", name)
			gsub(/ /, "_", name)
			begin = tsc
			off = out = 0
			pid = $(i - 1)
			sub(/.*-/, "", pid)
		}
		event == "sched_switch:" && index($0, "prev_pid=" pid " ") { out = tsc }
		event == "loaded:" && out && index($0, "-" pid " ") { off += tsc - out; out = 0 }
		event == "handled:" && begin {
			exits[name]++
			cycles[name] += tsc - begin - off
			begin = 0
		}
		END {
			for (name in exits)
				printf "%s %d %.0f\n", name, exits[name], cycles[name]
		}'
}

boot_l2
qmp stop
echo x86-tsc >trace_clock
echo 32768 >buffer_size_kb
printf 'r:kvm_exit_stats/%s %s\n' handled $handler loaded kvm:kvm_arch_vcpu_load >kprobe_events
for event in kvm/kvm_exit kvm_exit_stats/handled kvm_exit_stats/loaded sched/sched_switch; do
	echo 1 >events/$event/enable
done
cp "$l2_stats/exit_stats" /out/before.stats
qmp cont
progress "L2 works while L1 traces"
l2 'for i in 1 2 3 4 5; do cpuid -1 -r; done; dd if=/dev/zero of=/tmp/pages bs=1M count=24; sleep 1' >/dev/null 2>&1
qmp stop
echo 0 >tracing_on
cp "$l2_stats/exit_stats" /out/after.stats
for event in kvm/kvm_exit kvm_exit_stats/handled kvm_exit_stats/loaded sched/sched_switch; do
	echo 0 >events/$event/enable
done
sum_trace <trace >/out/traced.txt
expect "tracing has lost nothing" "events" "$(awk '/^overrun:/ { print $2 }' per_cpu/cpu0/stats)" -eq 0
echo >kprobe_events
echo local >trace_clock
echo 1408 >buffer_size_kb
echo 1 >tracing_on
qmp cont
end_l2
