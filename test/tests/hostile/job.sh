#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what a guest that reads the leaves as nobody should gets, and what it does to the host's log and to another
# VM. Beside this lies hostile-guest, of test/programs.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

random=1000000			# reads
[ "$(kvm_vendor)" = kvm_amd ] || random=200000	# in Bochs more would take over 10 minutes
limit=512			# lines that a VM gets in a minute

# count_lines PID: of the log's, by what that process's guest read.
count_lines() { grep -c "exit_stats: pid $1 " /out/kmsg || :; }

# least_minute PID: the least number of seconds in which the log has limit + 1 of its lines.
least_minute()
{
	awk -F '[,;]' -v pid="$1" -v limit=$limit '
		index($0, "exit_stats: pid " pid " ") {
			time[++n] = $3 / 1000000
			if (n > limit && (!least || time[n] - time[n - limit] < least))
				least = time[n] - time[n - limit]
		}
		END { printf "%d\n", least }' /out/kmsg
}

# lost_lines: numbers that the log does not have.
lost_lines() { awk -F '[,;]' '/^[0-9]+,/ { lost += NR > 1 && $2 != last + 1; last = $2 } END { print lost + 0 }' /out/kmsg; }

# cost PHASE: of a CPUID in another VM. Leaves two lines "KIND LEAST MEAN" in /out/cost-PHASE.txt: of other leaves and
# of the statistics', the least of a round trip and the mean in KVM. Sets cost_pid.
cost()
{
	progress "another VM measures, the hostile one $1"
	/job/hostile-guest cost >"/out/cost-$1.txt" &
	cost_pid=$!
	wait $cost_pid
}

# compare_cost KIND FIELD WHAT PERCENT: the same in both phases, but for that much.
compare_cost()
{
	local was now

	was=$(awk -v kind="$1" -v field="$2" '$1 == kind { print $field }' /out/cost-paused.txt)
	now=$(awk -v kind="$1" -v field="$2" '$1 == kind { print $field }' /out/cost-reads.txt)
	expect "another VM's exits cost the same, but for $4 %: CPUID of $1, $3: $was, then $now" \
		"hundredths" $((now * 100)) -le $((was * (100 + $4)))
}

unload_kvm
vendor=$(kvm_vendor)
insmod /modules/kvm.ko force_emulation_prefix=1
insmod "/modules/kvm-${vendor#kvm_}.ko"
progress "a guest reads what nobody should"
/job/hostile-guest model $random 2>/out/model.log || expect "model" "status" $? -eq 0

cat /dev/kmsg >/out/kmsg &
/job/hostile-guest flood 2 >/out/flood.log 2>&1 &
flood=$!
while [ "$(count_lines $flood)" -lt $limit ]; do
	kill -0 $flood || fail "the flood has ended"
	sleep 1
done
kill -STOP $flood
cost paused
kill -CONT $flood
cost reads
if [ "$(kvm_vendor)" = kvm_intel ]; then	# in Bochs a tick is an instruction; elsewhere the machine's load decides
	for kind in other-leaf statistics; do
		compare_cost $kind 2 least 0
		compare_cost $kind 3 mean 1
	done
else
	progress "not judged: what another VM's exits cost"
fi
lines=$(count_lines $cost_pid)
expect "another VM has all its lines meanwhile" "lines" "$lines" -ge $limit
/job/hostile-guest victim 20 >/out/victim.txt &
victim=$!
wait $victim
expect "a third VM has its few lines meanwhile" "lines" "$(count_lines $victim)" -eq 20
progress "waiting for the second minute of the hostile guest"
tries=0
while [ "$(count_lines $flood)" -lt $((2 * limit)) ] && [ $tries -lt 120 ]; do
	tries=$((tries + 1))
	sleep 1
done
sleep 5
kill -0 $flood || fail "the flood has ended"
for vcpu in 0 1; do
	expect "vCPU $vcpu of the hostile guest reads in a tight loop" "exits by CPUID" "$(awk '
		tolower($2) == "cpuid" { print $3 }' /sys/kernel/debug/kvm/$flood-*/vcpu$vcpu/exit_stats)" -gt 10000
done
kill $flood
lines=$(count_lines $flood)
expect "a new minute brings new lines" "lines" "$lines" -eq $((2 * limit))
expect "no minute has more than $limit lines of a VM" "seconds for one more" "$(least_minute $flood)" -ge 59
expect "the log has lost nothing" "lines" "$(lost_lines)" -eq 0
