#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests how scripts/fetch-kernel.sh looks for a kernel that the machine's apt does not list, in a copy of what it needs,
# with an apt that downloads nothing. Usage: run.sh

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../../..
# shellcheck source=test/lib.sh
. "$here/../../lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/copy
mkdir -p "$copy/patches" "$work/bin"
cp -r "$top/scripts" "$copy/"
cp -r "$top"/patches/{HOME,[0-9]*} "$copy/patches/"
series=$(cat "$copy/patches/HOME")
# The machine's lists, and the others, have no such kernel; $work/offline: the others cannot be had.
cat >"$work/bin/apt-get" <<END
#!/bin/sh
echo "apt-get \$*" >>$work/calls
case " \$* " in
*" indextargets "*) echo "Debian,Debian http://mirror.invalid/debian" ;;
*/build/apt/*" update "*) [ ! -e $work/offline ] || { echo "E: Failed to fetch"; exit 100; } ;;
esac
END
cat >"$work/bin/apt-cache" <<'END'
#!/bin/sh
case " $* " in
*" search "*"^linux-source-"*) echo "linux-source-5.10 - Linux kernel source" ;;
esac
END
chmod +x "$work"/bin/*

# refuses WHY: the fetch fails with that as its only line beside progress, and leaves no tree.
refuses()
{
	local status=0

	: >"$work/calls"
	PATH=$work/bin:$PATH SERIES=$series "$copy/scripts/fetch-kernel.sh" >"$work/output" 2>&1 || status=$?
	[ $status -ne 0 ] || { echo "it succeeds"; return 1; }
	if [ "$(grep -vc '^== ' "$work/output")" -ne 1 ] || ! grep -q "$1" "$work/output"; then
		echo "it prints: $(paste -s -d '|' "$work/output")"
		return 1
	fi
	[ ! -e "$copy/build/$series/linux" ] || { echo "it leaves a tree"; return 1; }
}

# verified: each of the lists' sources names Debian's keyring, and apt looked at no others.
verified()
{
	! grep -v 'signed-by=/usr/share/keyrings/debian-archive-keyring.gpg' "$copy/build/apt/sources.list" || return
	grep -q "Dir::Etc::SourceList=$copy/build/apt/sources.list -o Dir::Etc::SourceParts=/dev/null .*update" "$work/calls" ||
		{ echo "apt-get was called as: $(paste -s -d '|' "$work/calls")"; return 1; }
}

# told: why, to the tests, which skip that series.
told() { grep "neither apt nor Debian's other releases" "$copy/build/$series/unavailable"; }

# takes_next: the newest series but one has been downloaded, and all scripts take it from then on.
takes_next()
{
	local next

	next=$(cd "$copy/patches" && printf '%s\n' */series | sed 's|/series||' | grep -vx "$series" | sort -V | tail -n 1)
	mkdir -p "$copy/build/$next/linux"
	echo downloaded >"$copy/build/$next/kver"
	rm "$copy/build/$series/unavailable"
	env -u SERIES PATH="$work/bin:$PATH" "$copy/scripts/fetch-kernel.sh" >"$work/output" 2>&1 || { cat "$work/output"; return 1; }
	grep "^== taking the series for Linux $next: .*build/$series/unavailable" "$work/output" &&
		[ "$(env -u SERIES bash -c '. "$0/scripts/lib.sh" && echo "$series"' "$copy")" = "$next" ]
}

verdict "no release has it: says so" refuses "neither apt nor Debian's other releases have linux-source-$series"
verdict "no release has it: tells the tests" told
verdict "no series is asked for: takes the newest of those that are left" takes_next
verdict "the lists are verified by Debian's keyring, and the machine's apt stays as it is" verified
rm -f "$copy/build/apt/updated"
touch "$work/offline"
verdict "no network: says so" refuses "cannot be had: check the network"
