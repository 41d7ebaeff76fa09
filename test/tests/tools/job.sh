#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian: exit_stats, perf kvm stat, kvm_stat and bcc's kvmexit watch the same run of L2, from one pause of L2
# to the next, so that the counts must be the same. Leaves in /out what each of them says, for judge.py to compare. The
# kernel tree's kvm_stat is /job/kvm_stat.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# wait_for PATTERN FILE: until a tool has said so.
wait_for()
{
	local n=0

	until grep -qs "$1" "$2"; do
		n=$((n + 1))
		[ $n -lt 600 ] || fail "no '$1' in $2"
		sleep 0.5
	done
}

make -C /root/kvm-exit-stats install >/dev/null
modprobe "$(kvm_vendor)"
boot_l2
qmp stop

set -m		# SIGINT ends them, which a shell without jobs has them ignore
progress "the tools start"
perf kvm --host stat record -p "$l2_pid" -o /tmp/perf.data >/out/perf-record.txt 2>&1 &
perf=$!
python3 -u /job/kvm_stat -t -p "$l2_pid" -l -c -s 1 >/out/kvm_stat.csv 2>&1 &
kvm_stat=$!
wait_for kvm_exit /out/kvm_stat.csv
kvmexit=
if [ "$(kvm_vendor)" = kvm_intel ]; then	# it knows no other
	python3 -u /usr/sbin/kvmexit-bpfcc -p "$l2_pid" >/out/kvmexit.txt 2>&1 &
	kvmexit=$!
	wait_for 'Hit Ctrl-C' /out/kvmexit.txt
fi
sleep 2
cat "$l2_stats/exit_stats" >/out/before.stats
qmp cont
progress "L2 works"
work='i=0; while [ $i -lt 100 ]; do cpuid -1 -l 0 >/dev/null; i=$((i + 1)); done'
l2 "$work; sleep 1; dd if=/dev/zero of=/tmp/file bs=1M count=8; rm /tmp/file" >/dev/null
qmp stop
cat "$l2_stats/exit_stats" >/out/after.stats
sleep 2
progress "the tools end"
kill $kvm_stat
# shellcheck disable=SC2086	# there may be one only
kill -INT $perf $kvmexit
# shellcheck disable=SC2086
wait $kvm_stat $perf $kvmexit || :
perf kvm --host -i /tmp/perf.data stat report >/out/perf.txt 2>&1	# the table is on stderr
qmp cont
end_l2
# The TSC's frequency, for the judge's table.
dmesg | sed -n 's/.*tsc: Detected \([0-9]*\)\.\([0-9]*\) MHz.*/\1\2/p' | head -n 1 >/out/tsc-khz
