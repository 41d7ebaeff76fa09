# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # the variables are for those who source it
# Common to all scripts: sourced, never run. Defines where things lie and how scripts speak.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kseries=${KSERIES:-6.12}		# which series of patches/, e.g. 6.12

patches=$top/patches/$kseries		# series and the patch files
build=$top/build/$kseries		# all that is downloaded or built
ktree=$build/linux			# the kernel's source, a git work tree: tag "base" + the series
image=$build/image			# unpacked linux-image package: boot/, lib/modules/
headers=$build/headers			# unpacked linux-headers package: usr/src/
modules=$build/modules			# the patched kvm*.ko
selftests=$build/selftests		# static selftest binaries

# log TEXT: one progress line.
log() { printf '== %s\n' "$*" >&2; }

# die TEXT: what is wrong and the way out, in one line; exit status 1.
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# kver: the kernel release the modules are for, as uname -r prints it.
kver() { cat "$build/kver" 2>/dev/null || die "no kernel fetched yet: run 'make fetch'"; }

# need_packages PACKAGE...: install the Debian packages that are missing.
need_packages()
{
	local missing=() p

	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" -eq 0 ] || die "packages are missing: run 'apt-get install ${missing[*]}' as root, then again"
	log "installing ${missing[*]}"
	apt-get update -qq || die "apt-get update failed: check the network and /etc/apt/sources.list"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		"${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
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

	cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$headers/usr/src/linux-headers-$(kver)/.config")
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

	headers_dir=$headers/usr/src/linux-headers-$(kver)
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
