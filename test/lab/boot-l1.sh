#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Boots L1, Debian's stock kernel with the KVM modules of DIR, and runs the shell script JOB in it.
# Usage: [LANE=vmx|svm] test/run-l1.sh [-b] [-c CPUS] [-d] [-k KERNEL] [-m DIR|none] [-t SECONDS] [-o OUTDIR]
#        {JOB [FILE...] | -i}
# LANE says what L1 has: vmx, in Bochs or where that is real in QEMU (default), or svm, in QEMU, always emulated.
# -b takes Bochs in any case, for a TSC that counts instructions.
# -c gives L1 more CPUs than one.
# -d boots the Debian of test/build-debian-l1.sh, from a disk that forgets what L1 writes; JOB loads KVM itself.
# -k boots another kernel than Debian's.
# -i puts L1's console, with a shell, on the terminal, instead of a job.
# The FILEs, directories too, lie in /job of L1 (and of L2). What JOB leaves in /out comes back into OUTDIR, with
# l1-console.log and l1-dmesg.txt. Exit status: that of JOB; 124 when the time is over; 1 when L1 failed.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

usage()
{
	die "usage: ${0##*/} [-b] [-c CPUS] [-d] [-k KERNEL] [-m DIR|none] [-t SECONDS] [-o OUTDIR]" \
		"{JOB [FILE...] | -i}"
}

# has_nested: can KVM here give its guests VMX? A /dev/kvm alone does not say so.
has_nested()
{
	[ -w /dev/kvm ] && command -v qemu-system-x86_64 >/dev/null &&
		grep -qsx '[Y1]' /sys/module/kvm_intel/parameters/nested
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

# start_bochs: Bochs boots from a CD only. Its term display needs a terminal, which script(1) gives it.
start_bochs()
{
	local console="mode=file, dev=$out/l1-console.log" sync=none drive='' model=corei7_haswell_4770

	[ "$lane" = vmx ] || model=trinity_apu		# later ones of AMD's do not boot Linux here

	if [ -n "$terminal" ]; then
		console="mode=term, dev=$terminal"
		sync=slowdown		# an idle second lasts a second
	fi
	[ -z "$disk" ] ||
		drive="ata0-slave: type=disk, mode=volatile, path=\"$disk\", journal=\"$work/disk\", cylinders=0"
	mkdir "$work/iso"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/"
	cp "$kernel" "$work/iso/vmlinuz"
	cp "$work/initrd" "$work/iso/initrd"
	cat >"$work/iso/isolinux.cfg" <<-END
		default l1
		prompt 0
		label l1
		kernel vmlinuz
		initrd initrd
		append $cmdline
	END
	xorriso -as mkisofs -quiet -o "$work/l1.iso" -b isolinux.bin -c boot.cat \
		-no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>"$out/xorriso.log" ||
		die "cannot make the CD for L1: see $out/xorriso.log"
	rm -r "$out/xorriso.log" "$work/iso"

	# reset_on_triple_fault=0 with reboot=t on the command line makes a panic of L1 the end of Bochs.
	cat >"$work/bochsrc" <<-END
		cpu: model=$model, count=$cpus:1:1, ips=50000000, reset_on_triple_fault=0
		memory: guest=1024, host=1024
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		clock: sync=$sync
		boot: cdrom
		ata0-master: type=cdrom, path="$work/l1.iso", status=inserted
		$drive
		display_library: term
		speaker: enabled=0
		com1: enabled=1, $console
		com2: enabled=1, mode=file, dev="$work/results"
		log: "$out/bochs.log"
		panic: action=fatal
		error: action=report
		info: action=ignore
		debug: action=ignore
	END
	echo c >"$work/debugger"	# Debian's Bochs stops in its debugger: continue
	cat >"$work/start" <<-END
		echo \$\$ >"$work/pid"
		exec bochs-bin -q -f "$work/bochsrc" -rc "$work/debugger"
	END
	: >"$out/bochs-screen.log"
	TERM=xterm script -qfec "sh $work/start" /dev/null </dev/null >"$out/bochs-screen.log" 2>&1 &
	l1=$!
	read_screen &
}

# read_screen: Bochs draws L1's screen on a terminal that it makes for that, and stands still once that is full.
read_screen()
{
	local screen=

	while [ -z "$screen" ]; do
		sleep 1
		kill -0 "$l1" 2>/dev/null || return 0
		screen=$(sed -n 's/^Bochs connected to screen "\([^"]*\)".*/\1/p' "$out/bochs-screen.log")
	done
	exec cat "$screen" >/dev/null 2>&1
}

# start_qemu CPU_ARGS...: the same in QEMU. With KVM, on a CPU with VMX, it is not tried: none of the machines
# that tested this has one.
start_qemu()
{
	local console=file:$out/l1-console.log drive=()

	[ -z "$terminal" ] || console=$terminal
	[ -z "$disk" ] || drive=(-drive "file=$disk,format=raw,snapshot=on")
	qemu-system-x86_64 "$@" "${drive[@]}" -smp "$cpus" -m 1024 -display none -no-reboot \
		-kernel "$kernel" -initrd "$work/initrd" -append "$cmdline" \
		-serial "$console" -serial "file:$work/results" \
		</dev/null >"$out/qemu.log" 2>&1 &
	l1=$!
	echo $l1 >"$work/pid"
}

# clean_up: at the end, however it comes. L1 is still there when something interrupts this.
# shellcheck disable=SC2317	# a trap calls it
clean_up()
{
	if [ -n "$l1" ]; then
		[ ! -s "$work/pid" ] || kill -KILL "$(cat "$work/pid")" 2>/dev/null || :
		kill "$l1" 2>/dev/null || :
		wait "$l1" 2>/dev/null || :
	fi
	[ -z "$terminal" ] || stty "$settings" <"$terminal" 2>/dev/null || :
	rm -rf "$work"
}

# show_progress: passes on the lines, once they have their end, that L1 has written for that since the last call.
show_progress()
{
	local line

	while read -r line; do
		shown=$((shown + 1))
		log "${line#lab: }"
	done < <(grep -as $'^lab: .*\r$' "$out/l1-console.log" | tr -d '\r' | tail -n +$((shown + 1)))
}

from=
limit=600
out=
terminal=
bochs=
cpus=1
disk=
kernel=$build/lab/vmlinuz
while getopts :bc:dk:m:t:o:i opt; do
	case $opt in
	b) bochs=1 ;;
	c) cpus=$OPTARG ;;
	d) disk=$build/debian/disk ;;
	k) kernel=$OPTARG ;;
	m) from=$OPTARG ;;
	t) limit=$OPTARG ;;
	o) out=$OPTARG ;;
	i) terminal=$(tty) || die "-i needs a terminal" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
if [ -n "$terminal" ]; then
	[ $# -eq 0 ] || usage
	limit=86400
	settings=$(stty -g)
else
	[ $# -ge 1 ] || usage
fi
[[ $limit =~ ^[1-9][0-9]*$ ]] || die "-t $limit: not a number of seconds"
[[ $cpus =~ ^[1-8]$ ]] || die "-c $cpus: not a number of CPUs"
for file in "$kernel" "$@"; do
	[ -e "$file" ] || die "$file: no such file"
done
lab=$build/lab
initrd=$lab/l1.cpio
[ -e "$initrd" ] || die "the lab is not built: run 'make lab'"
if [ -n "$disk" ]; then
	from=${from:-none}
	initrd=$build/debian/initrd
	[ -e "$disk" ] || die "L1's disk is not built: run 'test/build-debian-l1.sh'"
fi

work=$(mktemp -d)
l1=
shown=0
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work"/root/{job,modules}
from=${from:-$modules}
[ "$from" = none ] || put_modules "$work/root/modules"
job=${1:-console}
if [ -z "$terminal" ]; then
	cp "$job" "$work/root/job/run"
	shift
fi
[ $# -eq 0 ] || cp -r "$@" "$work/root/job/"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null) | cat "$initrd" - >"$work/initrd"

if [ -n "$terminal" ]; then
	out=$work
elif [ -z "$out" ]; then
	out=$(mktemp -d "$build/run.XXXXXX")
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out/l1-status"
: >"$out/l1-console.log"

# nowatchdog: emulated time and emulated work do not keep step, which looks like a soft lockup.
# clearcpuid=ht: Bochs's CPU model claims eight threads, has one, and the kernel warns about that.
# nopti and test/l1/fast-boot spare the emulator more than half of the boot.
# log_buf_len: several jobs log more than Debian's kernel keeps.
cmdline="console=ttyS0,115200 loglevel=5 tsc=reliable no_timer_check nowatchdog panic=-1 reboot=t"
cmdline+=" clearcpuid=ht log_buf_len=1M nokaslr nopti $(grep -v '^#' "$top/test/l1/fast-boot")"
# L2 looks for counters and the like that the emulated AMD CPUs lack: KVM shall not log that.
[ "$lane" = vmx ] || cmdline+=" kvm.report_ignored_msrs=0"
if [ -n "$bochs" ] || { [ "$lane" = vmx ] && ! has_nested; }; then
	log "L1 boots (Bochs, ${lane^^})"
	start_bochs
elif [ "$lane" = vmx ]; then
	log "L1 boots (QEMU)"
	start_qemu -accel kvm -cpu host
else
	log "L1 boots (QEMU, SVM)"
	# A family without the faults of EPYC's, which the kernel warns about. The emulated xsave, which AVX needs,
	# confuses L2's kernel.
	# QEMU loses a pending interrupt now and then: the emulation of VMRUN and of VM-exits changes what is pending
	# without a lock, while another thread runs the timers. A periodic tick soon makes it look again; from an idle
	# CPU's single timer L1 would never wake up.
	# Nor does its VMRUN load the interrupt shadow: a guest that an interrupt of the host stops between STI and HLT
	# takes its own before HLT, and may then wait for ever. Against that there is only test/lib-jobs.sh's second chance.
	cmdline+=" nohz=off highres=off"
	# The TSC is this machine's, of which bogomips is twice the frequency. When L1 measures that itself, against an
	# emulated timer on a busy machine, it may be wrong by any factor.
	cmdline+=" tsc_early_khz=$(awk '$1 == "bogomips" { printf "%d", $3 * 500; exit }' /proc/cpuinfo)"
	start_qemu -accel tcg -cpu EPYC,family=20,+svm,+npt,-xsave,-avx,-avx2
fi

end=$((SECONDS + limit))
while kill -0 "$l1" 2>/dev/null; do
	if [ $SECONDS -ge $end ]; then
		show_progress
		echo "${0##*/}: ${job##*/}: not done in $limit seconds: see the logs in $out" >&2
		exit 124
	fi
	sleep 0.5
	show_progress
done
l1=
show_progress

tar -xzf "$work/results" -C "$out" 2>/dev/null || :	# judged by what is in it
[ -s "$out/l1-status" ] ||
	die "${job##*/}: L1 ended without results: see the logs in $out"
status=$(cat "$out/l1-status")
rm "$out/l1-status"
[ "$status" -eq 0 ] || log "${job##*/}: exit status $status, the logs are in $out"
exit "$status"
