#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: an L2 migrates from one QEMU to another while a reader watches its exits.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# await_samples: until the reader has printed four more.
await_samples()
{
	local end

	end=$(($(l2 'wc -l </tmp/watched') + 4))
	while [ "$(l2 'wc -l </tmp/watched')" -lt $end ]; do
		sleep 1
	done
}

boot_l2
l2 'watch-exits.sh >/tmp/watched 2>&1 &'
await_samples

progress "L2 migrates"
old_pid=$l2_pid
l2_name=moved l2_qemu_args='-incoming unix:/run/migration'
start_l2
while [ ! -S /run/migration ]; do
	sleep 0.1
done
moved_stats=$(echo /sys/kernel/debug/kvm/"$l2_pid"-*)
expect "a VM that waits for a guest has zeros" exits "$(table_field "$moved_stats/exit_stats" total exits)" -eq 0
qmp migrate '"uri": "unix:/run/migration"'
while qmp query-migrate && status=${qmp_answer#*'"status": "'} && [ "${status%%\"*}" != completed ]; do
	case $status in
	failed*)	fail "$qmp_answer" ;;
	esac
	sleep 0.2
done
qmp quit
wait "$old_pid" || :
connect_l2
await_samples

l2 'touch /tmp/stop; sleep 2; cat /tmp/watched' >/out/watched.txt
end_l2

# Fields 1 to 3 of a sample are session, exits and cycles, 4 and 5 the differences.
# shellcheck disable=SC2046	# five numbers
set -- $(awk '
	$4 == "restarted" {
		restarts++
		other += $1 != session
		backwards += $2 < exits && $3 < cycles
	}
	$4 ~ /^[1-9]/ { good[restarts + 0]++ }
	$4 ~ /^-/ || $5 ~ /^-/ { negative++ }
	{ session = $1; exits = $2; cycles = $3 }
	END { print restarts + 0, other + 0, backwards + 0, negative + 0, (good[0] > 1) + (good[1] > 1) }' /out/watched.txt)
expect "the reader saw the counters start again once" restarts "$1" -eq 1
expect "the session was another one then" sessions "$2" -eq 1
expect "a difference across that would have been negative" differences "$3" -eq 1
expect "no difference that the reader printed was negative" differences "$4" -eq 0
expect "the reader saw differences before and after" "sides" "$5" -eq 2
