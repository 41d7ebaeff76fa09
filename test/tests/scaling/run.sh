#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a VM-exit costs, and how many there are in a second, when 1 to 8 vCPUs do nothing else: with Debian's own modules
# and with ours, accounting off and on. Each vCPU must count exactly its own exits; of the times only that accounting
# adds less than a tenth is judged, as this machine's load is in them. The table is
# DIR/table.txt. See test/programs/scale-vcpus.c and job.sh. Usage: [SERIES=...] LANE=svm run.sh DIR, with the lab built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

out=$1
cores=$(nproc)
cpus=$((cores < 8 ? cores : 8))

# boot NAME MODULES: runs the job with these modules. In QEMU, with several CPUs, one now and then executes a breakpoint
# that L1 no longer has in its code, or a guest ends in a triple fault, without our modules, too: hence the other tries,
# if the job did not get to its end. What it has judged is final.
boot()
{
	local dir=$out/$1 try status

	for try in first second third; do
		status=0
		"$top/test/lab/boot-l1.sh" -c $cpus -m "$2" -t 180 -o "$dir" "${0%/*}/job.sh" \
			"$top/build/programs/scale-vcpus" || status=$?
		if [ $status -eq 0 ] || [ $try = third ]; then
			break
		fi
		log "the $try try failed: see $out/failed/$1-$try"
		mkdir -p "$out/failed"
		mv "$dir" "$out/failed/$1-$try"
	done
	{
		[ $status -eq 0 ] || not_ok "its run in L1" "exit status $status: see $dir"
		cat "$dir/verdicts" || not_ok "verdicts" "there are none in $dir"
		verdict "the logs have no splat" "$top/test/lab/scan-splats.sh" "$dir"/l1-{dmesg.txt,console.log}
	} | sed -E "s/^(ok|not ok) /&$1: /"
}

# sum_up: a line of CSV for each number of vCPUs: nanoseconds of the three kinds, the least of all rounds, and exits per
# second, the most.
sum_up()
{
	awk -F, '
		!(($1, $2) in ns) || $3 < ns[$1, $2] { ns[$1, $2] = $3 }
		$4 > rate[$1, $2] { rate[$1, $2] = $4 }
		END {
			for (n = 1; n <= 8; n *= 2) {
				printf "%d,%d,%d,%d", n, ns["unpatched", n], ns["off", n], ns["on", n]
				printf ",%d,%d,%d\n", rate["unpatched", n], rate["off", n], rate["on", n]
			}
		}' "$out"/*/runs.csv
}

print_table()
{
	local note=

	[ "$cores" -ge 8 ] || note="; more vCPUs than that take turns"
	echo "Linux $(kernel_version) on SVM, in QEMU's TCG, L1 with $cpus CPUs on a machine with $cores$note"
	awk -F, '
		function cell(ns) { return sprintf("%d (%+.1f%%)", ns, 100 * ns / $2 - 100) }
		BEGIN {
			printf "%5s  %-41s  %s\n", "", "ns of a CPUID exit and back", "exits per second of all vCPUs"
			printf "%5s  %9s %15s %15s  %9s %9s %9s\n", "vCPUs", "unpatched", "off", "on", "unpatched", "off", "on"
		}
		{ printf "%5d  %9d %15s %15s  %9d %9d %9d\n", $1, $2, cell($3), cell($4), $5, $6, $7 }'
}

# judge_cost: accounting adds less than a tenth to an exit. Other work on this machine moves the numbers by hundredths.
judge_cost()
{
	awk -F, '{
		what = $1 " vCPUs: accounting adds less than a tenth to an exit"
		less = $2 > 0 && $4 > 0 && $4 < 1.1 * $2
		print less ? "ok " what : "not ok " what ": " $2 " ns unpatched, " $4 " on"
	}'
}

stock=$(stock_module arch/x86/kvm/kvm)
for round in 1 2; do
	boot "unpatched-$round" "${stock%/*}"
	boot "patched-$round" "$modules"
done

sum_up >"$out/sum.csv"
print_table <"$out/sum.csv" >"$out/table.txt"
cat "$out/table.txt" >&2
judge_cost <"$out/sum.csv"
