#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what a VM-exit costs with each kind of accounting, in Bochs, where a tick of the TSC is an
# instruction: Debian's own modules; ours, off and on; Debian's with the tracepoints on. Prints the table,
# keeps it in build/SERIES/bench/LANE/bench.csv. Exit status 1 when an exit is over the budget.
# Usage: [LANE=svm] make bench, which builds what it needs

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

# Instructions that accounting may add to an exit.
budget_on=24 budget_off=3
budget_off_fastpath=6	# where it re-enters the guest, which unpatched takes no RDTSC
budgets="off +$budget_off"
if [ "$lane" = vmx ]; then
	budgets+=" (+$budget_off_fastpath where a fastpath re-enters the guest)"
else
	budget_off_fastpath=$budget_off		# SVM's is not taken in the lab
fi

out=$build/bench/$lane
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$top/test/build-bench.sh" "$work"
rm -rf "$out"
"$top/test/run-l1.sh" -b -m none -o "$out" "$top/test/jobs/bench.sh" \
	"$work/stock.tar" "$work/patched.tar" "$selftests/bench-exits" ||
	die "the benchmark failed in L1: see the lines above and $out"

for kind in unpatched off on tracepoints; do
	[ -s "$out/bench-$kind.csv" ] || die "no numbers for '$kind': see $out"
done
(cd "$out" && {
	echo exit,unpatched,off,on,tracepoints
	paste -d, bench-unpatched.csv bench-off.csv bench-on.csv bench-tracepoints.csv | cut -d, -f1,2,4,6,8
} >bench.csv)

echo "Instructions of a VM-exit and back, seen by the guest:"
awk -F, -v on=$budget_on -v off=$budget_off -v fastpath=$budget_off_fastpath -v budgets="$budgets, on +$budget_on" '
	NR == 1 { printf "%-28s %10s %16s %16s %18s\n", $1, $2, $3, $4, $5; next }
	{
		printf "%-28s %10d %9d (%+4d) %9d (%+4d) %10d (%+5d)\n", $1, $2, $3, $3 - $2, $4, $4 - $2, $5, $5 - $2
		exits = /^HLT/ ? 3 : 1		# at least
		over += $4 - $2 > exits * on || $3 - $2 > exits * (/TSC deadline/ ? fastpath : off)
	}
	$1 == "CPUID" { seen = 1 }
	END {
		kept = seen && !over
		printf "budget of an exit: %s: %s\n", budgets, kept ? "kept" : "not kept"
		exit !kept
	}' "$out/bench.csv"
