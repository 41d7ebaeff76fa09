# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# L1 in Bochs, which has VMX, and where one tick of the TSC is one instruction: sourced by boot-l1.sh. What Bochs gets
# wrong is in Documentation/lab.rst.

# start_bochs: sets l1. Bochs boots from a CD only. Its term display needs a terminal, which script(1) gives it.
start_bochs()
{
	local console="mode=file, dev=$out/l1-console.log" sync=none drive='' model=corei7_haswell_4770
	local program=$top/build/bochs/bochs debugger=

	# With two CPUs an L2 dies in Bochs 3.0.
	if [ "$cpus" -gt 1 ] || [ ! -e "$program" ]; then
		need_packages bochs bochs-term
		program=bochs-bin debugger="-rc '$work/debugger'"
		echo c >"$work/debugger"	# Debian's stops in its debugger: continue
	fi
	[ "$lane" = vmx ] || model=trinity_apu		# later ones of AMD's do not boot Linux here
	if [ -n "$terminal" ]; then
		console="mode=term, dev=$terminal"
		sync=slowdown		# an idle second lasts a second
	fi
	[ -z "$disk" ] ||
		drive="ata0-slave: type=disk, mode=volatile, path=\"$disk\", journal=\"$work/disk\", cylinders=0"
	make_cd

	# reset_on_triple_fault=0 with reboot=t on the command line makes a panic of L1 the end of Bochs.
	cat >"$work/bochsrc" <<-END
		cpu: model=$model, count=$cpus:1:1, ips=50000000, reset_on_triple_fault=0
		memory: guest=1024, host=1024
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/vgabios/vgabios.bin
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
	# Its terminal makes it a session of its own, for which its niceness does not count among all processes.
	cat >"$work/start" <<-END
		echo \$\$ >"$work/pid"
		nice >/proc/self/autogroup 2>/dev/null || :
		exec "$program" $debugger -q -f "$work/bochsrc"
	END
	: >"$out/bochs-screen.log"
	TERM=xterm script -qfec "sh $work/start" /dev/null </dev/null >"$out/bochs-screen.log" 2>&1 &
	l1=$!
	read_screen &
}

# make_cd: $work/l1.iso, with the kernel and the initrd.
make_cd()
{
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
}

# read_screen: drains the pty on which Bochs draws L1's VGA screen: Bochs blocks when it is full.
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
