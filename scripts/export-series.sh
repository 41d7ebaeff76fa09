#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Turns the commits base..kvm-exit-stats of build/SERIES/linux into patches/SERIES: a file for each commit, and the
# series file, whose topic comments stay. Exporting twice changes nothing.
# Usage: export-series.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_packages git
plan "turn the commits base..kvm-exit-stats of $ktree into the patches in $patches"
one_at_a_time
demand_whole_branch

[ "$(kgit rev-list --count base..HEAD)" -gt 0 ] || die "$ktree has no commits on top of base: nothing to export"
[ -z "$(kgit rev-list --merges base..HEAD)" ] || die "$ktree has a merge on top of base: make it linear first"

# The tree is as apply left it and the patches are not: exporting would undo a change of the patches.
if [ "$(kgit rev-parse HEAD)" = "$(kgit rev-parse -q --verify refs/kvm-exit-stats/applied)" ]; then
	tip=$(commit_series "$patches" | tail -n 1)
	same_series "${tip%% *}" HEAD || die "$patches changed since it was applied, and $ktree did not: run 'make apply'"
fi

new=$build/export.part
rm -rf "$new"
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
format_series HEAD "$new"
tip=$(commit_series "$new" | tail -n 1)
same_series "${tip%% *}" HEAD ||
	die "a commit in $ktree does not survive as a patch file (a line '---' or a diff in its changelog?)"

mkdir -p "$patches"
for file in "$patches"/*.patch; do
	[ -e "$new/${file##*/}" ] || rm -f "$file"
done
mv "$new"/*.patch "$patches/"
mv "$new/series" "$patches/series"
kgit update-ref refs/kvm-exit-stats/applied HEAD
log "exported $(series_patches "$patches" | wc -l) patches to $patches"
