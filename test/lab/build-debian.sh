#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the other L1: for each release of Debian, in build/debian/CODENAME, one with the stock kernels of its SERIES and
# this repository in it, where the modules are built by its own tools. disk is its root file system; build/SERIES/lab has
# a link to it, debian.disk, and debian.cpio, which finds it, for test/lab/boot-l1.sh -d. "root" makes no disk yet. "kernel"
# builds a whole patched kernel for each SERIES, too, build/SERIES/lab/vmlinuz-patched, and installs its package there. Does
# nothing when all that is up to date. Needs root and the lab (make lab).
# Usage: test/lab/build-debian.sh [root | kernel] SERIES...

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"

packages=(bpfcc-tools bpftrace busybox-static ccache git kmod linux-perf make openssl python3 qemu-system-x86)
clone=/root/kvm-exit-stats		# in L1
own=(Makefile patches scripts)		# what of the repository the host's commands need
release=				# of the series at hand
debian=					# its L1
root=

# newer FILE WHAT...: is anything in WHAT newer than FILE, or FILE not there?
newer() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -type f -newer "$1")" ]; }

# use_release CODENAME: sets debian and root.
use_release() { debian=$top/build/debian/$1 root=$top/build/debian/$1/root; }

# use_series SERIES: sets these and release, and what scripts/lib.sh has for a series.
use_series()
{
	build=$top/build/$1 ktree=$build/linux headers=$build/headers image=$build/image
	[ -e "$build/lab/l1.cpio" ] || die "the lab of $1 is not built: run 'make lab SERIES=$1'"
	release=$(kver)
	use_release "$(kernel_codename)"
}

# in_root DIR COMMAND...: in DIR as the root, with the lab's ccache. The mounts go with the command, however that ends.
in_root()
{
	mkdir -p "$debian/build/ccache" "$CCACHE_DIR"
	DEBIAN_FRONTEND=noninteractive LC_ALL=C CCACHE_DIR=$clone/build/ccache CCACHE_BASEDIR=$clone/build \
		CCACHE=$top/build/ccache unshare --mount --propagation private sh -euc '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t sysfs sysfs "$root/sys"
		mount --rbind /dev "$root/dev"
		mkdir -p "$root$0/build"
		mount --bind "$root/../build" "$root$0/build"
		mount --bind "$CCACHE" "$root$0/build/ccache"
		exec chroot "$root" "$@"' "$clone" "$@"
}

# make_root CODENAME: a Debian with what a hypervisor and the host's commands need, but a kernel.
make_root()
{
	local bundle=/etc/ssl/certs/ca-certificates.crt

	use_release "$1"
	[ -d "$root/lab" ] || need_disk 4	# measured: 3.9 GB for both releases and three series
	"$top/scripts/make-debian.sh" "$1" "${packages[@]}"
	[ ! -d "$root/lab" ] || return 0
	[ ! -f "$bundle" ] || install -D -m 644 "$bundle" "$root$bundle"
	ln -s /usr/bin/qemu-system-x86_64-microvm "$root/usr/local/bin/qemu"	# the lab's name for it
	echo l1 >"$root/etc/hostname"
	mkdir "$root"/{job,out,lab}
}

# add_kernel: the series' kernel and headers into L1's root.
add_kernel()
{
	local target=()

	# What else a kernel from backports needs is there, too.
	[[ $(dpkg-deb -f "$build/debs/linux-image-${release}_"*.deb Version) != *~bpo* ]] || target=(-t "${debian##*/}-backports")
	log "installing $release in L1's Debian"
	rm -f "$root"/tmp/*.deb
	find "$build/debs" -name "linux-*-${release}_*.deb" -exec ln -t "$root/tmp" {} +
	# INITRD=No: making Debian's initrd takes long, and the lab has its own.
	quiet "$debian/$release.log" in_root "$root" dpkg --configure -a		# a break may have stopped it
	quiet "$debian/$release.log" in_root "$root" env INITRD=No sh -euc '
		apt-get install -y -q --no-install-recommends "$@" /tmp/*.deb
		apt-get clean' sh "${target[@]}"
	rm "$root"/tmp/*.deb
}

# copy_clone: what the user of L1 has cloned.
copy_clone()
{
	rm -rf "${root:?}$clone"
	mkdir "$root$clone"
	tar -C "$top" -c "${own[@]}" | tar -C "$root$clone" -x --no-same-owner
}

# share_sources: what the store of git objects has by now, for L1's own, which then need not unpack them again. While
# another series is fetched there are files that go away.
share_sources()
{
	mkdir -p "$debian/build/linux.git"
	(cd "$top/build/linux.git" && cp -aln --parents HEAD config info objects refs/tags/source "$debian/build/linux.git/" 2>/dev/null) || :
}

# build_modules: in L1's root, with its tools. What is built and what that needs stays out of it, in $debian/build.
build_modules()
{
	share_sources
	log "building the modules for $release in L1's Debian"
	quiet "$debian/$release.log" in_root "$root" make -C "$clone" modules KVER="$release"
}

# build_kernel: the classic way, packages of a whole kernel, into L1's root as well. A small configuration poses as
# the stock kernel's, which would take an hour.
build_kernel()
{
	local boot=$build/boot

	log "building a whole kernel for L1's Debian, of a small configuration"
	mkdir -p "$boot"
	quiet "$debian/kernel.log" kmake -C "$ktree" KCONFIG_ALLCONFIG="$top/test/lab/small.config" \
		KCONFIG_CONFIG="$boot/config-$release" allnoconfig
	sed -i /KVM_EXIT_STATS/d "$boot/config-$release"		# the stock kernel's does not know it
	quiet "$debian/kernel.log" unshare --mount --propagation private sh -euc '
		mount --bind "$1" /boot
		KVER=$2 KDEB_COMPRESS=none exec "$3"/build-kernel.sh deb' sh "$boot" "$release" "$top/scripts"
	ln -f "$build/kernel/linux-image-"*.deb "$root/tmp/kernel.deb"
	quiet "$debian/kernel.log" in_root "$root" env INITRD=No dpkg -i /tmp/kernel.deb
	rm "$root/tmp/kernel.deb"
	cp "$root/boot/vmlinuz-$(cat "$build/kernel/release")" "$build/lab/vmlinuz-patched"
}

# make_disk FILE: the root as an ext4 file system, with the modules that were built for each kernel, and the files that
# start L2 with it.
make_disk()
{
	local kb unit=$((16 * 63 * 512)) release lab	# Bochs's cylinder

	rm -rf "${root:?}"/l2-* "$root$clone/build"
	for lab in "$top"/build/*/lab; do
		release=$(cat "$lab/../kver")
		[ -d "$debian/build/$release/modules" ] || continue
		cp -r "$lab/l1/l2" "$root/l2-$release"
		# A whole kernel starts the same L2.
		[ ! -e "$lab/vmlinuz-patched" ] || ln -s "l2-$release" "$root/l2-$(cat "$lab/../kernel/release")"
		mkdir -p "$root$clone/build/$release"
		cp -r "$debian/build/$release/modules" "$root$clone/build/$release/"
	done
	kb=$(du -sk "$root" | cut -f 1)
	rm -f "$1"
	truncate -s $(((kb * 1024 * 5 / 4 + (128 << 20)) / unit * unit)) "$1"
	# No journal and no checksums: the disk does not outlive a run, and both are slow to emulate.
	quiet "$debian/mke2fs.log" mke2fs -q -F -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -m 0 -d "$root" "$1"
}

# make_initrd FILE: busybox, and the modules that the root file system needs.
make_initrd()
{
	local dir=$build/lab/debian.root drivers=$build/lab/debian.drivers n=10 module

	rm -rf "$dir" "$drivers"
	mkdir -p "$drivers"
	(cd "$image" && cp -al --parents -t "$drivers" "lib/modules/$release"/modules.{builtin,builtin.modinfo,order} \
		"lib/modules/$release"/kernel/{arch/x86/crypto,block,crypto,drivers/ata/{ata_piix,libata}.ko*} \
		"lib/modules/$release"/kernel/{drivers/scsi/s{csi_common,csi_mod,d_mod}.ko*,fs/{ext4,jbd2,mbcache.ko*},lib})
	depmod -b "$drivers" "$release"
	mkdir -p "$dir"/{bin,dev,drivers,job,lab,modules,proc,root}
	install "$(command -v busybox)" "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	install "$top/test/lab/l1/debian-init" "$dir/init"
	install "$top/test/lab/l1/init" "$dir/lab/init"
	install -m 644 "$top"/test/lab/l1/{lib.sh,fast-boot} "$dir/lab/"
	install -m 644 "$top/test/lib.sh" "$dir/lab/verdicts.sh"

	while read -r module; do
		n=$((n + 1))
		case $module in
		*.xz) xz -dc "$module" ;;
		*) cat "$module" ;;
		esac >"$dir/drivers/$n.ko"
		strip --strip-debug -R .BTF "$dir/drivers/$n.ko"
	done < <(for module in ata_piix sd_mod ext4; do
			modprobe -d "$drivers" -S "$release" --show-depends "$module"
		done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
	(cd "$dir" && find . | busybox cpio -o -H newc 2>/dev/null) >"$1"
	rm -r "$dir" "$drivers"
}

what=kernels
if [ "${1-}" = root ] || [ "${1-}" = kernel ]; then
	what=$1
	shift
fi
[ $# -gt 0 ] || die "usage: ${0##*/} [root | kernel] SERIES..."
[ "$(id -u)" -eq 0 ] || die "only root can install a Debian: run it as root"
need_packages e2fsprogs kmod binutils xz-utils busybox-static
mkdir -p "$top/build/debian"
exec 8>"$top/build/debian/lock"
flock -n 8 || { log "waiting for another script that works in $top/build/debian"; flock 8; }

copied=
for name in "$@"; do
	use_series "$name"
	make_root "$(kernel_codename)"
	if [ ! -d "$root/usr/src/linux-headers-$release" ] || [ ! -d "$root/lib/modules/$release/kernel" ]; then
		rm -rf "$debian/disk" "$debian/build/$release"
		add_kernel
	fi
	if newer "$debian/build/$release/modules/origin" "${own[@]/#/$top/}"; then
		rm -f "$debian/disk"
		[[ " $copied " == *" $debian "* ]] || copy_clone
		copied+=" $debian"
		build_modules
	fi
	if [ "$what" = kernel ] && newer "$build/lab/vmlinuz-patched" "${own[@]/#/$top/}" "$top/test/lab/small.config"; then
		rm -f "$debian/disk" "$build/lab/vmlinuz-patched"
		build_kernel
	fi
	! newer "$debian/disk" "$build/lab/l1.cpio" || rm -f "$debian/disk"
done
[ "$what" != root ] || exit 0
for name in "$@"; do
	use_series "$name"
	if [ ! -e "$debian/disk" ]; then
		log "making the disk of L1's Debian ${debian##*/}"
		make_disk "$debian/disk.part"
		mv "$debian/disk.part" "$debian/disk"
		use_series "$name"
	fi
	ln -sf "../../debian/${debian##*/}/disk" "$build/lab/debian.disk"
	if newer "$build/lab/debian.cpio" "$debian/disk" "$top/test/lab/l1" "$top/test/lib.sh"; then
		make_initrd "$build/lab/debian.cpio.part"
		mv "$build/lab/debian.cpio.part" "$build/lab/debian.cpio"
	fi
done
