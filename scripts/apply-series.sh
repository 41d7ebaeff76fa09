#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Puts the series of patches/SERIES on the kernel's tree in build/SERIES/linux, each patch a commit on the branch
# SERIES. Strict: no fuzz, the first failure stops it before anything changes. Work in the tree that
# is not in the patches is never dropped.
# Usage: apply-series.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

no_arguments "$@"
need_packages git
plan "apply the $(series_patches "$patches" | wc -l) patches of $patches, a commit each, to $ktree"
one_at_a_time
demand_whole_branch

commits=$(commit_series "$patches")
[ -n "$commits" ] || die "$patches/series names no patch"
tip=$(tail -n 1 <<<"$commits")
tip=${tip%% *}

if same_series "$tip" "$branch"; then
	kgit update-ref "$applied" HEAD
	exit 0
fi

# Only what this script or export-series.sh left there may be replaced.
head=$(kgit rev-parse HEAD)
if [ "$head" != "$(kgit rev-parse "$base")" ] && [ "$head" != "$(kgit rev-parse -q --verify "$applied")" ]; then
	die "$ktree has commits that are not in $patches: 'make export' them, or drop them with" \
		"'git -C $ktree reset --hard base/$name'"
fi

# Only files that differ are written, so that a rebuild does no more than it must.
kgit checkout -q -B "$name" "$tip"
kgit update-ref "$applied" "$tip"

moved=$(awk '$3 { printf "%s ", $2 }' <<<"$commits")
[ -z "$moved" ] || log "applied at moved lines, 'make export' refreshes: $moved"
log "applied $(wc -l <<<"$commits") patches to $(base_name)"
