#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1, whose TSC Bochs lets one write, and QEMU does not: L2 is paused, and the TSC set back by a second. What L2's vCPU
# has spent by then must neither grow nor shrink by it, when it is read and when L2 goes on. Leaves the tables in /out.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# cycles FILE STATE: of the vCPU.
cycles() { awk -v state="$2" '$1 == "vcpu0" && $2 == state && NF == 4 { print $4 }' "/out/$1.stats"; }

# sum FILE: of all states but wall; awk's numbers have 53 bits, which the TSC does not need here.
sum() { awk '$1 == "vcpu0" && NF == 4 && $3 ~ /^[0-9]+$/ && $2 != "wall" { sum += $4 } END { printf "%.0f\n", sum }' "/out/$1.stats"; }

# set_tsc_back CYCLES: IA32_TIME_STAMP_COUNTER is MSR 0x10.
set_tsc_back()
{
	local tsc byte text=

	tsc=$(($(dd if=/dev/cpu/0/msr bs=8 skip=2 count=1 2>/dev/null | od -An -t d8) - $1))
	for byte in 0 8 16 24 32 40 48 56; do
		text="$text\\$(printf %03o $(((tsc >> byte) & 255)))"
	done
	# shellcheck disable=SC2059	# a format of bytes
	printf "$text" | dd of=/dev/cpu/0/msr bs=8 seek=2 count=1 conv=notrunc 2>/dev/null
}

insmod /modules/msr.ko allow_writes=on
boot_l2
khz=$(dmesg | sed -n 's/.*tsc: Detected \([0-9]*\)\.\([0-9]*\) MHz.*/\1\2/p' | head -n 1)
second=$((khz * 1000)) slack=$((khz * 300))
qmp stop
show_tables >/out/before.stats
set_tsc_back $second
show_tables >/out/back.stats
qmp cont
l2 true
qmp stop
show_tables >/out/after.stats
qmp cont

expect "the TSC went back" "cycles outside, at most" $(($(cycles back outside) - $(cycles before outside))) -le 0
for when in back after; do
	expect "$when: the states add up" "cycles" "$(cycles $when wall)" -eq "$(sum $when)"
	for state in wall guest kvm vmm halted preempted blocked outside; do
		change=$(($(cycles $when $state) - $(cycles before $state)))
		expect "$when: $state did not shrink" "cycles more" $change -gt -$slack
		expect "$when: $state did not jump" "cycles more" $change -lt $((5 * second))
	done
done
end_l2
