#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Checks what needs no lab: the patches apply strictly and survive an export, pass checkpatch and sparse, the
# modules build without a warning after every one of them; the scripts pass shellcheck, the pages docutils.
# It works on the patch files, in a work tree of its own (build/SERIES/check); logs are in build/SERIES/check.logs.
# Usage: check-series.sh [-n]; exit status 1 if a check failed.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

tree=$build/check
logs=$build/check.logs
passed=0
failed=0
skipped=0

ok() { passed=$((passed + 1)); echo "ok $1"; }
skip() { skipped=$((skipped + 1)); echo "skip $1: $2"; }

# not_ok NAME LOG: show the log's end as the reason.
not_ok()
{
	failed=$((failed + 1))
	echo "not ok $1 (see $2)"
	tail -n 12 "$2" | sed 's/^/	/'
}

# check NAME COMMAND...: ok when the command succeeds.
check()
{
	local name=$1 log

	log=$logs/${name//[ \/]/-}.log
	shift
	if "$@" >"$log" 2>&1; then ok "$name"; else not_ok "$name" "$log"; fi
}

# The series was made on this very base, so that nothing may have moved.
on_its_base() { [ "$(head -n 1 "$patches/series")" = "# $(base_name)" ]; }

nothing_moved() { awk '$3 { print $2 ": " $3 " hunks moved"; moved = 1 } END { exit moved }' <<<"$commits"; }

round_trip()
{
	rm -rf "$logs/export"
	mkdir "$logs/export"
	format_series "$tip" "$logs/export" && diff -u -r "$patches" "$logs/export"
}

# FILE_PATH_CHANGES asks whether MAINTAINERS needs an entry for a new file: the new files lie where the entries
# of KVM and of its selftests already cover them. /usr/bin comes first for the python3 that has Debian's modules.
checkpatch()
{
	(cd "$tree" && PATH=/usr/bin:$PATH perl scripts/checkpatch.pl --strict --terse --no-summary --show-types --ignore FILE_PATH_CHANGES "$1")
}

# new_files DIR OUT: the files that the series in DIR adds, put together from its patches alone, into OUT.
new_files()
{
	local include patch

	mapfile -t include < <(sed -n 's/^ create mode [0-7]* /--include=/p' "$1"/*.patch)
	[ ${#include[@]} -gt 0 ] || { echo "$1 adds no file"; return 1; }
	kgit init -q "$2" || return
	for patch in $(series_patches "$1"); do
		kgit -C "$2" apply --whitespace=nowarn "${include[@]}" "$1/$patch" || { echo "$1/$patch"; return 1; }
	done
}

# What several series add is one text.
same_new_files()
{
	local new=$logs/new dir file other differ=0

	mkdir "$new"
	for dir in "$top"/patches/*/; do
		new_files "${dir%/}" "$new/$(basename "$dir")" || return
	done
	cd "$new"
	for other in *; do
		while read -r file; do
			[ ! -e "$other/$file" ] || cmp "$kseries/$file" "$other/$file" || differ=1
		done < <(kgit -C "$new/$kseries" ls-files -o)
	done
	cd "$top"
	return $differ
}

# Debug information would double the time and hides no warning. 6.1's own kernel-doc comments have faults.
kvm_make() { KDOC_WERROR=0 kmake -C "$tree" CC="ccache $cc" M="$tree/arch/x86/kvm" W=1 KCFLAGS="-Werror -g0" "$@"; }

build_commit()
{
	kgit -C "$tree" checkout -q --detach "$1" && kvm_make CONFIG_KVM_WERROR=y modules
}

# sparse_warnings COMMIT: sparse's findings on the files that the series touches, without line numbers and order.
sparse_warnings()
{
	local objects

	kgit -C "$tree" checkout -q --detach "$1" || return
	mapfile -t objects < <(kgit diff --name-only base "$tip" -- 'arch/x86/kvm/*.c' | sed 's/c$/o/' |
		while read -r object; do [ ! -f "$tree/${object%o}c" ] || echo "${object#arch/x86/kvm/}"; done)
	[ ${#objects[@]} -gt 0 ] || return 0
	kvm_make C=2 "${objects[@]}" >"$logs/sparse-output.log" 2>&1 || { cat "$logs/sparse-output.log"; return 1; }
	grep -E ':[0-9]+:[0-9]+: (warning|error):' "$logs/sparse-output.log" | sed -E 's/:[0-9]+:[0-9]+:/:/' | sort || true
}

sparse_adds_nothing() { ! comm -13 "$logs/sparse-base" "$logs/sparse-tip" | grep .; }

shell_scripts()
{
	{ git -C "$top" ls-files -co --exclude-standard 2>/dev/null ||
		(cd "$top" && find . \( -path ./build -o -path ./.git \) -prune -o -type f -print); } |
		while read -r file; do
			! head -n 2 "$top/$file" | grep -qE '^#!.*\b(sh|bash)\b|^# shellcheck shell=' || echo "$file"
		done
}

shellcheck_all() { (cd "$top" && shell_scripts | xargs shellcheck -x -P SCRIPTDIR -P "$top"); }

page() { rst2html --halt=warning "$1" /dev/null; }

# Every file that README.md links to is there.
links()
{
	local file absent=0

	while read -r file; do
		[ -e "$top/$file" ] || { echo "README.md: there is no $file"; absent=1; }
	done < <(grep -oE '\]\([^)#: ]+[)#]' "$top/README.md" | sed 's/^..//; s/.$//')
	return $absent
}

need_packages bc binutils bison ccache dwarves flex gcc gcc-12 git kmod libc6-dev libelf-dev libssl-dev make perl \
	python3 python3-docutils python3-git python3-ply shellcheck sparse xz-utils
plan "check $patches in a work tree of its own, $tree"
"$top/scripts/fetch-kernel.sh"
one_at_a_time
export CCACHE_DIR=$build/ccache
rm -rf "$logs"
mkdir -p "$logs"
cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$(kbuild)/.config")

check "shellcheck" shellcheck_all
mapfile -t pages < <(cd "$top" && find Documentation -name '*.rst' | sort)
for page in "${pages[@]}"; do check "docutils $page" page "$top/$page"; done
if [ -f "$top/README.md" ]; then check "README links" links; else skip "README links" "no README.md"; fi

check "new files are the same in every series" same_new_files

if ! commits=$(commit_series "$patches" 2>"$logs/apply.log"); then
	not_ok "series applies" "$logs/apply.log"
	echo "$passed passed, $failed failed, $skipped skipped"
	exit 1
fi
ok "series applies"
tip=$(tail -n 1 <<<"$commits")
tip=${tip%% *}
if on_its_base; then
	check "nothing moved" nothing_moved
	check "export gives the same files" round_trip
else
	skip "nothing moved" "the series was made on another version"
	skip "export gives the same files" "the series was made on another version"
fi

log "preparing a work tree for the builds"
kgit worktree prune
[ -e "$tree/.git" ] || { rm -rf "$tree"; kgit worktree add -q --detach "$tree" base; }
kgit -C "$tree" checkout -q --force --detach "$tip"

while read -r _ patch _; do check "checkpatch $patch" checkpatch "$patches/$patch"; done <<<"$commits"
# index.rst and its like are Sphinx's; the series' own pages keep to plain docutils.
mapfile -t pages < <(kgit diff --name-only --diff-filter=A base "$tip" -- 'Documentation/*.rst')
for page in "${pages[@]}"; do check "docutils $page" page "$tree/$page"; done

kgit -C "$tree" checkout -q --detach base
prepare_tree "$tree"
log "sparse on the unpatched files"
sparse_warnings base >"$logs/sparse-base" || die "sparse could not run: see $logs/sparse-base"
log "building the modules after each patch"
while read -r commit patch _; do check "build $patch" build_commit "$commit"; done <<<"$commits"
if sparse_warnings "$tip" >"$logs/sparse-tip"; then
	check "sparse" sparse_adds_nothing
else
	not_ok "sparse" "$logs/sparse-tip"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
