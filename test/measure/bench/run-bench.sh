#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what a VM-exit costs with each kind of accounting, in Bochs, where a tick of the TSC is an
# instruction: Debian's own modules; ours, off and on; Debian's with the tracepoints on. Prints the table,
# keeps it in build/SERIES/bench/LANE/bench.csv. Exit status 1 when an exit is over the budget.
# Usage: [LANE=svm] make bench, which builds what it needs

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"

# Instructions that accounting may add to an exit, of which a row may have more than one. An exit that a fastpath handles
# reads the TSC even if accounting is off, which nothing did before. The slot of AMD's exit code for a page is looked up out
# of line.
budget_on=22 budget_off=5 fastpath_off=8 page_on=22
[ "$lane" = vmx ] || page_on=25

out=$build/bench/$lane
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bench=$top/test/measure/bench
"$bench/build-bench.sh" "$work"
rm -rf "$out"
"$top/test/lab/boot-l1.sh" -b -m none -o "$out" "$bench/job.sh" "$work"/{stock.tar,patched.tar,bench-exits} ||
	die "the benchmark failed in L1: see the lines above and $out"

for kind in unpatched off on tracepoints; do
	[ -s "$out/bench-$kind.csv" ] || die "no numbers for '$kind': see $out"
done
(cd "$out" && {
	echo exit,exits,unpatched,off,on,tracepoints
	paste -d, bench-unpatched.csv bench-off.csv bench-on.csv bench-tracepoints.csv | cut -d, -f1-3,6,9,12
} >bench.csv)

read -r size objects pages <"$out/slab-unpatched.txt"
echo "Memory of a vCPU, by /proc/slabinfo: $size bytes unpatched, $objects in $((pages * 4)) KiB;"
read -r size objects pages <"$out/slab-on.txt"
echo "with the series $size bytes, $objects in $((pages * 4)) KiB"
echo "Instructions of a VM-exit and back, seen by the guest:"
awk -F, -v on=$budget_on -v off=$budget_off -v fastpath=$fastpath_off -v page=$page_on '
	NR == 1 { printf "%-28s %5s %10s %16s %16s %18s\n", $1, $2, $3, $4, $5, $6; next }
	{
		printf "%-28s %5d %10d %9d (%+4d) %9d (%+4d) %10d (%+5d)\n",
			$1, $2, $3, $4, $4 - $3, $5, $5 - $3, $6, $6 - $3
		over += $5 - $3 > $2 * ($1 ~ /^page/ ? page : on) || $4 - $3 > $2 * ($1 ~ /TSC deadline/ ? fastpath : off)
	}
	$1 == "CPUID" { seen = 1 }
	END {
		kept = seen && !over
		printf "budget of an exit: off +%d, after a fastpath +%d; on +%d, of a page +%d: %s\n", off, fastpath, on, page, kept ? "kept" : "not kept"
		exit !kept
	}' "$out/bench.csv"
