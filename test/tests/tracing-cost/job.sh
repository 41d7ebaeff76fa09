#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian: the benchmark with nothing that counts its exits, with ours, and with each of the tracers that count
# them: a CSV a kind in /out/bench-*.csv, and what perf and bpftrace counted beside them. /job/stock.tar and
# /job/patched.tar hold the two sets of modules.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger

# measure NAME SET [COMMAND...]: with the modules of SET loaded, COMMAND runs the benchmark.
measure()
{
	local name="$1" set="$2"

	shift 2
	progress "benchmark: $name"
	load_kvm "/tmp/$set"
	"$@" /job/bench-exits >/tmp/rows 2>"/out/$name.log" || fail "$name: see $name.log"
	grep , /tmp/rows >"/out/bench-$name.csv"	# without the library's own line
	unload_kvm
}

run_with_hist()
{
	trace_exits
	"$@"
	cat "${trigger%trigger}hist" >/out/hist.txt
	echo '!hist:keys=exit_reason' >$trigger
}
run_with_perf()
{
	perf kvm --host stat record -a -o /run/perf.data "$@"
	perf kvm --host -i /run/perf.data stat report >/out/perf.txt 2>&1	# the table is on stderr
}
# Its count() is in a map that each CPU has its own of.
run_with_bpftrace()
{
	bpftrace -o /out/bpftrace.txt -e 'tracepoint:kvm:kvm_exit { @[args->exit_reason] = count(); }' -c "$*"
}

for set in stock patched; do
	mkdir "/tmp/$set"
	tar -xf "/job/$set.tar" -C "/tmp/$set"
done
modprobe irqbypass
[ "$(kvm_vendor)" = kvm_intel ] || modprobe ccp
measure unpatched stock
measure patched patched
measure hist stock run_with_hist
measure bpftrace stock run_with_bpftrace
measure perf stock run_with_perf
