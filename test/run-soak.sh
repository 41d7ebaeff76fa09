#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the tests that take too long for make test, test/soak/*.sh, for every series and lane, one after the other, and
# ends with the line "N passed, N failed, N skipped". Exit status 1 if any failed. The verdicts are also in
# build/SERIES/soak/LANE/NAME.txt, the logs in the folder NAME beside it.
# Usage: make soak, or [KSERIES=...] [LANE=...] test/run-soak.sh [NAME...]; NAMEs, of test/soak, leave the others out

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(basename -s .sh "$top"/test/soak/*.sh)
for name in "${names[@]}"; do
	[ -x "$top/test/soak/$name.sh" ] || die "there is no test/soak/$name.sh"
done

# soak SERIES LANE NAME: its verdicts, each with the series and the lane before it.
soak()
{
	local dir=$top/build/$1/soak/$2 start=$SECONDS

	log "soak: Linux $1, $2: $3"
	mkdir -p "$dir"
	{
		KSERIES=$1 LANE=$2 "$top/test/soak/$3.sh" || echo "not ok $3: it ended with status $?"
	} | sed -u "s/^/$1 $2: /" | tee "$dir/$3.txt"
	[ -s "$dir/$3.txt" ] || echo "$1 $2: not ok $3: it gave no verdict" | tee "$dir/$3.txt"
	verdicts+=("$dir/$3.txt")
	log "soak: $3 took $((SECONDS - start)) seconds"
}

verdicts=()
for series in ${KSERIES:-$(cd "$top/patches" && echo *)}; do
	KSERIES=$series make -s --no-print-directory -C "$top" lab selftest exitstat
	for lane in ${LANE:-svm vmx}; do
		for name in "${names[@]}"; do
			soak "$series" "$lane" "$name"
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
	}' "${verdicts[@]}"
