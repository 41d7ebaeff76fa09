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

# What kmake needs, beside the compiler.
kmake_packages=(bc binutils bison ${ccache:+ccache} dwarves flex gcc kmod libc6-dev libelf-dev libssl-dev make perl python3 rsync
	uuid-dev xz-utils)
compiler=		# of kmake
in_debian=()		# what kmake runs it with

# compiler_text: what the compiler that built the kernel says of itself, "NAME (Debian REVISION) VERSION".
compiler_text() { sed -n 's/^CONFIG_CC_VERSION_TEXT="\(.*\)"/\1/p' "$(kbuild)/.config"; }

# kernel_codename: the release of Debian that the kernel is from, which its compiler tells.
kernel_codename()
{
	case $(compiler_text) in
	*gcc-12\ *) echo bookworm ;;
	*gcc-14\ *) echo trixie ;;
	*) die "$(kver) is of no release of Debian that is known here: it was built by $(compiler_text)" ;;
	esac
}

# use_compiler: the one that built the kernel, with what else kmake needs, on this machine or in a Debian of the kernel's
# release. Another one would change the configuration and the code.
use_compiler()
{
	local text version package codename

	text=$(compiler_text)
	compiler=${text%% *} version=${text##* }
	package=${compiler##*-gnu-}
	if [[ $("$compiler" --version 2>/dev/null | head -n 1) == *" $version" ]] ||
	   apt-cache madison "$package" | grep -qF "| $version-"; then
		need_packages "${kmake_packages[@]}" "$package"
	else
		codename=$(kernel_codename)
		"$top/scripts/make-debian.sh" "$codename" "$package" "${kmake_packages[@]}"
		in_debian=("$top/scripts/run-in-debian.sh" "$codename")
	fi
	[[ $("${in_debian[@]}" "$compiler" --version | head -n 1) == *" $version" ]] ||
		die "$(kver) was built by $text, and that compiler is not here"
}

# kmake ARG...: the kernel's make, for exactly the installed kernel and with the compiler that built it.
# KERNELRELEASE instead of LOCALVERSION: Debian's 6.1 has a release name that no LOCALVERSION gives.
kmake()
{
	[ -n "$compiler" ] || use_compiler
	"${in_debian[@]}" make -j"$(nproc)" ARCH=x86 CC="$compiler" KERNELRELEASE="$(kver)" "$@"
}

# prepare_tree DIR: configure a kernel tree as the stock kernel is and make what modules need. Cheap when done.
prepare_tree()
{
	local tree=$1 headers_dir

	headers_dir=$(kbuild)
	# A .config that is the same must keep its date, or everything is built again.
	cp "$headers_dir/.config" "$build/config"
	quiet "$build/prepare.log" kmake -C "$tree" KCONFIG_CONFIG="$build/config" olddefconfig
	cmp -s "$build/config" "$tree/.config" || cp "$build/config" "$tree/.config"
	cmp -s "$headers_dir/Module.symvers" "$tree/Module.symvers" || cp "$headers_dir/Module.symvers" "$tree/"
	quiet "$build/prepare.log" kmake -C "$tree" modules_prepare
}
