#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the tests that take too long for make test, test/soak/*.sh, for every series and lane, one after the other, and
# ends with the line "N passed, N failed, N skipped". Exit status 1 if any failed. All verdicts are in build/soak.txt,
# the logs in build/SERIES/soak.
# Usage: make soak, or [KSERIES=...] [LANE=...] test/run-soak.sh [NAME...]; NAMEs, of test/soak, leave the others out

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

verdicts=$top/build/soak.txt
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(basename -s .sh "$top"/test/soak/*.sh)
for name in "${names[@]}"; do
	[ -x "$top/test/soak/$name.sh" ] || die "there is no test/soak/$name.sh"
done

# soak SERIES LANE NAME: its verdicts, each with the series and the lane before it.
soak()
{
	local line any=

	log "soak: Linux $1, $2: $3"
	while IFS= read -r line; do
		any=1
		printf '%s %s: %s\n' "$1" "$2" "$line"
	done < <(KSERIES=$1 LANE=$2 "$top/test/soak/$3.sh" || echo "not ok $3: it ended with status $?")
	[ -n "$any" ] || printf '%s %s: not ok %s: it gave no verdict\n' "$1" "$2" "$3"
}

mkdir -p "$top/build"
rm -f "$verdicts"
for series in ${KSERIES:-$(cd "$top/patches" && echo *)}; do
	KSERIES=$series make -s --no-print-directory -C "$top" lab selftest exitstat
	for lane in ${LANE:-svm vmx}; do
		for name in "${names[@]}"; do
			soak "$series" "$lane" "$name" | tee -a "$verdicts"
		done
	done
done
awk '
	/^[^:]*: ok /		{ passed++ }
	/^[^:]*: not ok /	{ failed++ }
	/^[^:]*: skip /		{ skipped++ }
	END {
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed > 0
	}' "$verdicts"
