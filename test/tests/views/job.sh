#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what debugfs, stock QEMU's query-stats and info stats, and the leaves say about one L2 with two vCPUs, for
# judge.py to compare; and which files of statistics debugfs has.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
debugfs=/sys/kernel/debug/kvm

# await_quiet: until L2 executes no CPUID any more.
await_quiet()
{
	local exits=0 last=-1

	while [ "$exits" != "$last" ]; do
		sleep 3
		last=$exits
		exits=$(table_field "$l2_stats/exit_stats" cpuid exits)
	done
}

# count_files NAME: below debugfs' directory of KVM.
count_files() { find $debugfs -name "$1" | wc -l; }

l2_qemu_args="-smp 2"
boot_l2

# In the background, so that between the two pauses nothing happens but the reads, and nothing after the last one.
# That is of CPUID's reason, which each read changes.
progress "reading in L2 between two pauses"
reasons=$(awk '
	tolower($2) == "cpuid" { last = $1; next }
	$1 ~ /^[0-9]/ { printf "%s ", $1 }
	END { print last }' "$l2_stats/exit_stats")
l2 "(sleep 4; read-views.sh $reasons >/tmp/views 2>&1) >/dev/null &"
sleep 1
qmp stop
show_tables >/out/before.stats
qmp cont
await_quiet
qmp stop
show_tables >/out/after.stats
cat "$l2_stats/exits" >/out/exits
qmp query-stats '"target": "vcpu", "providers": [{"provider": "kvm", "names": ["exits", "exit_counts", "exit_cycles"]}]'
echo "$qmp_answer" >/out/query-stats.json
qmp human-monitor-command '"command-line": "info stats vcpu"'
echo "$qmp_answer" >/out/info-stats.json
expect "debugfs has no half of an array" files "$(count_files 'exit_[cu]*')" -eq 0
expect "debugfs has no file of a state, which would be incomplete" files "$(count_files '*_cycles')" -eq 0
for file in exits halt_exits halt_wait_hist; do
	expect "debugfs still has $file, of all VMs and of this one" files "$(count_files $file)" -eq 2
done
qmp cont
l2 'cat /tmp/views' >/out/views.txt
end_l2
