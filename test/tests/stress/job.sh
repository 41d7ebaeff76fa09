#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what the accounting does while VMs come and go, modules are reloaded and parameters change, beside an L2 that
# reads its leaves, and whether memory is back afterwards. Beside this lies stress-vms, of test/programs. The
# memory at each time is in /out/memory.txt.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

vms=1000 toggles=1000 reloads=200
[ "$(kvm_vendor)" = kvm_amd ] || vms=200 toggles=500 reloads=40		# in Bochs more would take over 10 minutes
few=$((vms / 10))	# VMs, before memory is looked at for the first time, and again
debugfs=/sys/kernel/debug/kvm

# measure NAME: appends lines "NAME WHAT NUMBER" to /out/memory.txt. All but the last two are in KB. "other" are the
# pages that no counter has, as those that KVM allocates one by one; free ones on the CPUs' own lists are in zoneinfo.
measure()
{
	local cache

	sleep 3			# RCU, and what a work queue frees
	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$cache"
	done
	sleep 1
	{
		awk -v name="$1" '
			FILENAME ~ /zoneinfo/ { kb["lists"] += $1 == "count:" ? 4 * $2 : 0; next }
			{ kb[$1] = $2 }
			/^(SUnreclaim|Slab|Percpu|KernelStack|PageTables|VmallocUsed):/ {
				print name, substr($1, 1, length($1) - 1), $2
			}
			END {
				print name, "other", kb["MemTotal:"] - kb["MemFree:"] - kb["Buffers:"] - kb["Cached:"] - \
					kb["AnonPages:"] - kb["Slab:"] - kb["KernelStack:"] - kb["PageTables:"] - \
					kb["SecPageTables:"] - kb["Percpu:"] - kb["VmallocUsed:"] - kb["lists"]
			}' /proc/zoneinfo /proc/meminfo
		# The vCPUs themselves, and what KVM shows of them.
		awk -v name="$1" '$1 == "kvm_vcpu" { n = $2 } END { print name, "kvm_vcpu", n + 0 }' /proc/slabinfo
		echo "$1 debugfs $(find $debugfs | wc -l)"
	} >>/out/memory.txt
}

# kb NAME WHAT: from there.
kb() { awk -v name="$1" -v what="$2" '$1 == name && $2 == what { print $3 }' /out/memory.txt; }

# compare RUN ADDITIONS FIRST SECOND LAST: how much each counter has grown from SECOND to LAST, with that many
# additions. Tolerated is what it grew from FIRST to SECOND with a tenth of them, because a leak would then be ten times
# that; and what is less than one small object for each addition (256 bytes), or one page (half of it).
compare()
{
	local what grown tolerance least

	for what in SUnreclaim Slab Percpu KernelStack PageTables VmallocUsed other; do
		case $what in
		SUnreclaim|Slab|Percpu)	tolerance=$(($2 / 4)) ;;
		*)			tolerance=$(($2 * 2)) ;;
		esac
		least=$((128 * $(nproc)))		# a few slabs of each size come and go, on each CPU
		[ $tolerance -ge $least ] || tolerance=$least
		grown=$(($(kb "$4" $what) - $(kb "$3" $what)))
		tolerance=$((tolerance + (grown > 0 ? grown : 0)))
		grown=$(($(kb "$5" $what) - $(kb "$4" $what)))
		expect "$1: memory is back: $what: $grown KB more, up to $tolerance" "KB more" $grown -le $tolerance
	done
	for what in kvm_vcpu debugfs; do
		expect "$1: memory is back: $what, exactly" "number" "$(kb "$5" $what)" -eq "$(kb "$4" $what)"
	done
}

# stress ARG...: stress-vms, with its verdicts.
stress()
{
	local status=0

	/job/stress-vms "$@" 2>>/out/stress.log || status=$?
	expect "stress-vms $* ends" status $status -eq 0
}

# lost_exits: of L2, stopped: those that KVM has and the slots have not.
lost_exits()
{
	echo $(($(cat "$l2_stats/exits") - $(table_field "$l2_stats/exit_stats" total exits)))
}

# reload_often TIMES: KVM's modules, each time with two VMs.
reload_often()
{
	local left=$1

	while [ "$left" -gt 0 ]; do
		# A file that is being read keeps kvm.
		until rmmod "$(kvm_vendor)" 2>/dev/null; do :; done
		until rmmod kvm 2>/dev/null; do :; done
		load_kvm /modules
		QUIET=1 /job/stress-vms churn 2 2>>/out/stress.log
		left=$((left - 1))
		[ "$left" -eq 0 ] || [ $((left % 50)) -ne 0 ] || progress "$left more reloads"
	done
}

# Threads are then preempted in the kernel, too.
echo full >/sys/kernel/debug/sched/preempt

l2_files=""
boot_l2
l2 'watch-exits.sh >/tmp/watched 2>&1 &'

progress "$few VMs"
stress churn $few
measure few
progress "$few VMs again"
stress churn $few
measure again
progress "$vms VMs"
stress churn $vms
measure many
compare "$vms VMs" $vms few again many

l2 'touch /tmp/stop; sleep 3; cat /tmp/watched' >/out/watched.txt
expect "beside them, L2 reads growing totals of one session" "odd lines" \
	"$(awk 'NR > 1 && !($4 > 0 && $5 > 0) { n++ } END { print (NR > 4 ? n + 0 : -1) }' /out/watched.txt)" -eq 0
qmp stop
expect "beside them, all slots of L2 are KVM's exits" "lost" "$(lost_exits)" -eq 0
qmp cont
progress "writing the parameters $toggles times"
l2 'rm /tmp/stop; while [ ! -e /tmp/stop ]; do read-totals.sh; done >/dev/null 2>&1 &'
stress toggle $toggles
qmp stop
lost=$(lost_exits)
qmp cont
sleep 3
qmp stop
expect "after the parameters changed, L2's exits are all accounted" "lost" "$(lost_exits)" -eq "$lost"
qmp cont
l2 'touch /tmp/stop'
end_l2

progress "$((reloads / 10)) reloads, twice"
while :; do
	find $debugfs /sys/module/kvm/parameters -type f -exec cat {} + || :
	usleep 20000
done >/dev/null 2>&1 &
reader=$!
reload_often $((reloads / 10))
measure reload-few
reload_often $((reloads / 10))
measure reload-again
progress "$reloads reloads"
reload_often $reloads
measure reload-many
kill $reader
expect "$reloads reloads of the modules, with two VMs each" "loaded" -d $debugfs
compare "$reloads reloads" $reloads reload-few reload-again reload-many
