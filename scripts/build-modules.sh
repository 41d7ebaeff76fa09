#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds kvm.ko, kvm-intel.ko and kvm-amd.ko of build/SERIES/linux, as it is now, for Debian's stock kernel of the
# same version: its .config, its Module.symvers, its compiler. They come into build/SERIES/modules.
# Usage: build-modules.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

kver=$(kver)
[ -d "$ktree" ] || die "no kernel source yet: run 'make fetch'"
need_packages bc binutils bison dwarves flex gcc gcc-12 kmod libc6-dev libelf-dev libssl-dev make perl python3 xz-utils
one_at_a_time

source_version=$(tree_version "$ktree")
image_version=$(dpkg-deb -f "$build/debs/linux-image-${kver}_"*.deb Version)
[ "$source_version" = "${image_version%%-*}" ] ||
	die "the source is Linux $source_version and Debian's kernel is $image_version: modules need the same version"

log "preparing the tree for $kver"
prepare_tree "$ktree"

log "building KVM's modules"
# Without debug information, which would take a third of the time and be stripped.
quiet "$build/modules.log" kmake -C "$ktree" M="$ktree/arch/x86/kvm" KCFLAGS=-g0 modules

new=$build/modules.part
rm -rf "$new"
mkdir "$new"
for module in kvm kvm-intel kvm-amd; do
	strip --strip-debug -o "$new/$module.ko" "$ktree/arch/x86/kvm/$module.ko"
done

stock=$image/lib/modules/$kver/kernel/arch/x86/kvm/kvm.ko.xz
[ -f "$stock" ] || stock=${stock%.xz}
[ "$(modinfo -F vermagic "$new/kvm.ko")" = "$(modinfo -F vermagic "$stock")" ] ||
	die "the modules are for '$(modinfo -F vermagic "$new/kvm.ko")', the stock kernel is '$(modinfo -F vermagic "$stock")'"
rm -rf "$modules"
mv "$new" "$modules"
log "built for $kver: $modules"
