#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# On the real cores of this machine: nanoseconds to count an exit with 1 to 8 threads, the series' way (plain) and with
# the LOCK prefix, in arrays of each thread's own (locked) and in one for all (shared), by test/model-counters.c. The
# table is build/SERIES/soak/LANE/model-counters/table.txt; neither series nor lane matters to it.
# Usage: test/soak/model-counters.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

out=$build/soak/$lane/model-counters

need_packages gcc libc6-dev
rm -rf "$out"
mkdir -p "$out"
quiet "$out/gcc.log" gcc -Wall -Wextra -Werror -O2 -pthread -o "$out/model-counters" "$top/test/model-counters.c"
for threads in 1 2 4 8; do
	log "counting with $threads threads"
	"$out/model-counters" $threads
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
		what = sprintf("model-counters: %d threads: plain is the cheapest", $2)
		cheapest = ns["plain"] < ns["locked"] && ns["plain"] < ns["shared"]
		print cheapest ? "ok " what : "not ok " what ": " ns["plain"] ", " ns["locked"] ", " ns["shared"]
		rows++
	}
	END { if (rows != 4) print "not ok model-counters: 4 rows: " rows + 0 }' "$out/model.csv"
