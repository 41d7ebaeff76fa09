#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1 with one of run.sh's kernels: the jobs of the tests selftest and counters, as selftest.sh and counters.sh, with
# readers of what they count beside them, then whether the kernel's checkers still work, and what kmemleak has found.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
debug=/sys/kernel/debug

# read_all: the tables of all VMs, over and over; but not so often that the only CPU has no time left.
read_all()
{
	while :; do
		cat $debug/kvm/*/exit_stats $debug/kvm/*/vcpu*/exit_stats >/dev/null 2>&1 || :
		[ "$(nproc)" -gt 1 ] || sleep 1
	done
}

# scan_leaks: what is not referenced in two scans, once it is old enough.
scan_leaks()
{
	sleep 6
	echo scan >$debug/kmemleak
	echo scan >$debug/kmemleak
	cat $debug/kmemleak
}

read_all &
reader=$!
sh -eu /job/selftest.sh
unload_kvm		# it ends with KVM loaded in another way
load_kvm /modules
sh -eu /job/counters.sh
kill $reader
wait $reader || :

progress "asking the kernel's checkers"
case $(uname -r) in
*-debug)
	expect "KASAN is on" "lines in dmesg" "$(dmesg | grep -c 'KernelAddressSanitizer initialized')" -eq 1
	;;
esac
case $(uname -r) in
*-debug | *-locking)
	grep debug_locks /proc/lockdep_stats >/out/lockdep
	expect "lockdep is still on" "debug_locks" "$(grep -c ': *1$' /out/lockdep)" -eq 1
	scan_leaks >/out/leaks
	# Now what only KVM's own variables refer to is a leak, too, without the names of its functions.
	unload_kvm
	scan_leaks >>/out/leaks
	expect "KVM leaks nothing" "lines with its code" "$(grep -cE 'kvm|^ +(\[<.*>\] )?0xffffffff' /out/leaks)" -eq 0
	;;
*-kcsan)
	cat $debug/kcsan >/out/kcsan
	expect "KCSAN is on" "enabled" "$(sed -n 's/^enabled: //p' /out/kcsan)" = 1
	expect "KCSAN watched" "watchpoints" "$(sed -n 's/^setup_watchpoints: //p' /out/kcsan)" -gt 10000
	;;
*)
	fail "this is not a debug kernel: $(uname -r)"
	;;
esac
