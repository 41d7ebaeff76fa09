# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # what scripts/lib.sh sets
# For test/soak/*.sh that run a job in L1 with a C program beside it: sourced after scripts/lib.sh.

# build_program PROGRAM DIR: test/PROGRAM.c, for L1.
build_program()
{
	need_packages binutils gcc libc6-dev linux-libc-dev
	quiet "$2/build.log" gcc -Wall -Wextra -Werror -O2 -static -pthread -o "$2/$1" "$top/test/$1.c"
}

# judge_run NAME DIR STATUS: prints NAME's verdicts of what ran in L1 and left its logs in DIR.
judge_run()
{
	local name=$1 out=$2 line

	[ "$3" -eq 0 ] || echo "not ok $name: its run in L1: exit status $3: see $out"
	[ -s "$out/verdicts" ] || echo "not ok $name: verdicts: there are none in $out"
	while IFS= read -r line; do
		case $line in
		ok\ *)		echo "ok $name: ${line#ok }" ;;
		*)		echo "not ok $name: ${line#not ok }" ;;
		esac
	done < <(cat "$out/verdicts" 2>/dev/null)
	if "$top/test/scan-splats.sh" "$out"/*-dmesg.txt "$out/l1-console.log" >"$out/splats.txt" 2>&1; then
		echo "ok $name: the logs have no splat"
	else
		echo "not ok $name: the logs have no splat: $(head -n 1 "$out/splats.txt")"
	fi
}

# run_soak NAME PROGRAM RUN_OPTION... JOB FILE...: builds test/PROGRAM.c, runs JOB with it, and prints NAME's verdicts.
# The logs are in build/SERIES/soak/LANE/NAME.
run_soak()
{
	local name=$1 program=$2 out=$build/soak/$lane/$1 status=0

	shift 2
	rm -rf "$out"
	mkdir -p "$out"
	build_program "$program" "$out"
	"$top/test/run-l1.sh" -o "$out" "$@" "$out/$program" || status=$?
	rm "$out/$program"
	judge_run "$name" "$out" $status
}
