#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the tests of one series on its real kernel in the lab, on VMX and on SVM, one line each, and ends with the line
# "N passed, N failed, N skipped". Exit status 1 if any failed; the logs are in build/SERIES/test.
# Usage: make test, or [KSERIES=...] [LANE=...] test/run-tests.sh; LANE=vmx or svm leaves the other out

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
# shellcheck source=test/lib-jobs.sh
. "$top/test/lib-jobs.sh"

out=$build/test
jobs=$top/test/jobs
kvm_stat=$ktree/tools/kvm/kvm_stat/kvm_stat
passed=0 failed=0 skipped=0
where=			# "LANE: " before the names of that lane's tests

ok() { passed=$((passed + 1)); echo "ok $where$1"; }
not_ok() { failed=$((failed + 1)); echo "not ok $where$1: $2"; }
skip() { skipped=$((skipped + 1)); echo "skip $where$1: $2"; }

# verdict NAME COMMAND...: passes when COMMAND does; what it prints says why it does not.
verdict()
{
	local name=$1 why

	shift
	if why=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "$(tail -n 1 <<<"$why")"
	fi
}

# read_selftest DIR NAME: each line of the selftest's TAP is a test. A selftest that dies between two of them,
# or has none, is a failed test of its own; exit status 4 of a KVM selftest means that it cannot run here.
read_selftest()
{
	local tap=$1/$2.txt name="selftest ($2)" line status

	while read -r line; do
		if [[ $line =~ ^ok\ [0-9]+\ (.*[^ ])?\ *\#\ SKIP\ *(.*)$ ]]; then
			skip "$name" "${BASH_REMATCH[1]}${BASH_REMATCH[2]}"
		elif [[ $line =~ ^ok\ [0-9]+\ (.*)$ ]]; then
			ok "$name ${BASH_REMATCH[1]}"
		elif [[ $line =~ ^not\ ok\ [0-9]+\ (.*)$ ]]; then
			not_ok "$name ${BASH_REMATCH[1]}" "see $tap"
		fi
	done <"$tap"
	status=$(cat "$1/$2.status")
	case $status in
	0)	ok "$name ends" ;;
	4)	skip "$name ends" "it cannot run here: $(tail -n 1 "$tap")" ;;
	*)	not_ok "$name ends" "exit status $status: see $tap" ;;
	esac
}

# check_sum DIR SNAPSHOT: all slots together are KVM's own count of exits, and the table's total.
check_sum()
{
	awk -v exits="$(cat "$1/$2.exits")" '
		NR > 1 && $1 != "total" { sum += $3 }
		$1 == "total" { total = $2 }
		END {
			printf "sum of the slots %d, total %d, exits %d\n", sum, total, exits
			exit !(sum > 0 && sum == total && sum == exits)
		}' "$1/$2.stats"
}

# check_hist DIR SNAPSHOT: reason by reason what the tracepoint kvm_exit has seen. The trigger counts the full exit
# reason, in decimal, of which on VMX the lower half is the basic one; OTHER (failed entries) it does not see. The
# table is in hex on SVM.
check_hist()
{
	awk '
		FNR == NR && match($0, /exit_reason: *[0-9]+ /) {
			reason = substr($0, RSTART + 12, RLENGTH - 12) + 0
			match($0, /hitcount: *[0-9]+/)
			reason = svm ? sprintf("0x%x", reason) : reason % 65536
			seen[reason] += substr($0, RSTART + 9, RLENGTH - 9)
			rows++
		}
		FNR == NR || $1 !~ /^[0-9]/ { next }
		{ counted[$1] = $3; seen[$1] += 0 }
		END {
			if (!rows) {
				print "the histogram is empty"
				exit 1
			}
			for (r in seen)
				if (seen[r] != counted[r] + 0) {
					printf "reason %s: counted %d, traced %d\n", r, counted[r], seen[r]
					exit 1
				}
		}' svm="$([ "$lane" = vmx ] || echo 1)" "$1/$2.hist" "$1/$2.stats"
}

# check_brackets DIR: what L2 read with cpuid lies between the snapshots before and after.
check_brackets()
{
	awk '
		FILENAME ~ /exits.csv$/ {
			if (FNR > 1) {
				split($0, f, ",")
				if (f[3] < before[f[1]] + 0 || f[3] > after[f[1]] + 0) {
					printf "reason %s: read %d, before %d, after %d\n", f[1], f[3], before[f[1]], after[f[1]]
					exit bad = 1
				}
				rows++
			}
			next
		}
		$1 !~ /^[0-9]/ { next }
		FILENAME ~ /before.stats$/ { before[$1] = $3; next }
		{ after[$1] = $3 }
		END {
			if (!bad && !rows)
				print "no reasons were read"
			exit bad || !rows
		}' "$1/before.stats" "$1/after.stats" "$1/exits.csv"
}

# read_verdicts FILE [PREFIX]: those of a job, at least one.
read_verdicts()
{
	local line

	if [ ! -s "$1" ]; then
		not_ok "${2-}verdicts" "there are none in $1"
		return
	fi
	while IFS= read -r line; do
		case $line in
		ok\ *)		ok "${2-}${line#ok }" ;;
		*)		not_ok "${2-}${line#not ok }" "see $1" ;;
		esac
	done <"$1"
}

# stage JOB [FILE...]: one of the jobs that the next test_staged runs.
stage()
{
	local name

	name=$(basename "$1" .sh)
	mkdir -p "$staged/$name"
	cp "$1" "$staged/$name/run"
	[ $# -eq 1 ] || cp "${@:2}" "$staged/$name/"
	echo "$name" >>"$staged/order"
}

# test_staged DIR: runs the staged jobs in one L1, because its boot takes Bochs longer than many a job. Each has its own
# results below DIR, to be judged.
test_staged()
{
	local dir=$1 limit=1500

	[ "$lane" = vmx ] || limit=600		# an interrupt that QEMU forgets shall not cost more
	run_job "$dir" -t $limit "$jobs/several.sh" "$staged"/* || not_ok "${dir##*/}" "its run in L1 failed: see $dir"
	rm -r "$staged"
	verdict "${dir##*/}: L1's log has no splat" "$top/test/scan-splats.sh" "$dir"/l1-{dmesg.txt,console.log}
}

# ended DIR: did the job that ran there end well?
ended() { [ "$(cat "$1/status" 2>/dev/null)" = 0 ]; }

judge_counters()
{
	local dir=$1 when

	if ended "$dir"; then
		verdict "cpuid in L2 reads what L1 logs" "$top/test/check-leaves.sh" "$dir"
		for when in before after; do
			verdict "sum of the slots is KVM's exits, $when the reads" check_sum "$dir" $when
			verdict "debugfs agrees with the tracepoint, $when the reads" check_hist "$dir" $when
		done
		verdict "cpuid in L2 reads between the snapshots" check_brackets "$dir"
		read_verdicts "$dir/verdicts"
	else
		not_ok "L2 boot" "its job in L1 failed: see $dir"
	fi
	verdict "L2's log has no splat" "$top/test/scan-splats.sh" "$dir/l2-dmesg.txt"
}

# judge_views DIR: whether all views of an L2 show the same.
judge_views()
{
	judge_job "$1" views
	"$top/test/check-views.sh" "$1" >"$1/views" 2>"$1/views.log" || not_ok views "see $1/views.log"
	read_verdicts "$1/views" "views: "
}

judge_selftest()
{
	local dir=$1 status

	if ended "$dir"; then
		for status in "$dir"/*.status; do
			read_selftest "$dir" "$(basename "$status" .status)"
		done
	else
		not_ok "selftest" "its job in L1 failed: see $dir"
	fi
}

# judge_job DIR NAME: what the job gave verdicts on.
judge_job()
{
	ended "$1" || not_ok "$2" "its job in L1 failed: see $1"
	read_verdicts "$1/verdicts" "$2: "
	# The consoles, too: dmesg is of the last boot only.
	verdict "$2: the logs have no splat" "$top/test/scan-splats.sh" "$1"/*-{dmesg.txt,console.log}
}

# test_nested DIR: L2 is a hypervisor, too, with the same KVM and an L3. DIR/l2 has its results, as DIR has L1's.
test_nested()
{
	local dir=$1 when

	if run_job "$dir" -t 400 "$jobs/nested.sh" "$jobs/nested-l2.sh" "$jobs/read-leaves.sh"; then
		for when in during after; do
			verdict "nested: sum of L2's slots is KVM's exits, $when L3's run" check_sum "$dir" $when
			verdict "nested: L1's debugfs agrees with the tracepoint, $when L3's run" check_hist "$dir" $when
		done
		for when in before after; do
			verdict "nested: sum of L3's slots is KVM's exits, $when the reads" check_sum "$dir/l2" $when
			verdict "nested: L2's debugfs agrees with the tracepoint, $when the reads" check_hist "$dir/l2" $when
		done
		verdict "nested: L2 counts what L1 reflects, reason by reason" check_hist "$dir/l2" reflected
		verdict "nested: cpuid in L3 reads what L2 logs" "$top/test/check-leaves.sh" "$dir/l2"
		verdict "nested: cpuid in L3 reads between the snapshots" check_brackets "$dir/l2"
		read_verdicts "$dir/verdicts" "nested: "
		read_verdicts "$dir/l2/verdicts" "nested: "
	else
		not_ok "nested" "its run in L1 failed: see $dir"
	fi
	verdict "nested: L1's log has no splat" "$top/test/scan-splats.sh" "$dir/l1-dmesg.txt"
	verdict "nested: L2's log has no splat" "$top/test/scan-splats.sh" "$dir/l2-dmesg.txt"
	verdict "nested: L3's log has no splat" "$top/test/scan-splats.sh" "$dir/l2/l2-dmesg.txt"
}

# test_debian DIR NAME RUN_OPTION... JOB FILE...: a job in a Debian as L1.
test_debian()
{
	local dir=$1 name=$2 status=0

	run_job "$dir" -d "${@:3}" || status=$?
	echo $status >"$dir/status"
	judge_job "$dir" "$name"
}

make -s --no-print-directory -C "$top" lab selftest exitstat
"$top/test/build-debian-l1.sh"
rm -rf "$out"
mkdir -p "$out"
quiet "$out/kexec.log" gcc -Wall -Wextra -Werror -O2 -static -o "$out/kexec" "$top/test/kexec.c"
quiet "$out/exit-workload.log" gcc -Wall -Wextra -Werror -O2 -static -nostdlib -ffreestanding \
	-o "$out/exit-workload" "$top/test/exit-workload.c"

verdict "the splat scan works" "$top/test/check-scan.sh"
"$top/test/check-host.sh" >"$out/host-trouble" 2>"$out/host-trouble.log" ||
	not_ok "host's commands in trouble" "see $out/host-trouble.log"
read_verdicts "$out/host-trouble" "host: "
"$top/test/check-exitstat.sh" >"$out/exitstat" 2>"$out/exitstat.log" || not_ok exitstat "see $out/exitstat.log"
read_verdicts "$out/exitstat" "exitstat: "

for lane in ${LANE:-svm vmx}; do
	export LANE=$lane
	where="$lane: "
	staged=$out/$lane/staged
	stage "$jobs/counters.sh" "$jobs/read-leaves.sh"
	stage "$jobs/views.sh" "$jobs/read-views.sh"
	stage "$jobs/selftest.sh" "$selftests"/{exit_stats,kvm_binary_stats}_test	# last: it loads KVM in another way
	test_staged "$out/$lane/numbers"
	judge_counters "$out/$lane/numbers/counters"
	judge_views "$out/$lane/numbers/views"
	judge_selftest "$out/$lane/numbers/selftest"

	stage "$jobs/migrate.sh" "$jobs/read-totals.sh" "$jobs/watch-exits.sh"
	stage "$jobs/survive.sh" "$jobs/read-totals.sh" "$out/kexec"
	stage "$jobs/exitstat.sh" "$build/exitstat/exitstat" "$out/exit-workload"
	# In the SVM lane L1's own periodic tick is most of what its guest could see; on 6.1 it takes over 3 minutes.
	[ "$kseries-$lane" != 6.12-vmx ] || stage "$jobs/host-load.sh"
	test_staged "$out/$lane/lives"
	judge_job "$out/$lane/lives/migrate" migration
	judge_job "$out/$lane/lives/survive" survival
	judge_job "$out/$lane/lives/exitstat" exitstat
	[ "$kseries-$lane" != 6.12-vmx ] || judge_job "$out/$lane/lives/host-load" "host's load"

	test_debian "$out/$lane/host" host -t 900 "$jobs/host.sh" "$kvm_stat" "$jobs/read-leaves.sh"
	verdict "host: cpuid in L2 reads what L1 logs" "$top/test/check-leaves.sh" "$out/$lane/host"
	if [ "$lane" = svm ]; then	# Bochs would take too long for an L3, and 5 minutes for the tools
		test_nested "$out/$lane/nested"
		test_debian "$out/$lane/tools" tools "$jobs/compare-tools.sh" "$kvm_stat"
	fi
done

[ $failed -eq 0 ] || echo "the logs are in $out"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
