# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Building for a kernel that is installed or, for the lab, unpacked: sourced after lib.sh.

# The lab builds the same on L0 and in L1's Debian: the second time ccache spares the compiler.
ccache=			# the package
if [ -z "$host_kver" ]; then
	ccache=ccache
	export PATH=/usr/lib/ccache:$PATH CCACHE_DIR=$top/build/ccache CCACHE_BASEDIR=$build
	export CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content
fi

# kbuild: the directory with that kernel's .config and Module.symvers.
kbuild()
{
	if [ -n "$host_kver" ]; then
		echo "/lib/modules/$host_kver/build"
	else
		echo "$headers/usr/src/linux-headers-$(kver)"
	fi
}

# stock_module PATH: the file of that kernel's module PATH, for xz -dcf: the series decides whether it is compressed.
stock_module()
{
	local root=$image

	[ -z "$host_kver" ] || root=
	echo "$root/lib/modules/$(kver)/kernel/$1".ko*
}

# kernel_version: that kernel's version, which the source must have, e.g. 6.12.117.
kernel_version()
{
	local version

	if [ -n "$host_kver" ]; then
		# Not with the flags of the make that this runs under, e.g. -n.
		MAKEFLAGS='' make -s --no-print-directory -C "$(kbuild)" kernelversion
	else
		version=$(dpkg-deb -f "$build/debs/linux-image-$(kver)_"*.deb Version)
		echo "${version%%-*}"
	fi
}

# kmake ARG...: the kernel's make, for exactly the installed kernel and with the compiler that built it.
# KERNELRELEASE instead of LOCALVERSION: Debian's 6.1 has a release name that no LOCALVERSION gives.
kmake()
{
	local cc

	cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$(kbuild)/.config")
	make -j"$(nproc)" ARCH=x86 CC="$cc" KERNELRELEASE="$(kver)" "$@"
}

# prepare_tree DIR: configure a kernel tree as the stock kernel is and make what modules need. Cheap when done.
prepare_tree()
{
	local tree=$1 headers_dir lost

	headers_dir=$(kbuild)
	# A .config that is the same must keep its date, or everything is built again.
	cp "$headers_dir/.config" "$build/config"
	quiet "$build/prepare.log" kmake -C "$tree" KCONFIG_CONFIG="$build/config" olddefconfig
	cmp -s "$build/config" "$tree/.config" || cp "$build/config" "$tree/.config"
	cmp -s "$headers_dir/Module.symvers" "$tree/Module.symvers" || cp "$headers_dir/Module.symvers" "$tree/"
	# An option that went away (BTF without pahole) can change struct module, and the kernel refuses the modules.
	lost=$(grep '^CONFIG_' "$headers_dir/.config" | grep -vxFf "$build/config" |
		grep -vE '^CONFIG_(RUSTC_|CC_VERSION_TEXT|AS_VERSION|LD_VERSION|PAHOLE_VERSION)' | head -n 1 || true)
	[ -z "$lost" ] || die "the tools here cannot build Debian's configuration: $lost is lost"
	quiet "$build/prepare.log" kmake -C "$tree" modules_prepare
}
