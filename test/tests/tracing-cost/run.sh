#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compares what a VM-exit costs with ours and, on Debian's own modules, with tracers that count exits: a histogram of
# the tracepoint, a BPF program, perf kvm stat. In Bochs, also for SVM, a tick of the TSC is an instruction; the table
# is DIR/table.txt. Usage: [SERIES=...] [LANE=...] run.sh DIR, with the lab, L1's Debian and the selftests built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

out=$1
kinds=(unpatched patched hist bpftrace perf)

# judge_cost: that ours costs less than each of the others, by exit.
judge_cost()
{
	local name unpatched patched hist bpftrace perf other

	# shellcheck disable=SC2034	# ${!other}
	while IFS=, read -r name unpatched patched hist bpftrace perf; do
		for other in hist bpftrace perf; do
			expect "$name: ours costs less than $other" "instructions more" \
				$((patched - unpatched)) -lt $((${!other} - unpatched))
		done
	done < <(tail -n +2 "$out/cost.csv")
	awk -F, '
		NR == 1 { printf "%-28s %10s %15s %15s %15s %15s\n", $1, $2, $3, $4, $5, $6; next }
		{ printf "%-28s %10d", $1, $2; for (i = 3; i <= 6; i++) printf " %7d (%+5d)", $i, $i - $2; print "" }
		' "$out/cost.csv" >"$out/table.txt"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$top/test/build-bench.sh" "$work"
cpuid=CPUID number=10
[ "$lane" = vmx ] || cpuid=cpuid number=114
"$top/test/lab/boot-l1.sh" -b -d -t 2400 -o "$out" "${0%/*}/job.sh" \
	"$work/stock.tar" "$work/patched.tar" "$selftests/bench-exits" || not_ok "its run in L1" "it failed: see $out"

for kind in "${kinds[@]}"; do
	expect "the guest loop ran: $kind" "a file with numbers" -s "$out/bench-$kind.csv"
done
hist=$(sed -n "s/.*exit_reason: *$number .*hitcount: *//p" "$out/hist.txt")
expect "the histogram counted its CPUID exits" exits "${hist:-0}" -gt 0
expect "so did the BPF program" exits "$(sed -n "s/^@\[$number\]: //p" "$out/bpftrace.txt")" = "$hist"
expect "so did perf kvm stat" exits "$(awk -v name=$cpuid '$1 == name { print $2 }' "$out/perf.txt")" = "$hist"

(cd "$out" && {
	(IFS=, && echo "exit,${kinds[*]}")
	paste -d, bench-{unpatched,patched,hist,bpftrace,perf}.csv | cut -d, -f1,3,6,9,12,15
} >cost.csv)
judge_cost
