# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # the variables are for those who source it
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

# series_of KVER: which series of patches/ is for that kernel.
series_of()
{
	local series

	[[ $1 =~ ^([0-9]+\.[0-9]+)[-.+][^/]*$ ]] || die "KVER=$1 is not a kernel release: give one as 'uname -r' prints it"
	series=${BASH_REMATCH[1]}
	[ -f "$top/patches/$series/series" ] ||
		die "there is no series for Linux $series, only for $(cd "$top/patches" && echo *): boot such a kernel, or give KVER"
	echo "$series"
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Scripts that work for an installed kernel set host_kver; all others work for the lab, with the kernel that
# Debian offers now.
host_kver=${host_kver:-}
if [ -n "$host_kver" ]; then
	kseries=$(series_of "$host_kver")
	build=$top/build/$host_kver
else
	kseries=${KSERIES:-6.12}	# which series of patches/, e.g. 6.12
	build=$top/build/$kseries	# all that is downloaded or built
	lane=${LANE:-vmx}		# what the CPU of the lab's L1 has: vmx or svm
	[[ $lane =~ ^(vmx|svm)$ ]] || die "LANE=$lane: the lab's lanes are vmx and svm"
fi
patches=$top/patches/$kseries		# series and the patch files
ktree=$build/linux			# the kernel's source, a git work tree: tag "base" + the series
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

# kgit ARG...: git in the kernel's tree, untouched by the user's configuration, so that the same patches
# come out on every machine.
kgit() { GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git -C "$ktree" "$@"; }

# kmake ARG...: the kernel's make, for exactly the installed kernel and with the compiler that built it.
# KERNELRELEASE instead of LOCALVERSION: Debian's 6.1 has a release name that no LOCALVERSION gives.
kmake()
{
	local cc

	cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$(kbuild)/.config")
	make -j"$(nproc)" ARCH=x86 CC="$cc" KERNELRELEASE="$(kver)" "$@"
}

# tree_version DIR: the version that a kernel tree's Makefile states, e.g. 6.12.117.
tree_version()
{
	awk '$2 == "=" && NR < 10 { v[$1] = $3 }
	     END { printf "%s.%s.%s%s\n", v["VERSION"], v["PATCHLEVEL"], v["SUBLEVEL"], v["EXTRAVERSION"] }' "$1/Makefile"
}

# demand_whole_branch: stop unless the tree is on our branch, with nothing half done and nothing uncommitted.
demand_whole_branch()
{
	local dirty

	[ -d "$ktree/.git" ] || die "no kernel source yet: run 'make fetch'"
	if [ -d "$ktree/.git/rebase-merge" ] || [ -d "$ktree/.git/rebase-apply" ]; then
		die "a rebase or am is under way in $ktree: finish or abort it first"
	fi
	[ "$(kgit symbolic-ref -q --short HEAD)" = kvm-exit-stats ] ||
		die "$ktree is not on its branch: run 'git -C $ktree checkout kvm-exit-stats'"
	dirty=$(kgit status --porcelain | head -n 1)
	[ -z "$dirty" ] || die "$ktree has uncommitted changes (${dirty:3}, ...): commit and 'make export' them," \
		"or put them aside with 'git -C $ktree stash -u'"
}

# series_patches DIR: the names in DIR/series, without comments.
series_patches() { awk '!/^[[:space:]]*(#|$)/ { print $1 }' "$1/series"; }

# commit_series DIR: make DIR's series commits on top of base. Strict: every context line must be there (no
# fuzz); a hunk may have moved. It works in git's objects alone, as `git am` does in a work tree: files and
# branches stay, so nothing is half done after a failure. The same patches give the same commits.
# Prints a line "COMMIT PATCH MOVED-HUNKS" for each patch.
commit_series()
{
	local dir=$1 commit patch tmp

	[ -f "$dir/series" ] || die "there is no $dir/series"
	tmp=$(mktemp -d)
	local -x GIT_INDEX_FILE=$tmp/index GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	local -x GIT_COMMITTER_NAME="kvm-exit-stats developers"
	local -x GIT_COMMITTER_EMAIL=developers@kvm-exit-stats.invalid
	commit=$(kgit rev-parse base)
	kgit read-tree base
	for patch in $(series_patches "$dir"); do
		[ -f "$dir/$patch" ] || die "$dir/series names $patch, which is not there"
		kgit mailinfo "$tmp/body" "$tmp/diff" <"$dir/$patch" >"$tmp/head" || die "$patch is not a mail with a patch"
		if ! LC_ALL=C kgit apply --cached -v --whitespace=nowarn "$tmp/diff" 2>"$tmp/log"; then
			grep '^error' "$tmp/log" >&2 || true
			rm -r "$tmp"
			die "$patch does not apply to Linux $(tree_version "$ktree"). Way out: 'git -C $ktree reset" \
				"--hard base && git -C $ktree am --reject $dir/*.patch', mend it there, then 'make export'"
		fi
		GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$tmp/head")
		GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$tmp/head")
		GIT_AUTHOR_DATE=$(sed -n 's/^Date: //p' "$tmp/head")
		GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
		{ sed -n 's/^Subject: //p' "$tmp/head"; echo; cat "$tmp/body"; } | git stripspace >"$tmp/message"
		commit=$(kgit commit-tree -p "$commit" -F "$tmp/message" "$(kgit write-tree)")
		printf '%s %s %s\n' "$commit" "$patch" "$(grep -c '^Hunk.*offset' "$tmp/log" || true)"
	done
	rm -r "$tmp"
}

# same_series COMMIT COMMIT: whether both hold the same patches: contents, authors, changelogs.
same_series()
{
	local format='%T %an <%ae> %ai%n%B'

	[ "$(kgit log --format="$format" "base..$1")" = "$(kgit log --format="$format" "base..$2")" ]
}

# base_name: what the series is made on, e.g. "Linux 6.12.117, Debian linux-source-6.12 6.12.117-1~deb12u1".
base_name() { kgit log -1 --format=%s base; }

# format_series COMMIT DIR: write base..COMMIT as patch files and a series into the empty DIR; topic comments
# are kept from $patches/series, by the patch's name without its number.
format_series()
{
	local old=/dev/null

	[ ! -f "$patches/series" ] || old=$patches/series
	kgit format-patch -q --zero-commit --no-signature --no-numbered --full-index --diff-algorithm=myers \
		-o "$2" "base..$1"
	(cd "$2" && printf '%s\n' [0-9]*.patch) | awk -v base="# $(base_name)" '
		function name(file) { return substr(file, 6) }
		BEGIN { print base }
		FILENAME == "-" { printf "%s", comments[name($1)]; print $1; next }
		FNR == 1 && /^# Linux / { next }
		/^[[:space:]]*(#|$)/ { kept = kept $0 "\n"; next }
		{ comments[name($1)] = kept; kept = "" }' "$old" - >"$2/series"
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
