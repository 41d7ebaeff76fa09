#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Checks the patch files of a series, in git's objects and in a plain tree with the files that they touch: what whoever
# has only quilt, or only git am, gets. Usage: [SERIES=...] run.sh, with the kernel's source fetched

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

# The series was made on this very base, so that nothing may have moved.
on_its_base() { [ "$(head -n 1 "$patches/series")" = "# $(base_name)" ]; }

nothing_moved() { awk '$3 { print $2 ": " $3 " hunks moved"; moved = 1 } END { exit moved }' <<<"$commits"; }

round_trip()
{
	mkdir "$work/export"
	format_series "$tip" "$work/export"
	diff -r "$work/export/files" "$shared" || return
	rm -r "$work/export/files"
	diff -r "$work/export" "$patches"
}

# plain_tree DIR: those files of the unpatched kernel that the series touches.
plain_tree()
{
	mkdir "$1"
	sgit diff --name-only --diff-filter=MD "$base" "$tip" | xargs git --git-dir="$store" archive "$base" | tar -x -C "$1"
}

# is_patched DIR: it has what the series makes of these files, and the new ones.
is_patched()
{
	rm -rf "$work/wanted"
	mkdir "$work/wanted"
	sgit diff --name-only --diff-filter=AM "$base" "$tip" | xargs git --git-dir="$store" archive "$tip" | tar -x -C "$work/wanted"
	diff -r -x .pc -x .git "$work/wanted" "$1"
}

# by_quilt: the two commands of patches/README.md. Strict, as make apply is.
by_quilt()
{
	plain_tree "$work/quilt"
	cp -a "$shared/." "$work/quilt/"
	(cd "$work/quilt" && QUILT_PATCHES=$patches quilt --quiltrc - push -a --fuzz=0) && is_patched "$work/quilt"
}

by_git_am()
{
	plain_tree "$work/am"
	git -C "$work/am" init -q
	git -C "$work/am" config user.name test
	git -C "$work/am" config user.email test@kvm-exit-stats.invalid
	git -C "$work/am" add -A -f
	git -C "$work/am" commit -q -m base
	git -C "$work/am" am "$work/mbox" && is_patched "$work/am"
}

no_files_lines() { ! grep -n '^Files: ' "$work/mbox"; }

# The kernel's patches alone, without shared files, count and show: whoever wants no tool and no test needs no script.
kernel_alone()
{
	local patch

	plain_tree "$work/alone"
	for patch in $(series_patches "$patches"); do
		! grep -q '^Files: ' "$patches/$patch" || continue
		patch -d "$work/alone" -p1 -F0 -s <"$patches/$patch" || return
	done
}

# FILE_PATH_CHANGES asks whether MAINTAINERS needs an entry for a new file: the new files lie where the entries
# of KVM and of its selftests already cover them. /usr/bin comes first for the python3 that has Debian's modules.
checkpatch()
{
	(cd "$ktree" && PATH=/usr/bin:$PATH perl scripts/checkpatch.pl --strict --terse --no-summary --show-types \
		--ignore FILE_PATH_CHANGES "$1")
}

# exitstat's list of what KVM can enable is that of the newest kernel, and has all that an older one can enable.
handlers()
{
	local list=$shared/tools/kvm/exitstat/handlers.h newest

	newest=$(all_series | tr ' ' '\n' | sort -V | tail -n 1)
	if [ "$series" = "$newest" ]; then
		"${list%.h}.sh" "$ktree" | diff "$list" -
		return
	fi
	! "${list%.h}.sh" "$ktree" | grep -vxFf "$list"
}

# mutants_apply: all of test/mutants to the home series, and testing.rst knows them.
mutants_apply()
{
	local mutant mutant_name status=0

	GIT_INDEX_FILE=$work/index sgit read-tree "$tip"
	for mutant in "$top"/test/mutants/*.patch; do
		mutant_name=$(basename "$mutant" .patch)
		GIT_INDEX_FILE=$work/index sgit apply --cached --check "$mutant" || status=1
		grep -q "^$mutant_name  " "$top/Documentation/testing.rst" ||
			{ echo "testing.rst does not have $mutant_name"; status=1; }
	done
	return $status
}

need_packages git patch perl python3 python3-git python3-ply quilt
has_base || die "no kernel source yet: run 'make fetch'"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! commits=$(commit_series "$patches" 2>"$work/log"); then
	not_ok "series applies" "$(tail -n 1 "$work/log")"
	exit
fi
ok "series applies"
tip=$(tail -n 1 <<<"$commits")
tip=${tip%% *}
if on_its_base; then
	verdict "nothing moved" nothing_moved
	verdict "export gives the same files" round_trip
else
	skip "nothing moved" "the series was made on another version"
	skip "export gives the same files" "the series was made on another version"
fi
format_mails "$tip" >"$work/mbox"
verdict "quilt makes the same tree" by_quilt
verdict "git am makes the same tree" by_git_am
verdict "mails have no lines of ours" no_files_lines
verdict "the kernel's patches need no shared file" kernel_alone
[ "$series" != "$home" ] || verdict "each mutant applies" mutants_apply
verdict "exitstat knows the kernel's handlers" handlers
mkdir "$work/mails"
git mailsplit -o"$work/mails" "$work/mbox" >/dev/null
n=0
while read -r _ patch _; do
	n=$((n + 1))
	verdict "checkpatch $patch" checkpatch "$work/mails/$(printf %04d $n)"
done <<<"$commits"
