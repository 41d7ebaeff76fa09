#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: exitstat in an L2 of two vCPUs, where it must show exactly what /job/exit-workload does, and on L1 as the host.
# Leaves its output in /out, and verdicts in /out/verdicts.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
params=/sys/module/kvm/parameters

if [ -e /sys/module/kvm_amd ]; then
	cpuid=0x72 io=0x7b hypercall=0x81 instruction=vmmcall
else
	cpuid=10 io=30 hypercall=18 instruction=vmcall
fi

# exits REASON FILE...: the exits of REASON in exitstat's CSV, all rows added up.
exits()
{
	local reason="$1"

	shift
	cat "$@" | awk -F , -v reason="$reason" '$6 == reason { sum += $8 } END { print sum + 0 }'
}

# exact NAME N REASON OPTIONS WORKLOAD: "exitstat -- WORKLOAD" in L2 shows N exits of REASON. L2's kernel makes a hypercall
# now and then, too: try that again.
exact()
{
	local tries=1

	[ "$3" != $hypercall ] || tries=20
	while [ $tries -gt 0 ]; do
		progress "exitstat $4 -- $5"
		l2 "/job/exitstat --csv $4 -- /job/exit-workload $5" >"/out/$1.csv"
		[ "$(exits "$3" "/out/$1.csv")" -ne "$2" ] || break
		tries=$((tries - 1))
	done
	expect "$1" "exits shown" "$(exits "$3" "/out/$1.csv")" -eq "$2"
}

# show_debugfs VCPU DIR: the table of exit_stats there, as exitstat's CSV has it from its column vcpu to its column cycles.
show_debugfs()
{
	awk -v vcpu="$1" '
		$1 == "-" || $1 ~ /^[0-9]/ {
			name = $2
			for (i = 3; i < NF - 4; i++)
				name = name " " $i
			print vcpu "," ($1 == "-" ? "" : $1) "," (name == "-" ? "" : name) "," $(NF - 4) "," $(NF - 3)
		}' "$2/exit_stats"
}

# paused NAME OPTIONS: exitstat's numbers are those that are on stdin, when L2 is paused.
paused()
{
	sort >"/out/$1-debugfs.csv"
	# shellcheck disable=SC2086	# options
	/job/exitstat --csv -p "$l2_pid" $2 | awk -F , 'NR > 1 && $14 == ""' | cut -d , -f 5-9 | sort >"/out/$1.csv"
	expect "$1-as-in-debugfs" "whether they differ" "$(status_of cmp "/out/$1.csv" "/out/$1-debugfs.csv")" -eq 0
}

# total FILE: the exits in it.
total() { awk -F , '{ sum += $4 } END { print sum + 0 }' "$1"; }

# share STATE FILE: in percent, of all time in exitstat's CSV.
share()
{
	awk -F , -v state="$1" '
		$14 != "" { all += $9 }
		$14 == state { its = $9 }
		END { print all ? int(100 * its / all) : 0 }' "$2"
}

# status_of COMMAND...: its exit status.
status_of()
{
	local status=0

	"$@" >/out/status.txt 2>&1 || status=$?
	echo $status
}

l2_qemu_args="-smp 2"
boot_l2
expect l2-has-two-cpus "CPUs in L2" "$(l2 nproc)" -eq 2

progress "exitstat in an idle L2, and in one that computes"
l2 '/job/exitstat --csv -- /bin/busybox sleep 2' >/out/idle.csv
expect idle-is-halted "percent" "$(share halted /out/idle.csv)" -gt 50
l2 '/job/exitstat --csv -c 0 -- sh -c "i=0; while [ \$i -lt 20000 ]; do i=\$((i + 1)); done"' >/out/busy.csv
expect busy-is-guest "percent" "$(share guest /out/busy.csv)" -gt 50

progress "exitstat in L2"
l2 '/job/exitstat' >/out/l2-table.txt
l2 '/job/exitstat -l' >/out/l2-list.txt
l2 '/job/exitstat -- /bin/busybox ls /' >/out/l2-command.txt

exact nothing 0 $cpuid "" ""
exact cpuid 1000 $cpuid "" "cpuid 1000"
exact out 1000 $io "" "out 1000"
exact hypercall 1000 $hypercall "" "$instruction 1000"
exact mixed 300 $cpuid "" "cpuid 100 out 50 cpuid 200 $instruction 70"
expect mixed-out "exits shown" "$(exits $io /out/mixed.csv)" -eq 50
exact one-vcpu 1000 $cpuid "-c 1" "cpuid 1000"
exact each-vcpu 1000 $cpuid -A "cpuid 1000"
exact only-one-reason 1000 $cpuid "-r $cpuid" "cpuid 1000"

progress "exitstat INTERVAL"
l2 '/job/exit-workload sleep 4 cpuid 5000 & /job/exitstat --csv 1 10; wait' >/out/intervals.csv
expect intervals-cpuid "exits in 10 intervals" "$(exits $cpuid /out/intervals.csv)" -eq 5000
l2 '/job/exit-workload sleep 4 cpuid 5000 & /job/exitstat --csv -A 1 10; wait' >/out/intervals-each.csv
expect intervals-each-vcpu "exits in 10 intervals" "$(exits $cpuid /out/intervals-each.csv)" -eq 5000
l2 '/job/exitstat 1 2' >/out/l2-intervals.txt

progress "a CPU of L2 goes and comes back"
cpu1=/sys/devices/system/cpu/cpu1/online
l2 "/job/exitstat --json -A 1 12 & sleep 4; echo 0 >$cpu1; sleep 4; echo 1 >$cpu1; wait \$!" >/out/hotplug.json
awk '{ print gsub(/"vcpu"/, "") }' /out/hotplug.json | uniq | tr -d '\n' >/out/hotplug.txt
expect hotplug-in-the-middle "vCPUs in the samples" "$(cat /out/hotplug.txt)" -eq 212

progress "exitstat in L1"
/job/exitstat >/out/l1-table.txt
/job/exitstat -A 1 1 >/out/l1-each.txt
qmp stop
show_debugfs "" "$l2_stats" | paused paused ""
{ show_debugfs 0 "$l2_stats/vcpu0"; show_debugfs 1 "$l2_stats/vcpu1"; } | paused paused-A -A
show_debugfs 1 "$l2_stats/vcpu1" | paused paused-c1 "-c 1"
expect paused-total "exits by exitstat, by KVM" "$(total /out/paused.csv)" -eq "$(cat "$l2_stats/exits")"
expect paused-A-total "exits by exitstat, by KVM" "$(total /out/paused-A.csv)" -eq "$(cat "$l2_stats/exits")"
qmp cont
progress "exitstat -p in L1 while L2 works"
/job/exitstat --csv -p "$l2_pid" 1 8 >/out/l1-intervals.csv &
sleep 2
l2 '/job/exit-workload out 3000'
wait $!
expect host-intervals "exits in 8 intervals" "$(exits $io /out/l1-intervals.csv)" -ge 3000
expect host-no-such-process "exit status" "$(status_of /job/exitstat -p 1)" -eq 1

echo N >$params/exit_stats_cpuid
expect hidden-leaves "exit status" "$(status_of l2 /job/exitstat)" -eq 2
echo Y >$params/exit_stats_cpuid
echo N >$params/exit_stats
l2 '/job/exitstat -- /job/exit-workload cpuid 10' >/out/off.txt
expect not-counting "lines that say so" "$(grep -c 'does not count at present' /out/off.txt)" -eq 1
echo Y >$params/exit_stats
end_l2
