#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tries scripts/carry-series.sh and range-diff.sh on a copy of the repository, with the kernels' sources that are here.
# Usage: [SERIES=...] run.sh, with the source of SERIES and of the home series fetched

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

debugfs=KVM-x86-Show-statistics-of-VM-Exits-in-debugfs.patch
comment='As the vendor.s manual writes it'	# only a patch of ours has it

# renew: the copy is as in the beginning.
renew() { git -C "$copy" checkout -q . && git -C "$copy" clean -fdq; }

# carry: what it prints, with its exit status.
carry() { SERIES=$series "$copy/scripts/carry-series.sh" 2>&1; }

# is_clean: nothing of the other series was written.
is_clean() { git -C "$copy" status --porcelain "patches/$series"; }

# change_all: a line of the home series, a changelog, and a patch more; then carries them.
change_all()
{
	renew
	sed -i "s/$comment/As its manual writes it/" "$copy/patches/$home/$debugfs"
	sed -i '0,/^Signed-off-by/s//One more sentence.\n\n&/' "$copy/patches/$home/$debugfs"
	cat >"$copy/patches/$home/KVM-x86-Try.patch" <<-END
		From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
		From: kvm-exit-stats developers <developers@kvm-exit-stats.invalid>
		Date: Thu, 26 Nov 2026 12:00:00 +0000
		Subject: [PATCH] KVM: x86: Try

		Try.

		Signed-off-by: kvm-exit-stats developers <developers@kvm-exit-stats.invalid>
		---
		diff --git a/arch/x86/kvm/try.c b/arch/x86/kvm/try.c
		new file mode 100644
		--- /dev/null
		+++ b/arch/x86/kvm/try.c
		@@ -0,0 +1 @@
		+/* Try. */
	END
	echo KVM-x86-Try.patch >>"$copy/patches/$home/series"
	carry
}

has_comment() { grep '^+/\* As its manual writes it' "$copy/patches/$series/$debugfs"; }
has_changelog() { grep -x 'One more sentence.' "$copy/patches/$series/$debugfs"; }
has_patch() { [ "$(tail -n 1 "$copy/patches/$series/series")" = KVM-x86-Try.patch ]; }

# Nothing else but the blobs' names.
has_nothing_else()
{
	! git -C "$copy" diff -U0 "patches/$series" | grep '^[+-][^+-]' |
		grep -vE '^.(index |.*(its|vendor.s) manual writes it|One more sentence|KVM-x86-Try)'
}

conflict()
{
	local out status=0

	renew
	sed -i "s/$comment/One text/" "$copy/patches/$home/$debugfs"
	sed -i "s/$comment/Another text/" "$copy/patches/$series/$debugfs"
	git -C "$copy" diff "patches/$series" >"$work/before"
	out=$(carry) || status=$?
	echo "$out"
	[ $status -ne 0 ] && [ "$(wc -l <<<"$out")" -eq 1 ] && grep -q "$debugfs.*arch/x86/kvm/exit_stats.c" <<<"$out" || return
	git -C "$copy" diff "patches/$series" | diff "$work/before" - || { echo "something was written"; return 1; }
}

nothing_to_carry() { renew; carry | grep -q 'nothing to carry' && [ -z "$(is_clean)" ]; }

to_home() { ! SERIES=$home "$copy/scripts/carry-series.sh" >"$work/log" 2>&1 && grep -q 'is the home series' "$work/log"; }

no_such_commit() { ! SINCE=no-such-commit carry >"$work/log" && grep -q 'is no commit' "$work/log"; }

# range-diff pairs the patches that both series have, and shows the others as one's own.
range_diff()
{
	local both

	renew
	SERIES=$series "$copy/scripts/range-diff.sh" >"$work/log" || return
	both=$(comm -12 <(series_patches "$top/patches/$home" | sort) <(series_patches "$patches" | sort) | wc -l)
	[ "$(grep -cE '^ *[0-9]+: .* [=!] ' "$work/log")" -eq "$both" ] || { cat "$work/log"; return 1; }
	[ "$(grep -cE '^ *[0-9]+: .* < ' "$work/log")" -eq $(($(series_patches "$top/patches/$home" | wc -l) - both)) ]
}

if [ "$series" = "$home" ]; then
	skip "carrying" "$home is the home series: the others are carried from it"
	exit
fi
need_packages git
for kernel in $home $series; do
	sgit rev-parse -q --verify "refs/tags/base/$kernel" >/dev/null 2>&1 || die "no source of $kernel: run 'make fetch SERIES=$kernel'"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/copy
mkdir -p "$copy/build/$series"
cp -r "$top/patches" "$top/scripts" "$copy/"
git clone -q --bare --shared "$store" "$copy/build/linux.git"
echo /build/ >"$copy/.gitignore"
git -C "$copy" init -q
git -C "$copy" add -A
git -C "$copy" -c user.name=test -c user.email=test@kvm-exit-stats.invalid commit -q -m "As it is"

verdict "nothing changed: nothing to carry" nothing_to_carry
verdict "changes are carried" change_all
verdict "a line that changed is there" has_comment
verdict "a changelog that changed is there" has_changelog
verdict "a new patch is there" has_patch
verdict "nothing else has changed" has_nothing_else
verdict "a conflict stops it with one line, and nothing is written" conflict
verdict "refused: to carry to the home series" to_home
verdict "refused: a commit that is not there" no_such_commit
verdict "range-diff pairs the patches that both have" range_diff
