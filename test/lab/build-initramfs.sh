#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds what the lab boots, in build/SERIES/lab: l1.cpio (root of L1, with QEMU and L2's files in it)
# and vmlinuz, Debian's stock kernel, which both L1 and L2 run. Does nothing when that is up to date.
# Needs the fetched kernel (scripts/fetch-kernel.sh), its tree and exitstat (scripts/build-exitstat.sh).
# Usage: test/lab/build-initramfs.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"

lab=$build/lab
here=$top/test/lab
exitstat=$top/build/exitstat
header=$top/build/exitstat.obj/arch/x86/include/uapi/asm/kvm_exit_stats.h	# where build-exitstat.sh puts it

# copy_program ROOT FILE NAME: FILE as ROOT/bin/NAME, with the libraries it is linked with.
copy_program()
{
	local lib

	install -D "$2" "$1/bin/$3"
	for lib in $(ldd "$2" | grep -o '/[^ ]*'); do
		install -D "$lib" "$1/$lib"
	done
}

# new_root DIR INIT: an empty root file system with busybox in it. Debian's busybox shell finds its
# applets without links to them.
new_root()
{
	rm -rf "$1"
	mkdir -p "$1"/{bin,dev,job,out,proc,run,sys,tmp}
	install "$(command -v busybox)" "$1/bin/busybox"
	ln -s busybox "$1/bin/sh"
	install "$2" "$1/init"
}

# list_reasons VENDOR: the exit reasons of the uapi header, ranges "FIRST LAST". What is reserved between two of them is in,
# too, as L2 must find it undefined.
list_reasons()
{
	local first last begin='' end=

	while IFS=' ,{}' read -r _ first last _; do
		if [ -n "$begin" ] && [ $((first - end)) -gt 2 ]; then
			echo "$begin $end"
			begin=
		fi
		begin=${begin:-$first} end=$last
	done < <(sed -n "/define KVM_EXIT_STATS_$1_RANGES/,/^}/s/^\t\({.*}\).*/\1/p" "$header")
	echo "$begin $end"
}

# pack ROOT FILE: not compressed, because unpacking is emulated too.
pack() { (cd "$1" && find . | sort | busybox cpio -o -H newc 2>/dev/null) >"$2"; }

need_packages bochsbios vgabios isolinux syslinux-common xorriso \
	busybox-static qemu-system-x86 cpuid file xz-utils zstd binutils
release=$(kver)
qemu=$(command -v qemu-system-x86_64-microvm) ||
	die "qemu-system-x86_64-microvm is missing: install Debian 12's qemu-system-x86"
kernel=$image/boot/vmlinuz-$release
[ -e "$kernel" ] || die "$kernel is missing: run 'make fetch'"
[ -f "$exitstat" ] || die "$exitstat is missing: run 'make exitstat'"

if [ -e "$lab/l1.cpio" ]; then
	newer=$(find "$0" "$here"/{pack-kernel.sh,l1,l2} "$top/test/lib.sh" "$exitstat" "$header" "$build/kver" "$kernel" "$qemu" \
		"$(command -v cpuid)" "$(command -v busybox)" -type f -newer "$lab/l1.cpio")
	[ -n "$newer" ] || exit 0
fi
log "building the lab's root file systems"
mkdir -p "$lab"
rm -f "$lab/l1.cpio"
"$here/pack-kernel.sh" "$kernel" "$lab/vmlinuz"

new_root "$lab/l2" "$here/l2/init"
install "$here"/l2/*.sh "$exitstat" "$lab/l2/bin/"
copy_program "$lab/l2" "$(command -v cpuid)" cpuid
mkdir "$lab/l2/etc"
list_reasons VMX >"$lab/l2/etc/vmx-reasons"
list_reasons SVM >"$lab/l2/etc/svm-reasons"

new_root "$lab/l1" "$here/l1/init"
install "$exitstat" "$lab/l1/bin/"
copy_program "$lab/l1" "$(command -v cpuid)" cpuid
copy_program "$lab/l1" "$qemu" qemu
mkdir -p "$lab"/l1/{lab,l2,modules}
install -m 644 "$here"/l1/{lib.sh,fast-boot} "$lab/l1/lab/"
install -m 644 "$top/test/lib.sh" "$lab/l1/lab/verdicts.sh"
install "$here/l1/l2-console" "$lab/l1/bin/l2"
install -m 644 /usr/share/qemu/qboot.rom "$lab/l1/l2/"
for module in virt/lib/irqbypass drivers/crypto/ccp/ccp fs/configfs/configfs drivers/block/null_blk/null_blk arch/x86/kernel/msr; do
	xz -dcf "$(stock_module $module)" >"$lab/l1/modules/${module##*/}.ko"
done
# L2's is not compressed, because the emulator takes a minute to uncompress that of 6.1.
"$ktree/scripts/extract-vmlinux" "$kernel" >"$lab/l1/l2/vmlinux"
pack "$lab/l2" "$lab/l1/l2/initrd"

pack "$lab/l1" "$lab/l1.cpio.new"
mv "$lab/l1.cpio.new" "$lab/l1.cpio"
