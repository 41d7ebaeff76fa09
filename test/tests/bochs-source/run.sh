#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests test/lab/build-bochs.sh in a copy of what it needs, with an apt-get that has no sources and installs nothing.
# Usage: run.sh

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/lib.sh
. "$here/../../lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/copy
mkdir -p "$copy"/{scripts,test/lab,patches} "$work/bin"
cp "$here"/../../../scripts/{lib,lib-apt}.sh "$copy/scripts/"
cp "$here/../../lab/build-bochs.sh" "$copy/test/lab/"
cp -r "$here"/../../../patches/{HOME,[0-9]*} "$copy/patches/"
cat >"$work/bin/apt-get" <<'END'
#!/bin/sh
case " $* " in
*" indextargets "*) echo "Debian,Debian http://mirror.invalid/debian" ;;
*" source "*) echo "E: Unable to find a source package for bochs"; exit 100 ;;
esac
END
chmod +x "$work/bin/apt-get"

# build: once more. Its output is in $work/output.
build() { PATH=$work/bin:$PATH "$copy/test/lab/build-bochs.sh" >"$work/output" 2>&1; }

# says_so: it succeeds, and says in one line why Bochs is Debian's.
says_so()
{
	build || { echo "exit status $?: $(tail -n 1 "$work/output")"; return 1; }
	[ "$(grep -vc '^== ' "$work/output")" -eq 1 ] || { echo "it prints: $(paste -s -d '|' "$work/output")"; return 1; }
	grep -q "fetch.log: Debian's own Bochs is used" "$work/output" || { echo "it prints: $(tail -n 1 "$work/output")"; return 1; }
	[ ! -e "$copy/build/bochs/bochs" ] || { echo "it has built something"; return 1; }
}

# is_silent: it does not try again each time that an L1 boots.
is_silent()
{
	build
	[ ! -s "$work/output" ] || { echo "it prints: $(tail -n 1 "$work/output")"; return 1; }
}

verdict "without its source: says so in one line" says_so
verdict "without its source: says so once" is_silent
