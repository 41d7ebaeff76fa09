# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Common to all scripts: sourced, never run. Defines where things lie and how scripts speak.

set -euo pipefail

# A first argument -n: only say what would be done.
dry=
if [ "${1:-}" = -n ]; then
	dry=1
	shift
fi

# log TEXT: one progress line.
log() { printf '== %s\n' "$*" >&2; }

# die TEXT: what is wrong and the way out, in one line; exit status 1.
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# no_arguments ARG...: for scripts that know only -n.
no_arguments() { [ $# -eq 0 ] || die "unknown argument '$1': there is only -n, to say what it would do"; }

need_root() { [ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || die "this needs root: run it with sudo (with -n it only says what it would do)"; }

# all_series: in a line.
all_series() { (cd "$top/patches" && echo */series | sed 's|/series||g'); }

# default_series: the home series, or if Debian has no kernel for it any more (fetch-kernel.sh), the newest that is left.
default_series()
{
	local name

	for name in "$home" $(all_series | tr ' ' '\n' | sort -rV) "$home"; do
		[ -e "$top/build/$name/unavailable" ] || break
	done
	echo "$name"
}

# series_of KVER: which series of patches/ is for that kernel.
series_of()
{
	local series

	[[ $1 =~ ^([0-9]+\.[0-9]+)[-.+][^/]*$ ]] || die "KVER=$1 is not a kernel release: give one as 'uname -r' prints it"
	series=${BASH_REMATCH[1]}
	[ -f "$top/patches/$series/series" ] ||
		die "there is no series for Linux $series, only for $(all_series): boot such a kernel, or give KVER"
	echo "$series"
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=$(cat "$top/patches/HOME")		# the series in which new work is done first
# Scripts that work for an installed kernel set host_kver; all others work for the lab, with the kernel that
# Debian offers now.
host_kver=${host_kver:-}
if [ -n "$host_kver" ]; then
	series=$(series_of "$host_kver")
	build=$top/build/$host_kver
else
	series=${SERIES:-$(default_series)}	# which series of patches/, e.g. 6.12
	build=$top/build/$series	# all that is downloaded or built
	series=${series%+*}		# 6.12+deb13 is the series on the kernel of another release
	[ -f "$top/patches/$series/series" ] || die "there is no series for Linux $series, only for $(all_series)${host:+: boot such a kernel, or give KVER}"
	lane=${LANE:-vmx}		# what the CPU of the lab's L1 has: vmx or svm
	[[ $lane =~ ^(vmx|svm)$ ]] || die "LANE=$lane: the lab's lanes are vmx and svm"
fi
patches=$top/patches/$series		# series and the patch files
ktree=$build/linux			# the kernel's source, a git work tree: base and the series
modules=$build/modules			# the patched kvm*.ko
# In the lab only:
image=$build/image			# unpacked linux-image package: boot/, lib/modules/
headers=$build/headers			# unpacked linux-headers package: usr/src/
selftests=$build/selftests		# static selftest binaries

# plan LINE...: with -n, say what would be done and end. For when all is checked and nothing is changed yet.
plan() { [ -z "$dry" ] || { printf 'would %s\n' "$@"; exit 0; }; }

# kver: the kernel release the modules are for, as uname -r prints it.
kver()
{
	if [ -n "$host_kver" ]; then
		echo "$host_kver"
	else
		cat "$build/kver" 2>/dev/null || die "no kernel fetched yet: run 'make fetch'"
	fi
}

# tree_version DIR: the version that a kernel tree's Makefile states, e.g. 6.12.117.
tree_version()
{
	awk '$2 == "=" && NR < 10 { v[$1] = $3 }
	     END { printf "%s.%s.%s%s\n", v["VERSION"], v["PATCHLEVEL"], v["SUBLEVEL"], v["EXTRAVERSION"] }' "$1/Makefile"
}

# apt_get ARG...: one at a time, as the tests of two series may both want it.
apt_get() { mkdir -p "$top/build" && flock "$top/build/apt.lock" apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

# need_packages PACKAGE...: install the Debian packages that are missing.
need_packages()
{
	local missing=() p

	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return
	[ -z "$dry" ] || { echo "would install the packages ${missing[*]}"; return; }
	[ "$(id -u)" -eq 0 ] || die "packages are missing: run 'apt-get install ${missing[*]}' as root, then again"
	log "installing ${missing[*]}"
	apt_get update || die "apt-get update failed: check the network and /etc/apt/sources.list"
	DEBIAN_FRONTEND=noninteractive apt_get install -y --no-install-recommends "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# need_disk GB: stop unless that much is free where build/ is.
need_disk()
{
	local disk=$top/build free

	[ -d "$disk" ] || disk=$top
	free=$(($(df --output=avail -B1M "$disk" | tail -n 1) / 1024))
	[ "$free" -ge "$1" ] || die "$build needs about $1 GB of disk, and $free GB are free"
}

# quiet LOG COMMAND...: run it with its output in LOG; when it fails, show LOG's end and stop.
quiet()
{
	local log=$1

	shift
	"$@" >"$log" 2>&1 && return
	tail -n 15 "$log" >&2
	die "that failed: see $log"
}

# one_at_a_time: wait until no other script works in $build (the lock goes with this process). For scripts that
# call no other one that takes it.
one_at_a_time()
{
	[ -z "$dry" ] || return 0
	mkdir -p "$build"
	exec 9>"$build/lock"
	flock -n 9 || { log "waiting for another script that works in $build"; flock 9; }
}
