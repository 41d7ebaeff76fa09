#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tries scripts/port-series.sh on a copy of the repository, from the home series to two made-up kernels: the home series' own
# with a few lines more. Usage: run.sh, with the source of the home series fetched

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

file=arch/x86/kvm/svm/svm.c

# make_kernel NAME SED_SCRIPT: as if fetched: home's, and what the script makes of the file.
make_kernel()
{
	local commit blob
	local -x GIT_INDEX_FILE=$work/index GIT_AUTHOR_DATE="2000-01-01T00:00:00Z" GIT_COMMITTER_DATE="2000-01-01T00:00:00Z"

	in_store read-tree "base/$home"
	blob=$(in_store show "base/$home:$file" | sed "$2" | in_store hash-object -w --stdin)
	in_store update-index --cacheinfo "100644,$blob,$file"
	commit=$(in_store commit-tree -m "Linux $1.0, made up" "$(in_store write-tree)")
	in_store tag "base/$1" "$commit"
	mkdir -p "$copy/build/$1"
	(unset GIT_INDEX_FILE && in_store worktree add -q --no-checkout -B "$1" "$copy/build/$1/linux" "$commit" &&
		cd "$copy/build/$1/linux" && git sparse-checkout set --no-cone /arch/x86/kvm/ /virt/ && git read-tree -mu HEAD)
	echo made-up >"$copy/build/$1/kver"
}

in_store() { git --git-dir="$copy/build/linux.git" "$@"; }

# port FROM TO: what it prints, with its exit status.
port() { FROM=$1 TO=$2 "$copy/scripts/port-series.sh" 2>&1; }

moved()
{
	port "$home" 90.0 || return
	series_patches "$copy/patches/$home" | diff - <(series_patches "$copy/patches/90.0") || return
	! diff -q "$copy/patches/$home" "$copy/patches/90.0" >"$work/differs" || { echo "nothing moved"; return 1; }
	in_store diff --exit-code "$home" "90.0" -- . ":!$file" || return
	SERIES=90.0 "$copy/scripts/apply-series.sh"
}

# One line, which names the patch, the file and the way out, and which is true.
conflict()
{
	local out tree=$copy/build/91.0/linux

	! out=$(port "$home" 91.0) || { echo "it did not stop"; return 1; }
	echo "$out"
	[ "$(wc -l <<<"$out")" -eq 1 ] && grep -q "^port-series.sh: KVM: .* conflicts with Linux 91.0 in $file: .*make export" <<<"$out" || return
	while [ -d "$(git -C "$tree" rev-parse --git-path rebase-merge)" ]; do
		git -C "$tree" checkout -q --theirs -- "$file"
		git -C "$tree" add "$file"
		GIT_EDITOR=true git -C "$tree" rebase --continue >"$work/log" 2>&1 || :
	done
	SERIES=91.0 "$copy/scripts/export-series.sh" || return
	series_patches "$copy/patches/$home" | diff - <(series_patches "$copy/patches/91.0")
}

# refused TEXT FROM TO: with that text, in one line, and no patch changes.
refused()
{
	local out

	rm -rf "$work/before"
	cp -r "$copy/patches" "$work/before"
	! out=$(port "$2" "$3") || { echo "it did not refuse"; return 1; }
	echo "$out"
	[ "$(wc -l <<<"$out")" -eq 1 ] && grep -q "$1" <<<"$out" && diff -r "$work/before" "$copy/patches"
}

need_packages git
has_base || die "no source of $home: run 'make fetch'"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/copy
mkdir -p "$copy/build"
cp -r "$top/patches" "$top/scripts" "$copy/"
git clone -q --bare --shared "$store" "$copy/build/linux.git"
make_kernel 90.0 '1i /* Linux 90 has a line more. */'
make_kernel 91.0 '/^static.* svm_vcpu_enter_exit(/,/^}/s|^\traw_local_irq_disable();$|& /* And here. */|'

verdict "the series comes with its lines moved, and applies" moved
verdict "a conflict stops it with one line, and git goes on" conflict
verdict "refused: a series that is there" refused "is there already" "$home" 90.0
verdict "refused: no kernel to start from" refused "FROM=... is missing" "" 92.0
verdict "refused: a name that is no version" refused "is not a kernel's version" "$home" next
