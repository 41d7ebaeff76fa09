# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The series as commits and as patch files: sourced after lib.sh. All kernels share one store of git objects; each has
# the tag base/NAME, its source, the branch NAME, the series on top, and a work tree, build/NAME/linux. NAME is the
# series' in the lab, and the release of an installed kernel.

store=$top/build/linux.git
shared=$top/patches/files		# whole new files, which all series have in common
name=${build##*/}
base=refs/tags/base/$name
branch=refs/heads/$name
applied=refs/kvm-exit-stats/$name	# what apply or export left there

# Untouched by the user's configuration, so that the same patches come out on every machine.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME="kvm-exit-stats developers" GIT_AUTHOR_EMAIL=developers@kvm-exit-stats.invalid
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

# sgit ARG...: git in the store. kgit ARG...: in the kernel's work tree.
sgit() { git --git-dir="$store" "$@"; }
kgit() { git -C "$ktree" "$@"; }

# worktree ARG...: git worktree, one at a time, as to prune another one that is being made would break it.
worktree() { flock "$store" git --git-dir="$store" worktree "$@"; }

# has_base: is the kernel's source in the store?
has_base() { [ -d "$store" ] && sgit rev-parse -q --verify "$base" >/dev/null; }

# demand_whole_branch: stop unless the tree is on its branch, with nothing half done and nothing uncommitted.
demand_whole_branch()
{
	local dirty state

	[ -e "$ktree/.git" ] || die "no kernel source yet: run 'make fetch'"
	[ -f "$ktree/.git" ] || die "$ktree is of an older version of these scripts: save your commits with 'git -C $ktree format-patch base', remove it, then again"
	for state in rebase-merge rebase-apply; do
		[ ! -d "$(kgit rev-parse --git-path $state)" ] ||
			die "a rebase or am is under way in $ktree: finish or abort it first"
	done
	[ "$(kgit symbolic-ref -q HEAD)" = "$branch" ] ||
		die "$ktree is not on its branch: run 'git -C $ktree checkout $name'"
	dirty=$(kgit status --porcelain | head -n 1)
	[ -z "$dirty" ] || die "$ktree has uncommitted changes (${dirty:3}, ...): commit and 'make export' them," \
		"or put them aside with 'git -C $ktree stash -u'"
}

# series_patches DIR: the names in DIR/series, without comments.
series_patches() { awk '!/^[[:space:]]*(#|$)/ { print $1 }' "$1/series"; }

# shared_files: from a changelog on stdin, the whole new files and folders that come with the patch.
shared_files() { sed -n 's/^Files: //p'; }

# commit_series DIR [SHARED [BASE]]: make DIR's series commits on top of BASE, with the files in SHARED that its patches
# name.
# Strict: every context line must be there (no fuzz); a hunk may have moved. It works in git's objects alone, as `git am`
# does in a work tree: files and branches stay, so nothing is half done after a failure. The same patches give the
# same commits. Prints a line "COMMIT PATCH MOVED-HUNKS" for each patch.
commit_series()
{
	local dir=$1 files=${2:-$shared} base=${3:-$base} commit patch tmp version
	local -a paths

	[ -f "$dir/series" ] || die "there is no $dir/series"
	tmp=$(mktemp -d)
	local -x GIT_INDEX_FILE=$tmp/index GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	commit=$(sgit rev-parse "$base")
	sgit read-tree "$base"
	for patch in $(series_patches "$dir"); do
		[ -f "$dir/$patch" ] || die "$dir/series names $patch, which is not there"
		sgit mailinfo "$tmp/body" "$tmp/diff" <"$dir/$patch" >"$tmp/head" || die "$patch is not a mail with a patch"
		mapfile -t paths < <(shared_files <"$tmp/body")
		if [ ${#paths[@]} -gt 0 ] &&
		   ! sgit --work-tree="$files" -C "$files" add -A -f -- "${paths[@]}" 2>"$tmp/log"; then
			rm -r "$tmp"
			die "$patch: not all that its lines 'Files:' name is in $files"
		fi
		if ! LC_ALL=C sgit apply --cached -v --whitespace=nowarn "$tmp/diff" 2>"$tmp/log"; then
			grep '^error' "$tmp/log" >&2 || true
			rm -r "$tmp"
			version=$(base_name)
			die "$patch does not apply to ${version%%,*}. Way out: 'git -C $ktree reset --hard $commit &&" \
				"git -C $ktree am --reject $dir/$patch', mend it there, go on with the next ones, then 'make export'"
		fi
		GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$tmp/head")
		GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$tmp/head")
		GIT_AUTHOR_DATE=$(sed -n 's/^Date: //p' "$tmp/head")
		GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
		{ sed -n 's/^Subject: //p' "$tmp/head"; echo; cat "$tmp/body"; } | git stripspace >"$tmp/message"
		commit=$(sgit commit-tree -p "$commit" -F "$tmp/message" "$(sgit write-tree)")
		printf '%s %s %s\n' "$commit" "$patch" "$(grep -c '^Hunk.*offset' "$tmp/log" || true)"
	done
	rm -r "$tmp"
}

# same_series COMMIT COMMIT: whether both hold the same patches: contents, authors, changelogs.
same_series()
{
	local format='%T %an <%ae> %ai%n%B'

	[ "$(sgit log --format="$format" "$base..$1")" = "$(sgit log --format="$format" "$base..$2")" ]
}

# base_name: what the series is made on, e.g. "Linux 6.12.117, Debian linux-source-6.12 6.12.117-1~deb12u1".
base_name() { sgit log -1 --format=%s "$base"; }

# format_series COMMIT DIR: write base..COMMIT as patch files and a series into the empty DIR, the shared files in
# DIR/files; comments are kept from $patches/series, by the name of the patch that they precede.
format_series()
{
	local tip=$1 dir=$2 old=/dev/null file
	local -a paths

	[ ! -f "$patches/series" ] || old=$patches/series
	mapfile -t paths < <(sgit log --format=%B "$base..$tip" | shared_files | sort -u)
	sgit format-patch -q --zero-commit --no-signature --no-numbered --full-index --diff-algorithm=myers \
		--filename-max-length=128 -o "$dir" "$base..$tip" -- . "${paths[@]/#/:(exclude)}"
	mkdir "$dir/files"
	[ ${#paths[@]} -eq 0 ] || sgit archive "$tip" -- "${paths[@]}" | tar -x -C "$dir/files"
	(cd "$dir" && printf '%s\n' [0-9]*.patch) | awk -v base="# $(base_name)" '
		BEGIN { print base }
		FILENAME == "-" { name = substr($1, 6); printf "%s%s\n", comments[name], name; next }
		FNR == 1 && /^# Linux / { next }
		/^[[:space:]]*(#|$)/ { kept = kept $0 "\n"; next }
		{ comments[$1] = kept; kept = "" }' "$old" - >"$dir/series"
	for file in "$dir"/[0-9]*.patch; do
		[ ! -e "$dir/${file##*/????-}" ] || die "two patches have the subject of ${file##*/}"
		mv "$file" "$dir/${file##*/????-}"
	done
}

# format_mails COMMIT: base..COMMIT as mails with all of their files, without the lines "Files:", which are ours alone.
format_mails()
{
	sgit format-patch --stdout --no-signature --diff-algorithm=myers --subject-prefix="PATCH $name" "$base..$1" |
		sed '/^Files: /d'
}

# replace_patches NEW DIR: the patch files and the series of format_series take the place of those in DIR.
replace_patches()
{
	local file

	mkdir -p "$2"
	for file in "$2"/*.patch; do
		[ -e "$1/${file##*/}" ] || rm -f "$file"
	done
	mv "$1"/*.patch "$1/series" "$2/"
}
