#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: boots an L2 that gets all that L1 has, and there /job/nested-l2.sh, which boots L3 and leaves its results in
# /out/l2. Meanwhile and afterwards, what debugfs and independent counts say about L2, for judge.py to compare.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
reflected=/sys/kernel/tracing/events/kvm/kvm_nested_vmexit_inject

# vmruns: how often L2 entered L3, as exit_stats has it.
vmruns() { table_field "$l2_stats/exit_stats" 0x80 exits; }

l2_files="bin job l2 lab lib lib64 modules" l2_memory=384
l2_kernel_args="kvm.report_ignored_msrs=0 lapic=notscdeadline highres=off nohz=off"
trace_exits
echo 'hist:keys=exit_code' >$reflected/trigger
boot_l2

progress "L3 boots in L2"
l2 'sh /job/nested-l2.sh >/out/verdicts' >/out/nested-l2.log &
job=$!
while [ "$(vmruns)" -lt 10000 ] && kill -0 $job 2>/dev/null; do
	sleep 1
done
snapshot during
qmp cont
status=0
wait $job || status=$?
snapshot after
qmp cont
mkdir /out/l2
l2 'tar -C /out -c .' | tar -C /out/l2 -x
[ $status -eq 0 ] || fail "L2's job ended with status $status: see nested-l2.log, and l2-console.log on why"

cp /out/l2/after.stats /out/l2/reflected.stats
sed 's/exit_code/exit_reason/' $reflected/hist >/out/l2/reflected.hist	# as kvm_exit calls it
expect "each VMRUN of L2 is an exit of L3" "VMRUNs in L1, exits in L2" "$(vmruns)" -eq "$(cat /out/l2/after.exits)"
end_l2
