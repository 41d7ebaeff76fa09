#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Turns the commits of build/SERIES/linux on top of its base into patches/SERIES: a file for each commit, and the series
# file, whose comments stay. The whole new files that commits name in lines "Files:" come into patches/files, from the
# home series only; the others must have the same. Exporting twice changes nothing.
# Usage: export-series.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

no_arguments "$@"
need_packages git
plan "turn the commits $name has on top of its base, in $ktree, into the patches in $patches"
one_at_a_time
demand_whole_branch

[ "$(kgit rev-list --count "$base..HEAD")" -gt 0 ] || die "$ktree has no commits on top of its base: nothing to export"
[ -z "$(kgit rev-list --merges "$base..HEAD")" ] || die "$ktree has a merge on top of its base: make it linear first"

# The tree is as apply left it and the patches are not: exporting would undo a change of the patches.
if [ "$(kgit rev-parse HEAD)" = "$(kgit rev-parse -q --verify "$applied")" ]; then
	tip=$(commit_series "$patches" | tail -n 1)
	same_series "${tip%% *}" "$branch" || die "$patches changed since it was applied, and $ktree did not: run 'make apply'"
fi

new=$build/export.part
rm -rf "$new"
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
format_series "$branch" "$new"
tip=$(commit_series "$new" "$new/files" | tail -n 1)
same_series "${tip%% *}" "$branch" ||
	die "a commit in $ktree does not survive as a patch file (a line '---' or a diff in its changelog?)"
if [ "$series" != "$home" ]; then
	differs=$(diff -rq "$new/files" "$shared" | head -n 1) || :
	[ -z "$differs" ] || die "the series share patches/files, and $ktree has another ($differs):" \
		"change it in build/$home/linux, 'make export', then 'make apply SERIES=$series'"
else
	rm -rf "$shared"
	mv "$new/files" "$shared"
fi
replace_patches "$new" "$patches"
kgit update-ref "$applied" HEAD
log "exported $(series_patches "$patches" | wc -l) patches to $patches"
