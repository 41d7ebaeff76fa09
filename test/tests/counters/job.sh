#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what the leaves, debugfs and an independent count say about one L2, for judge.py to compare; and the module's
# parameters, switched while L2 runs.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
params=/sys/module/kvm/parameters
io=io
[ "$(kvm_vendor)" = kvm_amd ] || io=io_instruction

# counted: prints what exit_stats has counted, then KVM's own count, of the paused L2.
counted()
{
	qmp stop
	table_field "$l2_stats/exit_stats" total exits
	cat "$l2_stats/exits"
	qmp cont
}

# As debugfs names L2.
logged() { dmesg | grep -c "kvm: exit_stats: vm ${l2_stats##*/} vcpu" || :; }
read_a_reason() { l2 'cpuid -1 -r -l 0x4FFFFFFD -s 10' >/dev/null; }

trace_exits
boot_l2
snapshot before
qmp cont
read_leaves
snapshot after
# The kernel around the modules writes signal_exits, a neighbour of io_exits: it must find that where it was built to.
expect "signal_exits counts the signals" "signals" "$(cat "$l2_stats/signal_exits")" -gt 0
expect "io_exits counts port I/O, and nothing else" "exits" "$(cat "$l2_stats/io_exits")" -eq \
	"$(table_field "$l2_stats/exit_stats" $io exits)"
qmp cont

progress "switching the parameters"
echo N >$params/exit_stats_log
before=$(logged)
read_a_reason
expect exit_stats_log-off "lines logged" "$(logged)" -eq "$before"
echo Y >$params/exit_stats_log
read_a_reason
expect exit_stats_log-on "lines logged" "$(logged)" -eq $((before + 1))

signature='cpuid -1 -r -l 0x4FFFFFFB -s 0 | grep -c "ebx=0x454d564b ecx=0x53746978 edx=0x73746174" || :'
echo N >$params/exit_stats_cpuid
expect exit_stats_cpuid-off "signatures read" "$(l2 "$signature")" -eq 0
echo Y >$params/exit_stats_cpuid
expect exit_stats_cpuid-on "signatures read" "$(l2 "$signature")" -eq 1

tracing=/sys/kernel/tracing
echo 'function == 0x4ffffffd' >$tracing/events/kvm/kvm_cpuid/filter
echo 1 >$tracing/events/kvm/kvm_cpuid/enable
read_a_reason
echo 0 >$tracing/events/kvm/kvm_cpuid/enable
echo 0 >$tracing/events/kvm/kvm_cpuid/filter
expect "tracing shows a leaf as found" "lines" "$(grep -c 'func 4ffffffd idx a .*cpuid entry found$' $tracing/trace)" -eq 1

echo N >$params/exit_stats
# shellcheck disable=SC2046	# two numbers
set -- $(counted)
read_a_reason
# shellcheck disable=SC2046
set -- "$@" $(counted)
expect exit_stats-off "exits counted" "$3" -eq "$1"
expect exit_stats-off-guest-runs "KVM's own exits" "$4" -gt "$2"
echo Y >$params/exit_stats
read_a_reason
# shellcheck disable=SC2046
set -- "$@" $(counted)
expect exit_stats-on "exits counted" "$5" -gt "$3"
end_l2
untrace_exits
