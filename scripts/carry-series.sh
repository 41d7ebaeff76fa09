#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Carries what changed in the home series, compared with the repository's commit SINCE (default: HEAD), to patches/SERIES,
# or to each other series: patch by patch, by a three-way merge of the kernels' trees after that patch. Patches that only
# SERIES has stay where they are. Where a merge conflicts, nothing is written, and one line says which patch and files.
# Usage: carry-series.sh [-n]; SERIES=... SINCE=REV, with the kernels' sources fetched

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

# read_series ARRAY KERNEL DIR FILES: ARRAY gets the commits of DIR's series for KERNEL, by the patch's name; ARRAY_order
# the names in order.
read_series()
{
	local -n commits=$1 order=$1_order
	local commit patch lines

	sgit rev-parse -q --verify "refs/tags/base/$2" >/dev/null 2>&1 ||
		die "the source of Linux $2 is not here: run 'make fetch SERIES=$2'"
	lines=$(commit_series "$3" "$4" "refs/tags/base/$2") || exit 1
	while read -r commit patch _; do
		commits["$patch"]=$commit
		order+=("$patch")
	done <<<"$lines"
}

# merge PATCH BASE OURS THEIRS: the tree of the three commits' trees merged.
merge()
{
	local patch=$1 ancestor ours theirs result

	ancestor=$(sgit commit-tree -m base "$2^{tree}")
	ours=$(sgit commit-tree -m ours -p "$ancestor" "$3^{tree}")
	theirs=$(sgit commit-tree -m theirs -p "$ancestor" "$4^{tree}")
	if ! result=$(sgit -c merge.renames=false merge-tree --write-tree --name-only --no-messages "$ours" "$theirs"); then
		conflict "$patch" "$(tail -n +2 <<<"$result" | paste -s -d ' ')"
	fi
	head -n 1 <<<"$result"
}

conflict()
{
	die "$1: its change conflicts with Linux $series in $2: make it in $ktree by hand" \
		"('git rebase -i base/$series', then 'make export SERIES=$series'), then carry again"
}

# add TREE FROM: the next commit of the result, with the changelog in $work/message and the author of the commit FROM.
add()
{
	local -x GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE

	GIT_AUTHOR_NAME=$(sgit log -1 --format=%an "$2")
	GIT_AUTHOR_EMAIL=$(sgit log -1 --format=%ae "$2")
	GIT_AUTHOR_DATE=$(sgit log -1 --format=%ad "$2")
	GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	result=$(sgit commit-tree -p "$result" -F "$work/message" "$1")
}

# merge_message PATCH BASE OURS THEIRS: into $work/message.
merge_message()
{
	local i=0 commit

	for commit in "${@:2}"; do
		i=$((i + 1))
		sgit log -1 --format=%B "$commit" >"$work/message.$i"
	done
	git merge-file -p "$work/message.2" "$work/message.1" "$work/message.3" >"$work/message" || conflict "$1" "its changelog"
}

# add_own ANCHOR: the patches that only this series has and that follow ANCHOR in it; "" is the base.
add_own()
{
	local patch anchor='' tree

	for patch in "${own_order[@]}"; do
		if [ -n "${before[$patch]-}" ] && [ -n "${after[$patch]-}" ]; then
			anchor=$patch
		elif [ -z "${before[$patch]-}${after[$patch]-}" ] && [ "$anchor" = "$1" ]; then
			tree=$(merge "$patch" "$last_before" "${own[$patch]}" "$last_after")
			sgit log -1 --format=%B "${own[$patch]}" >"$work/message"
			add "$tree" "${own[$patch]}"
		fi
	done
}

no_arguments "$@"
if [ -z "${SERIES:-}" ]; then
	for series in $(all_series); do
		[ "$series" = "$home" ] || SERIES=$series "$0" ${dry:+-n}
	done
	exit
fi
[ "$series" != "$home" ] || die "SERIES=$series is the home series: give the one to carry its changes to"
since=${SINCE:-HEAD}
git -C "$top" rev-parse -q --verify "$since^{commit}" >/dev/null || die "SINCE=$since is no commit of this repository"
plan "carry what changed in patches/$home since $since to $patches"
one_at_a_time
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/new"
git -C "$top" archive "$since" patches | tar -x -C "$work"

declare -A before=() after=() own=()
before_order=() after_order=() own_order=()
read_series before "$home" "$work/patches/$home" "$work/patches/files"
read_series after "$home" "$top/patches/$home" "$shared"
read_series own "$series" "$patches" "$work/patches/files"

result=$(sgit rev-parse "$base")
last_before=refs/tags/base/$home last_after=$last_before previous=$last_before
add_own ""
for patch in "${after_order[@]}"; do
	if [ -z "${before[$patch]-}" ]; then		# new
		tree=$(merge "$patch" "$previous" "$result" "${after[$patch]}")
		sgit log -1 --format=%B "${after[$patch]}" >"$work/message"
		add "$tree" "${after[$patch]}"
	elif [ -n "${own[$patch]-}" ]; then
		last_before=${before[$patch]} last_after=${after[$patch]}
		tree=$(merge "$patch" "$last_before" "${own[$patch]}" "$last_after")
		merge_message "$patch" "$last_before" "${own[$patch]}" "$last_after"
		from=${own[$patch]}
		[ "$(sgit log -1 --format=%ad "$last_before")" = "$(sgit log -1 --format=%ad "$last_after")" ] || from=$last_after
		add "$tree" "$from"
		add_own "$patch"
	fi
	previous=${after[$patch]}
done

format_series "$result" "$work/new"
differs=$(diff -rq "$work/new/files" "$shared" | head -n 1) || :
[ -z "$differs" ] || die "the shared files do not come out as in patches/files ($differs)"
if diff -q <(cat "$patches/series" "$patches"/*.patch) <(cat "$work/new/series" "$work/new"/*.patch) >/dev/null; then
	log "nothing to carry to $patches: patches/$home is as in $since, or $series has it"
	exit 0
fi
replace_patches "$work/new" "$patches"
log "carried to $patches; next: make apply build SERIES=$series"
