# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # what scripts/lib.sh sets
# Running jobs in L1, for test/run-tests.sh and test/soak/*.sh: sourced after scripts/lib.sh.

# run_job DIR [OPTION...] FILE...: test/run-l1.sh with these, the results in DIR. QEMU forgets an interrupt now and
# then, as test/run-l1.sh tells. Where a guest waits for ever then, it gets a second chance, and this says so.
run_job()
{
	local status=0

	"$top/test/run-l1.sh" -o "$@" || status=$?
	if [ $status -eq 124 ] && [ "$lane" = svm ]; then
		log "once more, because QEMU may have forgotten an interrupt: $1"
		rm -rf "$1.first"
		mv "$1" "$1.first"
		status=0
		"$top/test/run-l1.sh" -o "$@" || status=$?
	fi
	return $status
}

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
	local name=$1 program=$2 out=$build/soak/$lane/$1 programs=$build/soak/$lane/programs status=0

	shift 2
	rm -rf "$out"
	mkdir -p "$out" "$programs"
	build_program "$program" "$programs"
	run_job "$out" "$@" "$programs/$program" || status=$?
	judge_run "$name" "$out" $status
}
