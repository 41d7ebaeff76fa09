#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boots L1, Debian's stock kernel with the KVM modules of DIR, and runs jobs, shell scripts, in it.
# Usage: [LANE=vmx|svm] test/lab/boot-l1.sh [-b] [-c CPUS] [-d] [-k KERNEL] [-m DIR|none] [-t SECONDS] [-o OUTDIR]
#        {JOB [FILE...] | -j JOBS | -i}
# LANE says what L1 has: vmx, in Bochs or where that is real in QEMU (default), or svm, in QEMU, always emulated.
# -b takes Bochs in any case, for a TSC that counts instructions.
# -c gives L1 more CPUs than one.
# -d boots the Debian of test/lab/build-debian.sh, from a disk that forgets what L1 writes; jobs load KVM themselves.
# -k boots another kernel than Debian's.
# -i puts L1's console, with a shell, on the terminal, instead of a job.
# The FILEs, directories too, lie in /job of L1 (and of L2), beside JOB. -j runs several: in JOBS each has its folder, with
# its files and job.sh, and the file "order" names them.
# What JOB leaves in /out comes into OUTDIR, its verdicts into OUTDIR/verdicts; of several jobs into OUTDIR/NAME. L1's
# own l1-console.log and l1-dmesg.txt lie in OUTDIR.
# Exit status: JOB's, or 0 when L1 has run all of JOBS; 124 when the time is over; 1 when L1 failed.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=test/lab/bochs.sh
. "$top/test/lab/bochs.sh"
# shellcheck source=test/lab/qemu.sh
. "$top/test/lab/qemu.sh"

usage()
{
	die "usage: ${0##*/} [-b] [-c CPUS] [-d] [-k KERNEL] [-m DIR|none] [-t SECONDS] [-o OUTDIR]" \
		"{JOB [FILE...] | -j JOBS | -i}"
}

# put_modules DIR: the modules that L1 loads, into DIR. Without debug information and signature, both
# of which are slow to load here.
put_modules()
{
	local m vendor=intel

	[ "$lane" = vmx ] || vendor=amd
	for m in kvm kvm-$vendor; do
		if [ -e "$from/$m.ko" ]; then
			cp "$from/$m.ko" "$1/$m.ko"
		elif [ -e "$from/$m.ko.xz" ]; then
			xz -dc "$from/$m.ko.xz" >"$1/$m.ko"
		else
			die "no $m.ko in $from: run 'make build'"
		fi
		strip --strip-debug "$1/$m.ko"
	done
	# What they need, if it is there, too: for another kernel than Debian's.
	for m in irqbypass ccp; do
		[ ! -e "$from/$m.ko" ] || cp "$from/$m.ko" "$1/"
	done
}

# put_jobs DIR FILE...: what L1 has in /job.
put_jobs()
{
	local dir=$1

	shift
	if [ -n "$jobs" ]; then
		cp -r "$jobs/." "$dir"
	elif [ $# -gt 0 ]; then
		echo only >"$dir/order"
		mkdir "$dir/only"
		cp "$1" "$dir/only/job.sh"
		shift
		[ $# -eq 0 ] || cp -r "$@" "$dir/only/"
	fi
}

# stop_l1: if it is still there.
stop_l1()
{
	[ -n "$l1" ] || return 0
	[ ! -s "$work/pid" ] || kill -KILL "$(cat "$work/pid")" 2>/dev/null || :
	kill "$l1" 2>/dev/null || :
	wait "$l1" 2>/dev/null || :
	l1=
}

# clean_up: at the end, however it comes.
clean_up()
{
	stop_l1
	[ -z "$terminal" ] || stty "$settings" <"$terminal" 2>/dev/null || :
	rm -rf "$work"
}

# show_progress: prints L1's new progress lines; a line counts once its CR is there.
show_progress()
{
	local line

	while read -r line; do
		shown=$((shown + 1))
		[ "$line" = "lab: job only" ] || log "${line#lab: }"
	done < <(grep -as $'^lab: .*\r$' "$out/l1-console.log" | tr -d '\r' | tail -n +$((shown + 1)))
}

# boot_l1: starts it. Sets may_forget where the emulator is known to forget an interrupt, so that a guest waits for ever.
boot_l1()
{
	# nowatchdog: emulated time and emulated work do not keep step, which looks like a soft lockup.
	# clearcpuid=ht: Bochs's CPU model claims eight threads, has one, and the kernel warns about that.
	# nopti and test/lab/l1/fast-boot spare the emulator more than half of the boot.
	# log_buf_len: several jobs log more than Debian's kernel keeps.
	cmdline="console=ttyS0,115200 loglevel=5 tsc=reliable no_timer_check nowatchdog panic=-1 reboot=t"
	cmdline+=" clearcpuid=ht log_buf_len=1M nokaslr nopti $(grep -v '^#' "$top/test/lab/l1/fast-boot")"
	# L2 looks for counters and the like that the emulated AMD CPUs lack: KVM shall not log that.
	[ "$lane" = vmx ] || cmdline+=" kvm.report_ignored_msrs=0"
	shown=0
	may_forget=
	: >"$out/l1-console.log"
	if [ -n "$bochs" ] || { [ "$lane" = vmx ] && ! has_nested; }; then
		"$top/test/lab/build-bochs.sh"
		log "L1 boots (Bochs, ${lane^^})"
		start_bochs
	else
		log "L1 boots (QEMU, ${lane^^})"
		[ "$lane" = vmx ] || [ -n "$terminal" ] || may_forget=1
		start_qemu
	fi
}

# await_l1: until it ends. False, and L1 is stopped, when the time is over.
await_l1()
{
	local end=$((SECONDS + limit))

	while kill -0 "$l1" 2>/dev/null; do
		if [ $SECONDS -ge $end ]; then
			show_progress
			echo "${0##*/}: $what: not done in $limit seconds: see the logs in $out" >&2
			stop_l1
			return 1
		fi
		sleep 0.5
		show_progress
	done
	l1=
	show_progress
}

from=
limit=600
out=
jobs=
terminal=
bochs=
cpus=1
disk=
kernel=$build/lab/vmlinuz
initrd=$build/lab/l1.cpio
while getopts :bc:dj:k:m:t:o:i opt; do
	case $opt in
	b) bochs=1 ;;
	c) cpus=$OPTARG ;;
	d) disk=$build/lab/debian.disk ;;
	j) jobs=$OPTARG ;;
	k) kernel=$OPTARG ;;
	m) from=$OPTARG ;;
	t) limit=$OPTARG ;;
	o) out=$OPTARG ;;
	i) terminal=$(tty) || die "-i needs a terminal" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
what=${jobs:-${1-}}
if [ -n "$terminal" ]; then
	[ -z "$what" ] || usage
	what=console
	limit=86400
	settings=$(stty -g)
elif [ -n "$jobs" ]; then
	[ $# -eq 0 ] || usage
	[ -s "$jobs/order" ] || die "$jobs/order: no such file"
else
	[ $# -ge 1 ] || usage
fi
[[ $limit =~ ^[1-9][0-9]*$ ]] || die "-t $limit: not a number of seconds"
[[ $cpus =~ ^[1-8]$ ]] || die "-c $cpus: not a number of CPUs"
for file in "$kernel" "$@"; do
	[ -e "$file" ] || die "$file: no such file"
done
[ -e "$initrd" ] || die "the lab is not built: run 'make lab'"
if [ -n "$disk" ]; then
	from=${from:-none}
	initrd=$build/lab/debian.cpio
	if [ ! -e "$disk" ] || [ ! -e "$initrd" ]; then
		die "L1's Debian is not built: run 'test/lab/build-debian.sh $series'"
	fi
fi

work=$(mktemp -d)
l1=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work"/root/{job,modules}
from=${from:-$modules}
[ "$from" = none ] || put_modules "$work/root/modules"
put_jobs "$work/root/job" "$@"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null) | cat "$initrd" - >"$work/initrd"

if [ -n "$terminal" ]; then
	out=$work
elif [ -z "$out" ]; then
	out=$(mktemp -d "$build/run.XXXXXX")
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/{l1-,}status

boot_l1
if ! await_l1; then
	[ -n "$may_forget" ] || exit 124
	log "once more, because QEMU may have forgotten an interrupt; the first boot's logs are in $out.first"
	rm -rf "$out.first"
	mv "$out" "$out.first"
	mkdir "$out"
	boot_l1
	await_l1 || exit 124
fi

strip=
[ -n "$jobs" ] || strip='s,^\./only/,./,'
tar -xzf "$work/results" -C "$out" ${strip:+--transform "$strip"} 2>/dev/null || :	# judged by what is in it
[ -s "$out/l1-status" ] || die "$what: L1 ended without results: see the logs in $out"
status=$(cat "$out/l1-status")
rm "$out/l1-status"
if [ -z "$jobs" ] && [ -z "$terminal" ] && [ "$status" -eq 0 ]; then
	status=$(cat "$out/status")
	rm "$out/status"
fi
[ "$status" -eq 0 ] || log "$what: exit status $status, the logs are in $out"
exit "$status"
