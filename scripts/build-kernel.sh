#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds a whole patched kernel with its modules, in build/SERIES/kernel/linux, with the configuration of an installed
# kernel. Its release is that of the source with "-kvm-exit-stats".
# Usage: build-kernel.sh [-n] [deb]; KVER=RELEASE of the installed kernel, default: the running one; KSRC=DIR as for
# fetch-kernel.sh. "deb" makes Debian packages of it too, in build/SERIES/kernel.

# shellcheck source=scripts/lib-kernel.sh
. "$(dirname "$0")/lib-kernel.sh"

# find_config: the file with the configuration of $host.
find_config()
{
	local file

	for file in "/boot/config-$host" "/lib/modules/$host/build/.config" /proc/config.gz; do
		[ "$file" != /proc/config.gz ] || [ "$host" = "$(uname -r)" ] || continue
		[ ! -r "$file" ] || { echo "$file"; return; }
	done
	die "there is no /boot/config-$host and no /lib/modules/$host/build: install linux-image-$host, or give" \
		"KVER=RELEASE of an installed kernel"
}

# configure: the configuration of $host in $tree. Only what cannot stay is changed, and said.
configure()
{
	local set=("$tree/scripts/config" --file "$kernel/config") name file

	zcat -f "$config" >"$kernel/config"
	"${set[@]}" --set-str LOCALVERSION -kvm-exit-stats --disable LOCALVERSION_AUTO
	if grep -qx 'CONFIG_DEBUG_INFO=y' "$kernel/config"; then
		log "without debug information, thus without BTF: they would take a multiple of the time and disk"
		"${set[@]}" --enable DEBUG_INFO_NONE --disable DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT \
			--disable DEBUG_INFO_DWARF4 --disable DEBUG_INFO_DWARF5
	fi
	# A distribution's own keys and certificates; a key to sign the modules is made.
	for name in SYSTEM_TRUSTED_KEYS SYSTEM_REVOCATION_KEYS MODULE_SIG_KEY; do
		file=$(sed -n "s/^CONFIG_$name=\"\(.*\)\"/\1/p" "$kernel/config")
		case $file in
		'' | certs/signing_key.pem | pkcs11:*) continue ;;
		esac
		(cd "$tree" && [ ! -e "$file" ]) || continue
		log "without $file, which is not there (CONFIG_$name)"
		"${set[@]}" --undefine "$name"
	done
	tmake KCONFIG_CONFIG="$kernel/config" olddefconfig
	# A .config that is the same must keep its date, or more is built again.
	cmp -s "$kernel/config" "$tree/.config" || cp "$kernel/config" "$tree/.config"
}

config=$(find_config)
deb=${1:-}
case $deb in
'') ;;
deb) need_packages debhelper dpkg-dev fakeroot ;;
*) die "usage: ${0##*/} [-n] [deb]" ;;
esac
need_packages bc binutils bison flex gcc git kmod libc6-dev libelf-dev libssl-dev make perl rsync xz-utils zstd
plan "take the configuration $config" "get and patch Linux $series, as 'make apply' does" \
	"build the kernel and its modules in $tree${deb:+, and packages of it in $kernel}"
"$top/scripts/fetch-kernel.sh"
"$top/scripts/apply-series.sh"
one_at_a_time

mkdir -p "$kernel"
if [ ! -e "$tree/vmlinux" ]; then
	# Measured: 2.0 GB for test/small.config; for Debian's 4.5 GB, extrapolated from a third of the build.
	need_disk $((2 + $(zcat -f "$config" | grep -c '=[ym]$') / 1500))
fi
rm -rf "$kernel"/{release,*.deb} "$tree/debian"
: >"$klog"
worktree prune
[ -e "$tree/.git" ] || { rm -rf "$tree"; worktree add -q --detach "$tree" "$branch"; }
kgit -C "$tree" checkout -q --force --detach "$branch"
log "configuring Linux $(tree_version "$tree") as $config"
configure
log "building the kernel and its modules, all output in $klog"
if [ -z "$deb" ]; then
	tmake
else
	# The version is the time, so that apt takes a later one for newer. What is after the "-" gets into uname -v.
	export DEB_BUILD_OPTIONS=terse
	tmake KDEB_PKGVERSION="$(tree_version "$tree")-$(date -u +%Y%m%d%H%M)" KDEB_CHANGELOG_DIST=unstable \
		DPKG_FLAGS=-d bindeb-pkg
	# The C library's headers are Debian's own affair.
	rm -f "$kernel"/{linux-libc-dev_*.deb,*.buildinfo,*.changes}
fi
release=$(cat "$tree/include/config/kernel.release")
echo "$release" >"$kernel/release"
log "built $release"
[ -n "$deb" ] || exit 0
log "packages:" "$kernel"/*.deb
log "install: apt-get install $(echo "$kernel/linux-image-${release}"_*.deb)"
log "remove:  apt-get purge linux-image-$release"
