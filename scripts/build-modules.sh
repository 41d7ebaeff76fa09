#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds kvm.ko, kvm-intel.ko and kvm-amd.ko of build/SERIES/linux, as it is now, for Debian's stock kernel of the
# same version: its .config, its Module.symvers, its compiler. They come into build/SERIES/modules, with their
# Module.symvers and a file "origin". For an installed kernel (build-host-modules.sh): the same in build/KVER.
# Usage: build-modules.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

kver=$(kver)
need_packages binutils kmod xz-utils
plan "build KVM's modules for $kver into $modules"
[ -d "$ktree" ] || die "no kernel source yet: run 'make fetch'"
one_at_a_time

source_version=$(tree_version "$ktree")
kernel_version=$(kernel_version)
[ "$source_version" = "$kernel_version" ] ||
	die "the source is Linux $source_version and $kver is $kernel_version: modules need the same version"

use_compiler
log "preparing the tree for $kver"
prepare_tree "$ktree"

log "building KVM's modules"
# Without debug information, which would take a third of the time and be stripped. With srcversion, by which
# the loaded modules are known (Debian's have none).
quiet "$build/modules.log" kmake -C "$ktree" M="$ktree/arch/x86/kvm" KCFLAGS=-g0 CONFIG_MODULE_SRCVERSION_ALL=y modules

# An option that the tools here lack and KVM's code asks for, e.g. BTF, without pahole, can change struct module, and the
# kernel refuses the modules. Rust, and what needs it, is lost, too, and KVM does not ask for it.
lost=$(grep '^CONFIG_' "$(kbuild)/.config" | grep -vxFf "$build/config" | sed 's/^CONFIG_//; s/=.*//; /^CC_VERSION_TEXT$/d') || :
asked=$(find "$ktree"/{arch/x86,virt}/kvm -name '.*.cmd' -exec grep -hoE 'include/config/[A-Z0-9_]+' {} + | sed 's|.*/||' | sort -u)
[ -n "$asked" ] || die "no file of $ktree/arch/x86/kvm says on which options it depends"
lost=$(grep -xF "$lost" <<<"$asked" | head -n 1) || :
[ -z "$lost" ] || die "the tools here cannot build Debian's configuration: CONFIG_$lost is lost"

new=$build/modules.part
trap 'rm -rf "$new"' EXIT
rm -rf "$new"
mkdir "$new"
for module in kvm kvm-intel kvm-amd; do
	strip --strip-debug -o "$new/$module.ko" "$ktree/arch/x86/kvm/$module.ko"
done
cp "$ktree/arch/x86/kvm/Module.symvers" "$new/"
cat >"$new/origin" <<END
kernel $kver
source $(base_name)
series $series, $(series_patches "$patches" | wc -l) patches, commit $(kgit rev-parse --short=12 HEAD)
END

stock=$(stock_module arch/x86/kvm/kvm)
[ "$(modinfo -F vermagic "$new/kvm.ko")" = "$(modinfo -F vermagic "$stock")" ] ||
	die "the modules are for '$(modinfo -F vermagic "$new/kvm.ko")', the stock kernel is '$(modinfo -F vermagic "$stock")'"
rm -rf "$modules"
mv "$new" "$modules"
log "built for $kver: $modules"
