#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# On the real cores of this machine: nanoseconds to count an exit with 1 to 8 threads, the series' way (plain) and with
# the LOCK prefix, in arrays of each thread's own (locked) and in one for all (shared), by test/programs/model-counters.c.
# The table is DIR/table.txt. Usage: run.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"

out=$1

for threads in 1 2 4 8; do
	log "counting with $threads threads"
	"$top/build/programs/model-counters" $threads
done >"$out/model.csv"
{
	echo "nanoseconds of CPU time an update, on $(nproc) CPUs, $(sed -n '/^model name/ { s/.*: //p; q }' /proc/cpuinfo):"
	awk -F, '
		BEGIN { format = "%7s %8s %8s %8s\n"; printf format, "threads", "plain", "locked", "shared" }
		{ ns[$1, $2] = $3 }
		$1 == "shared" { printf format, $2, ns["plain", $2], ns["locked", $2], $3 }' "$out/model.csv"
} >"$out/table.txt"
cat "$out/table.txt" >&2

awk -F, '
	{ ns[$1] = $3 }
	$1 == "shared" {
		what = sprintf("%d threads: plain is the cheapest", $2)
		cheapest = ns["plain"] < ns["locked"] && ns["plain"] < ns["shared"]
		print cheapest ? "ok " what : "not ok " what ": " ns["plain"] ", " ns["locked"] ", " ns["shared"]
		rows++
	}
	END { if (rows != 4) print "not ok 4 rows: " rows + 0 }' "$out/model.csv"
