#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what an L2 with two vCPUs survives, its counters do as well; and another VM starts with its own.
# Beside this lies kexec, of test/programs.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# count_smaller FILE FILE: how many numbers of the first tables are greater than those of the second.
count_smaller()
{
	awk '
		$2 == "total" { $5 = $4; $4 = $3 }	# has no name
		FNR == NR { exits[$1, $2] = $4; cycles[$1, $2] = $5; next }
		{ now_exits[$1, $2] = $4; now_cycles[$1, $2] = $5 }
		END {
			for (row in exits)
				smaller += (exits[row] > now_exits[row]) + (cycles[row] > now_cycles[row])
			print smaller + 0
		}' "$1" "$2"
}

# survived WHAT: compares L2 with what it was before.
survived()
{
	local was_session=$session was_exits=$exits

	qmp stop
	show_tables >/out/now.stats
	expect "$1: no number in debugfs became smaller" numbers "$(count_smaller /out/last.stats /out/now.stats)" -eq 0
	expect "$1: all slots are KVM's exits" total "$(total_exits)" -eq "$(cat "$l2_stats/exits")"
	qmp cont
	mv /out/now.stats /out/last.stats
	read_totals
	expect "$1: the session is the same" session "$session" = "$was_session"
	expect "$1: the guest reads more than before" exits "$exits" -gt "$was_exits"
}

# show_still: what a pause does not change.
show_still() { show_tables | awk '$2 != "wall" && $2 != "outside"'; }

# total_exits: of the VM in debugfs.
total_exits() { table_field "$l2_stats/exit_stats" total exits; }

# read_totals: in L2. Sets session and exits.
read_totals()
{
	# shellcheck disable=SC2046	# three words
	set -- $(l2 read-totals.sh)
	session=$1 exits=$2
}

# rebooted WHAT: the same, when L2 has booted since.
rebooted()
{
	local was=$boot_id

	boot_id=$(l2 'cat /proc/sys/kernel/random/boot_id')
	expect "$1: L2 booted again" boot "$boot_id" != "$was"
	survived "$1"
}

# read_vcpu1: in L2, the exits of its second vCPU because of CPUID.
read_vcpu1() { echo $(($(l2 "taskset 2 cpuid -1 -r -l 0x4FFFFFF9 -s $cpuid_reason | sed -n 's/.* eax=//; s/ .*//p'"))); }

# nox2apic: Linux 6.1 does not survive the MP table where the kernel before it has left the APIC in x2APIC mode; this
# machine has no ACPI instead.
l2_kernel_args=nox2apic l2_qemu_args="-smp 2" l2_memory=384 l2_files="job l2"
boot_l2
qmp set-action '"reboot": "reset"'
cpuid_reason=$(table_field "$l2_stats/exit_stats" cpuid reason)
boot_id=$(l2 'cat /proc/sys/kernel/random/boot_id')
read_totals
qmp stop
show_tables >/out/last.stats
qmp cont

progress "pausing L2"
qmp stop
before=$(show_still)
sleep 2
expect "pause: nothing else changes meanwhile" "tables are the same" "$([ "$(show_still)" = "$before" ] && echo yes)" = yes
qmp cont
survived "pause"

progress "taking a CPU of L2 offline"
online=/sys/devices/system/cpu/cpu1/online
vcpu1=$(read_vcpu1)
l2 "echo 0 >$online"
expect "CPU offline: it is" "CPUs" "$(l2 nproc)" -eq 1
survived "CPU offline"
l2 "echo 1 >$online"
expect "CPU online: it is" "CPUs" "$(l2 nproc)" -eq 2
survived "CPU online"
expect "CPU online: it reads more of its own than before" exits "$(read_vcpu1)" -gt "$vcpu1"

progress "resetting L2 from outside"
qmp system_reset
await_l2
rebooted "reset"

progress "L2 reboots"
l2 'reboot -f'
rebooted "reboot"

# The kernel gives a CPU one second to stop. Here that may be too short, and it would run on in what is now the new kernel's
# memory.
progress "L2 starts another kernel with kexec"
l2 "echo 0 >$online"
l2 'cd / && find job | cpio -o -H newc | cat l2/initrd - >/tmp/initrd && /job/kexec /l2/vmlinux /tmp/initrd'
rebooted "kexec"

progress "another L2 starts"
(
	first=$session first_exits=$exits
	l2_name=second l2_kernel_args="" l2_qemu_args=-S l2_memory=128 l2_files=job
	start_l2
	connect_l2
	expect "new VM: zeros before it runs" "exits" "$(total_exits)" -eq 0
	qmp cont
	await_l2
	read_totals
	expect "new VM: another session" session "$session" != "$first"
	expect "new VM: its own numbers" exits "$exits" -lt "$first_exits"
	qmp stop
	expect "new VM: all slots are KVM's exits" total "$(total_exits)" -eq "$(cat "$l2_stats/exits")"
	qmp cont
	end_l2
)
survived "another VM"

qmp set-action '"reboot": "shutdown"'
end_l2
