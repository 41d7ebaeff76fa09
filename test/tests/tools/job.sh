#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian: what exit_stats, perf kvm stat, kvm_stat and bcc's kvmexit say of the same run of L2. They watch from
# one pause of L2 to the next, so that the counts must be the same. Side by side in /out/tools.txt, each tool's own
# output beside it, the verdicts in /out/verdicts. The kernel tree's kvm_stat is /job/kvm_stat.
set -eu

# shellcheck source=test/l1/lib.sh
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

# Each of them as lines "NAME EXITS ...", a space in a name as "_".
read_exit_stats()	# and the cycles
{
	awk 'FNR > 1 && $1 != "total" {
			name = $2
			for (i = 3; i < NF - 2; i++)
				name = name "_" $i
			exits[name] = $(NF - 2) - exits[name]
			cycles[name] = $(NF - 1) - cycles[name]
		}
		END {
			for (name in exits)
				if (exits[name])
					print name, exits[name], cycles[name]
		}' /out/before.stats /out/after.stats
}
read_perf()		# and the average microseconds
{
	awk '/%.*us/ {
			for (n = 1; $n !~ /^[0-9]+$/; n++)
				name = n == 1 ? $n : name "_" $n
			for (i = NF; $i !~ /us$/ || i == 0; i--)
				;
			print name, $n, $i + 0
		}' /out/perf.txt
}
read_kvm_stat()
{
	awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) name[i] = $i; next }
		{ for (i = 2; i <= NF; i++) sum[i] += $i }
		END {
			for (i in sum)
				if (sum[i] && sub(/^kvm_exit\(/, "", name[i]) && sub(/\)$/, "", name[i]))
					print name[i], sum[i]
		}' /out/kvm_stat.csv
}
read_kvmexit() { awk '$1 ~ /^[A-Z_]+$/ && $2 ~ /^[0-9]+$/ { print $1, $2 }' /out/kvmexit.txt; }

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
# shellcheck disable=SC2016	# a variable of L2
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

read_exit_stats | sort >/tmp/exit_stats
read_perf | sort >/tmp/perf
read_kvm_stat | sort >/tmp/kvm_stat
read_kvmexit | sort >/tmp/kvmexit
khz=$(dmesg | sed -n 's/.*tsc: Detected \([0-9]*\)\.\([0-9]*\) MHz.*/\1\2/p' | head -n 1)
{
	printf '%-20s %10s %10s %10s %10s %14s %14s\n' reason exit_stats perf kvm_stat kvmexit "exit_stats us" "perf us"
	while read -r name exits cycles; do
		# shellcheck disable=SC2046,SC2183	# words
		printf '%-20s %10s %10s %10s %10s %14s %14s\n' "$name" "$exits" \
			$(awk -v name="$name" -v us="$(awk "BEGIN { printf \"%.2f\", $cycles / $exits * 1000 / $khz }")" '
				BEGIN { for (i = 1; i < 4; i++) count[i] = time = "-" }
				FNR == 1 { file++ }
				$1 == name { count[file] = $2 }
				$1 == name && file == 1 { time = $3 }
				END { print count[1], count[2], count[3], us, time }' /tmp/perf /tmp/kvm_stat /tmp/kvmexit)
	done </tmp/exit_stats
} >/out/tools.txt

# differ FILE: in how many exits a tool's counts differ.
differ()
{
	awk 'FNR == NR { count[$1] = $2; next }
		{ count[$1] -= $2 }
		END {
			for (name in count)
				sum += count[name] < 0 ? -count[name] : count[name]
			print sum + 0
		}' /tmp/exit_stats "$1"
}
# perf counts an exit when the guest is entered again, and before the pause ended the last one was not.
expect "perf kvm stat counts the same exits, up to the last one" "differences" "$(differ /tmp/perf)" -le 1
if [ "$(kvm_vendor)" = kvm_intel ]; then	# for SVM's exits kvm_stat has names of its own
	expect "kvm_stat counts the same exits" "differences" "$(differ /tmp/kvm_stat)" -eq 0
fi
expect "kvm_stat counts as many exits" "exits" "$(awk -F, '
	NR == 1 { while ($++n != "kvm_exit"); next }
	{ exits += $n }
	END { print exits }' /out/kvm_stat.csv)" -eq "$(awk '{ exits += $2 } END { print exits }' /tmp/exit_stats)"
