#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2: prints the session, and the exits and cycles of all reasons since it began.
set -eu

# read_leaf LEAF [INDEX]: sets eax, ebx, ecx and edx.
read_leaf()
{
	eax='' ebx='' ecx='' edx=''
	eval "$(cpuid -1 -r -l "$1" -s "${2:-0}" | grep -o 'e[abcd]x=0x[0-9a-f]*')"
}

# A migration between the reads starts a new session, of which the numbers then may or may not be.
session=
while read_leaf 0x4FFFFFFB 1 && [ "$edx" != "$session" ]; do
	session=$edx
	read_leaf 0x4FFFFFFF
	exits=$((ebx << 32 | eax))
	read_leaf 0x4FFFFFFE
	cycles=$((ebx << 32 | ecx))
done
echo "$session $exits $cycles"
