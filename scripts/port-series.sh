#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Starts the series for the kernel TO from that of FROM: puts FROM's commits on TO's source, each by a three-way merge, and
# exports them to patches/TO. Stops where a merge conflicts, with that rebase under way in build/TO/linux.
# Usage: FROM=... TO=... port-series.sh [-n], with the source of FROM fetched; KSRC=DIR as for make fetch

FROM=${FROM:-} TO=${TO:-}
SERIES=$FROM
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

no_arguments "$@"
[ -n "$FROM" ] || die "FROM=... is missing, the series to start from: give one of $(all_series)"
[[ $TO =~ ^[0-9]+\.[0-9]+$ ]] || die "TO=$TO is not a kernel's version: give one as 7.4"
[ ! -e "$top/patches/$TO" ] || die "patches/$TO is there already: remove it to start anew, or go on in build/$TO/linux"
has_base || die "the source of Linux $FROM is not here: run 'make fetch SERIES=$FROM'"
plan "get Linux $TO, put the patches of $patches on it, and write patches/$TO"
need_packages git
commits=$(commit_series "$patches")
tip=$(tail -n 1 <<<"$commits")
tip=${tip%% *}

# An empty series until export: the other scripts know a kernel by it.
new=$top/patches/$TO
trap '[ -s "$new/series" ] || rm -rf "$new"' EXIT
mkdir "$new"
touch "$new/series"
export SERIES=$TO
"$top/scripts/fetch-kernel.sh"

tree=$top/build/$TO/linux
git -C "$tree" reset -q --hard "$tip"
if ! git -C "$tree" rebase -q --onto "refs/tags/base/$TO" "$base" >"$tree/../port.log" 2>&1; then
	trap - EXIT
	die "$(git -C "$tree" log -1 --format=%s REBASE_HEAD) conflicts with Linux $TO in" \
		"$(git -C "$tree" diff --name-only --diff-filter=U | paste -s -d ' '): mend that in $tree, 'git add' it and" \
		"'git rebase --continue' to the last patch, then 'make export SERIES=$TO'"
fi
"$top/scripts/export-series.sh"
log "next: 'make range-diff check test SERIES=$TO', and see patches/README.md"
