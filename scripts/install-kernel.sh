#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs the kernel that build-kernel.sh has built, with Debian's hooks for the initramfs and the boot loader.
# Usage: install-kernel.sh [-n], as root; KVER as for build-kernel.sh.

# shellcheck source=scripts/lib-kernel.sh
. "$(dirname "$0")/lib-kernel.sh"
no_arguments "$@"

[ -f "$kernel/release" ] || die "no kernel is built for Linux $series: run 'make kernel'"
release=$(cat "$kernel/release")
need_root
need_packages debianutils kmod make
plan "install the modules in /lib/modules/$release" \
	"install the kernel as /boot/vmlinuz-$release, and run the hooks in /etc/kernel/postinst.d"
[ -x /sbin/installkernel ] || die "there is no /sbin/installkernel, as Debian has it: use 'make kernel-deb'"
one_at_a_time

log "installing the modules of $release"
tmake INSTALL_MOD_STRIP=1 modules_install
log "installing the kernel"
mkdir -p /etc/kernel/postinst.d		# installkernel demands it, and no package may have made it
tmake install
log "installed:" /lib/modules/"$release" /boot/*-"$release"
[ -e "/boot/initrd.img-$release" ] || log "without an initramfs, as there is no package that makes one (initramfs-tools, dracut)"
log "remove: update-initramfs -d -k $release; rm -rf /lib/modules/$release /boot/*-$release{,.old}; update-grub"
