#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Checks the repository: shellcheck, docutils, links, exitstat's copies of kernel facts. Usage: run.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

# files: of the repository, also the new ones; all of them where there is no git.
files()
{
	git -C "$top" ls-files -co --exclude-standard 2>/dev/null ||
		(cd "$top" && find . \( -path ./build -o -path ./.git \) -prune -o -type f -printf '%P\n')
}

shell_scripts()
{
	files | while read -r file; do
		! head -n 2 "$top/$file" 2>/dev/null | grep -qE '^#!.*\b(sh|bash)\b|^# shellcheck shell=' || echo "$file"
	done
}

# --norc would hide what .shellcheckrc allows and why.
shellcheck_all() { (cd "$top" && shell_scripts | xargs shellcheck -x -P SCRIPTDIR -P "$top"); }

python_all() { (cd "$top" && files | grep '\.py$' | xargs pyflakes3); }

page() { rst2html --halt=warning "$1" /dev/null; }

# links FILE: every file and heading of the project that it links to is there. Markdown, or rST.
links()
{
	local link target absent=0

	while read -r link; do
		target=${link%%#*}
		[ -e "$(dirname "$top/$1")/$target" ] || { echo "there is no $target"; absent=1; }
	done < <(case $1 in
		*.md) grep -oE '\]\([^)#: ]+[)#]' "$top/$1" | sed 's/^..//; s/.$//' ;;
		*) grep -oE '<[A-Za-z0-9_./-]+\.(rst|md|svg)>`_' "$top/$1" | sed 's/^.//; s/>`_$//' ;;
		esac)
	return $absent
}

need_packages git perl pyflakes3 python3-docutils shellcheck
verdict "shellcheck" shellcheck_all
verdict "pyflakes" python_all
for page in $(files | grep '\.rst$'); do
	verdict "docutils $page" page "$top/$page"
done
for page in $(files | grep -E '^(README\.md|Documentation/.*\.rst|.*/README\.md)$'); do
	verdict "links of $page" links "$page"
done
