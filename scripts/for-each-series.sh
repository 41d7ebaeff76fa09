#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs a script for every series at the same time, or for SERIES only. It must end with a line "N passed, N failed,
# N skipped"; the last line here is their sum, after a repetition of the lines "not ok". Exit status 1 if any failed.
# Usage: for-each-series.sh [-n] SCRIPT; SCRIPT from the project's root

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# run_for SERIES: what SCRIPT prints, each line with the series before it; its last line into $counts/SERIES.last, and
# the lines "not ok" into $counts/SERIES.failed, to be found again among two thousand.
run_for()
{
	local line last=

	while IFS= read -r line; do
		printf '%s: %s\n' "$1" "$line"
		last=$line
		[[ $line != "not ok "* ]] || printf '%s: %s\n' "$1" "$line" >>"$counts/$1.failed"
	done < <(SERIES=$1 "$script" 2>&1)
	echo "$last" >"$counts/$1.last"
}

clean_up()
{
	local job

	for job in "${jobs[@]}"; do
		kill -TERM -- "-$job" || :
	done 2>/dev/null
	wait 2>/dev/null
	rm -rf "$counts"
}

script=$top/$1
read -r -a all <<<"${SERIES:-$(cd "$top/patches" && echo *)}"
if [ -n "$dry" ]; then
	for series in "${all[@]}"; do
		SERIES=$series "$script" -n
	done
	exit 0
fi

counts=$(mktemp -d)
jobs=()
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
set -m		# a process group for each, so that all of it ends with this
for series in "${all[@]}"; do
	run_for "$series" &
	jobs+=($!)
done
wait
jobs=()
cat "$counts"/*.failed 2>/dev/null || :
cat "$counts"/*.last | awk '
	/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5; next }
	{ failed++ }
	END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }'
