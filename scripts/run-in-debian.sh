#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs COMMAND as root in build/debian/CODENAME/root (make-debian.sh), where the repository is what it is here. The mounts
# go with the command, however that ends. Usage: scripts/run-in-debian.sh CODENAME COMMAND...

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

root=$top/build/debian/$1/root
build=$(readlink -f "$top/build")	# which may be a link
shift
BUILD=$build exec unshare --mount --propagation private sh -euc '
	root=$1
	shift
	mount --bind "$root" "$root"		# so that unshare works in there, too
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	for dir in "$0" "$BUILD"; do
		mkdir -p "$root$dir"
		mount --bind "$dir" "$root$dir"
	done
	exec chroot "$root" "$@"' "$top" "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
