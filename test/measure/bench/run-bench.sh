#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what a VM-exit costs with each kind of accounting, in Bochs, where a tick of the TSC is an
# instruction: Debian's own modules; ours, off and on; Debian's with the tracepoints on. Prints the table,
# keeps it in build/SERIES/bench/LANE/bench.csv. Exit status 1 when an exit is over the budget.
# Usage: [LANE=svm] make bench, which builds what it needs

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"

# Instructions that accounting may add to an exit, and to one that costs more. After a fastpath an exit reads the TSC even
# if accounting is off, which nothing did before. The slot of AMD's exit code for a page is looked up out of line.
budget_off=5 budget_on=22 fastpath_off=8 fastpath_on=23 page_on=22 absent_off=5 absent_on=22 hlt_off=5
[ "$lane" = vmx ] || page_on=25
# What 7.3's compiler makes of the code around the hooks takes more, most of all after the lookup of a leaf.
if [ "$series" = 7.3 ]; then
	absent_off=17 absent_on=31 hlt_off=7	# two of the four exits of that row take a fastpath there
	if [ "$lane" = vmx ]; then budget_off=6; else page_on=26; fi
fi

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
awk -F, -v off=$budget_off -v on=$budget_on -v fastpath_off=$fastpath_off -v fastpath_on=$fastpath_on -v page_on=$page_on \
	-v absent_off=$absent_off -v absent_on=$absent_on -v hlt_off=$hlt_off '
	NR == 1 { printf "%-28s %5s %10s %16s %16s %18s\n", $1, $2, $3, $4, $5, $6; next }
	{
		printf "%-28s %5d %10d %9d (%+4d) %9d (%+4d) %10d (%+5d)\n",
			$1, $2, $3, $4, $4 - $3, $5, $5 - $3, $6, $6 - $3
		may_off = $1 ~ /TSC deadline/ ? fastpath_off : $1 ~ /absent/ ? absent_off : $1 ~ /^HLT/ ? hlt_off : off
		may_on = $1 ~ /TSC deadline/ ? fastpath_on : $1 ~ /absent/ ? absent_on : $1 ~ /^page/ ? page_on : on
		over += $4 - $3 > $2 * may_off || $5 - $3 > $2 * may_on
	}
	$1 == "CPUID" { seen = 1 }
	END {
		kept = seen && !over
		printf "budget of an exit: off +%d, after a fastpath +%d, of an absent leaf +%d;\n", off, fastpath_off, absent_off
		printf "on +%d, after a fastpath +%d, of a page +%d, of an absent leaf +%d: %s\n", on, fastpath_on, page_on, absent_on,
			kept ? "kept" : "not kept"
		exit !kept
	}' "$out/bench.csv"
