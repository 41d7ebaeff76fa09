#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# From nothing to a nested guest that reads its own VM-exits: gets, patches and builds KVM, boots L1 with it,
# boots L2 in that and reads the leaves there. Shows the result and keeps it in build/demo.
# Usage: [LANE=svm] make demo, which builds what it needs

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"

demo=$top/build/demo

need_packages python3
rm -rf "$demo"
mkdir -p "$demo/logs"
"$top/test/lab/boot-l1.sh" -o "$demo/logs" "$top/test/measure/demo/job.sh" ||
	die "the demo's run in L1 failed: see the lines above and $demo/logs"
"$top/test/compare/leaves.py" "$demo/logs"
mv "$demo/logs/exits.csv" "$demo/exits.csv"
cp "$demo/logs/l1-dmesg.txt" "$demo/l1-dmesg.txt"
cat "$demo/logs/l2-dmesg.txt" "$demo/logs/leaves.txt" >"$demo/l2.log"
read -r exits cycles <"$demo/logs/totals"

echo "VM-exits of L2, read in L2 with cpuid:"
awk -F, '
	NR == 1 { printf "%6s  %-22s %12s %16s\n", $1, $2, $3, $4; next }
	$3 > 0 { printf "%6s  %-22s %12s %16s\n", $1, $2, $3, $4; next }
	{ zero++ }
	END { printf "%6s  %d more reasons are defined and read zero\n", "", zero }' "$demo/exits.csv"
printf '%6s  %-22s %12s %16s\n' all "(0x4FFFFFFF, E)" "$exits" "$cycles"
echo
echo "L1's dmesg on the same reads:"
grep -E 'kvm: exit_stats: .*: [1-9][0-9]* (exits|cycles)$' "$demo/logs/leaves-log.txt"
echo
echo "Each value that L2 read is the one that L1 logged. Kept in build/demo: exits.csv, l1-dmesg.txt, l2.log"
