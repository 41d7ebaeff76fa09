#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2, for job.sh: boots L3 and reads the leaves there. With its guest, L2 does what L1 does with its
# own: what is L2 to lib.sh is L3 here. It stays paused, so that nothing more is counted for it.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
# A tick without a deadline to be set spares L3 an exit, each of which takes half a millisecond here: with it ticks take
# most of L3's time. L2 (job.sh) with as few ticks interrupts L3 less.
l2_kernel_args="lapic=notscdeadline highres=off nohz=off"
session='cpuid -1 -r -l 0x4FFFFFFB -s 1 | sed -n "s/.* edx=//p"'

become_hypervisor
trace_exits
boot_l2
snapshot before
qmp cont
# shellcheck disable=SC2046	# several numbers
read_leaves $(seen_reasons)
l3_session=$(l2 "$session")
echo N >/sys/module/kvm/parameters/exit_stats_cpuid
status=0
l2 read-leaves.sh >/dev/null || status=$?
expect "L3 finds no leaves when L2 hides them" "exit status" $status -eq 4
l2_session=$(eval "$session")
expect "L2 still finds its own, of another session than L3's" "sessions" \
	$((l2_session)) -ne 0 -a $((l2_session)) -ne $((l3_session))
l2 dmesg >/out/l2-dmesg.txt
snapshot after
