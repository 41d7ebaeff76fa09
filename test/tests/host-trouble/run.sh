#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the host's commands where they meet trouble and no KVM needs to run, with in-chroot.sh as root in a throw-away
# copy of L1's Debian (test/lab/build-debian.sh). Usage: [SERIES=...] run.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"

[ -e "$build/lab/debian.disk" ] || die "L1's Debian is not built: run 'test/lab/build-debian.sh'"
debian=$(dirname "$(readlink -f "$build/lab/debian.disk")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Both its root and what was built there appear as they are, and changes go to memory. All mounts end with it.
unshare --mount --propagation private sh -euc '
	mount -t tmpfs -o size=1G tmpfs "$1"
	mkdir "$1/root" "$1/upper" "$1/work" "$1/build-upper" "$1/build-work"
	mount -t overlay -o "lowerdir=$2/root,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
	mkdir -p "$1/root/root/kvm-exit-stats/build"
	mount -t overlay -o "lowerdir=$2/build,upperdir=$1/build-upper,workdir=$1/build-work" overlay \
		"$1/root/root/kvm-exit-stats/build"
	mount -t proc proc "$1/root/proc"
	mount --rbind /dev "$1/root/dev"
	cp "$3" "$4" "$1/root/tmp/"
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C chroot "$1/root" bash -eu /tmp/in-chroot.sh "$5"' \
	sh "$work" "$debian" "${0%/*}/in-chroot.sh" "$top/test/lib.sh" "$(kver)"
