#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Shows how the series of patches/SERIES, or each series, differs from the home series, patch by patch, as git range-diff
# does: "=" is the same, "!" differs, and "<" and ">" are in one of them only.
# Usage: range-diff.sh [-n]; SERIES=... for one series, with the kernels' sources fetched

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

no_arguments "$@"
plan "show how the series differ"

# tip_of SERIES: the last commit of its patches, as they are now.
tip_of()
{
	[ -n "$(sgit rev-parse -q --verify "refs/tags/base/$1" 2>/dev/null)" ] ||
		die "the source of Linux $1 is not here: run 'make fetch SERIES=$1'"
	commit_series "$top/patches/$1" "$shared" "refs/tags/base/$1" | awk '{ print $1 }' | tail -n 1
}

for other in ${SERIES:-$(all_series)}; do
	[ "$other" != "$home" ] || continue
	ours=$(tip_of "$home")
	theirs=$(tip_of "$other")
	echo "Linux $home, then Linux $other:"
	sgit --no-pager range-diff --no-dual-color --creation-factor=90 "refs/tags/base/$home..$ours" "refs/tags/base/$other..$theirs"
done
