#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packs Debian's kernel anew, with LZ4, if it is packed with XZ, as 6.1 is: Bochs takes a minute to unpack that, each
# time it boots. The kernel inside is the same. What unpacks it is built from the fetched source, in a configuration with
# nothing else: it puts no kernel at a random address (L1 boots with nokaslr anyway), and knows no EFI.
# Usage: test/lab/pack-kernel.sh IMAGE FILE, with the fetched kernel; FILE is IMAGE packed with LZ4

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

[ $# -eq 2 ] || die "usage: ${0##*/} IMAGE FILE"
if ! grep -qx CONFIG_KERNEL_XZ=y "$(kbuild)/.config"; then
	install -m 644 "$1" "$2"
	exit
fi

log "packing the kernel with LZ4"
need_packages binutils lz4 xz-utils
one_at_a_time
tree=$build/pack
clean_up() { rm -rf "$tree"; worktree prune; }
trap clean_up EXIT
clean_up
# What the unpacker is made of, and no drivers: a fifth of the files.
worktree add -q --no-checkout --detach "$tree" "$branch"
git -C "$tree" sparse-checkout set --no-cone '/*' '!/*/' 'Kconfig*' \
	/arch/x86/ /certs/ /include/ /init/ /kernel/ /lib/ /scripts/ /security/ /tools/ /usr/
git -C "$tree" checkout -q
printf 'CONFIG_%s=y\n' 64BIT EXPERT KERNEL_LZ4 RELOCATABLE >"$tree/config.wanted"
quiet "$build/pack.log" kmake -C "$tree" KCONFIG_ALLCONFIG=config.wanted allnoconfig
quiet "$build/pack.log" kmake -C "$tree" prepare arch/x86/kernel/cpu/capflags.o init/version-timestamp.o
# What is packed has no symbols, of which the build needs these four.
"$tree/scripts/extract-vmlinux" "$1" >"$tree/vmlinux.stock"
brk=$(readelf -SW "$tree/vmlinux.stock" | sed -n 's/.* \.brk  *NOBITS  *[0-9a-f]*  *[0-9a-f]*  *\([0-9a-f]*\) .*/0x\1/p')
objcopy --add-symbol _text=.text:0,global --add-symbol __start_rodata=.rodata:0,global \
	--add-symbol __bss_start=.bss:0,global --add-symbol "_end=.brk:$brk,global" "$tree/vmlinux.stock" "$tree/vmlinux"
quiet "$build/pack.log" kmake -C "$tree" -o vmlinux bzImage
install -m 644 "$tree/arch/x86/boot/bzImage" "$2"
