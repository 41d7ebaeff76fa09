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
limit=512 all_limit=1024		# lines at once, of a VM and of all; then 1 and 2 a second

# count_lines PID: of the log's, by what that process's guest read.
count_lines() { grep -c "exit_stats: vm $1-" /out/kmsg || :; }

# excess PATTERN PER_SECOND: the most lines with it, at any time, beyond so many a second since any time before.
excess()
{
	awk -F '[,;]' -v pattern="exit_stats: $1" -v per_second="$2" '
		index($0, pattern) {
			at = n++ - per_second * $3 / 1000000
			if (n == 1 || at < least)
				least = at
			if (at - least + 1 > most)
				most = at - least + 1
		}
		END { printf "%d\n", most }' /out/kmsg
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
log=/sys/module/kvm/parameters/exit_stats_log
echo N >$log			# it spends no lines
progress "a guest reads what nobody should"
/job/hostile-guest model $random 2>/out/model.log || expect "model" "status" $? -eq 0

echo Y >$log
cat /dev/kmsg >/out/kmsg &
/job/hostile-guest flood 2 >/out/flood.log 2>&1 &
flood=$!
while ! grep -q "exit_stats: vm $flood-.*: too many reads" /out/kmsg; do
	kill -0 $flood || fail "the flood has ended"
	sleep 1
done
# One more if a second of the budget ends in between: they take a fraction of one.
lines=$(count_lines $flood)
expect "a VM has all its lines, the last of which says so" "lines" "$lines" -ge $limit -a "$lines" -le $((limit + 1))
kill -STOP $flood
cost paused
expect "another VM has its lines, too" "lines" "$(count_lines $cost_pid)" -ge $((limit - 12))
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
progress "VMs come and go, and each reads"
for vm in 1 2 3 4; do
	/job/hostile-guest victim $((limit - 1)) >/dev/null
done
sleep 60
/job/hostile-guest victim 20 >/out/victim.txt &
victim=$!
wait $victim
expect "a VM has its few lines after a minute" "lines" "$(count_lines $victim)" -eq 20
for vcpu in 0 1; do
	expect "vCPU $vcpu of the hostile guest reads in a tight loop" "exits by CPUID" "$(awk '
		tolower($2) == "cpuid" { print $3 }' /sys/kernel/debug/kvm/$flood-*/vcpu$vcpu/exit_stats)" -gt 10000
done
kill $flood
expect "what was not logged is said" "lines" "$(grep -c "exit_stats: vm $flood-.*: [0-9]* reads were not logged" /out/kmsg)" -ge 2
expect "what was not logged of all VMs is said" "lines" "$(grep -c "exit_stats: all VMs: [0-9]* reads were not logged" /out/kmsg)" -ge 1
expect "no VM has more than $limit lines, and 1 a second" "lines" "$(excess "vm $flood-" 1)" -le $((limit + 1))
expect "all VMs have no more than $all_limit lines, and 2 a second" "lines" "$(excess "" 2)" -le $((all_limit + 1))
expect "the log has lost nothing" "lines" "$(lost_lines)" -eq 0
