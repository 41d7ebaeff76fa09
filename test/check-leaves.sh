#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compares what cpuid printed in L2 (DIR/leaves.txt) with what L1's kernel logged of it
# (DIR/leaves-log.txt), value by value, and writes DIR/exits.csv and DIR/totals (exits, cycles).
# The numbers and names are as the kernel writes them. Usage: test/check-leaves.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
dir=$1
for file in leaves.txt leaves-log.txt; do
	[ -s "$dir/$file" ] || die "$dir/$file is missing or empty"
done

# What was logged, by subject ("reason N" or "all") and unit.
declare -A logged names numbers
line_format='kvm: exit_stats: pid [0-9]+ vcpu [0-9]+: (all reasons|reason ([0-9]+|0x[0-9a-f]+) \((.+)\)): ([0-9]+) (exits|cycles)$'
while read -r line; do
	[[ $line =~ $line_format ]] || continue
	reason=all
	if [ -n "${BASH_REMATCH[2]}" ]; then
		reason=$((BASH_REMATCH[2]))
		numbers[$reason]=${BASH_REMATCH[2]}	# hex on SVM
		names[$reason]=${BASH_REMATCH[3]}
	fi
	logged[$reason ${BASH_REMATCH[5]}]=${BASH_REMATCH[4]}
done <"$dir/leaves-log.txt"

# check REASON UNIT VALUE: against the log.
check()
{
	local was=${logged[$1 $2]:-}

	[ -n "$was" ] || die "L1 logged no line for the $2 of reason $1: see $dir/leaves-log.txt"
	[ "$was" -eq "$3" ] || die "reason ${numbers[$1]:-$1}: L2 read $3 $2, L1 logged $was: see $dir"
}

leaf_format='^ *0x4fffff(f[c-f]) 0x([0-9a-f]+): eax=(0x[0-9a-f]+) ebx=(0x[0-9a-f]+) ecx=(0x[0-9a-f]+) edx=(0x[0-9a-f]+)$'
declare -A exits total
sum=0
echo reason,name,exits,cycles >"$dir/exits.csv"
while read -r line; do
	[[ $line =~ $leaf_format ]] || continue
	leaf=${BASH_REMATCH[1]}
	reason=$((0x${BASH_REMATCH[2]}))
	eax=${BASH_REMATCH[3]} ebx=${BASH_REMATCH[4]} ecx=${BASH_REMATCH[5]} edx=${BASH_REMATCH[6]}
	case $leaf in
	fd)
		exits[$reason]=$((ebx << 32 | eax))
		check "$reason" exits "${exits[$reason]}"
		sum=$((sum + exits[$reason]))
		;;
	fc)
		cycles=$((ebx << 32 | ecx))
		check "$reason" cycles $cycles
		[ "$edx" = 0xffffffff ] ||
			echo "${numbers[$reason]},${names[$reason]},${exits[$reason]},$cycles" >>"$dir/exits.csv"
		;;
	ff)
		total[exits]=$((ebx << 32 | eax))
		check all exits "${total[exits]}"
		;;
	fe)
		total[cycles]=$((ebx << 32 | ecx))
		check all cycles "${total[cycles]}"
		;;
	esac
done <"$dir/leaves.txt"
announced=$(sed -n 's/^\([1-9][0-9]*\) reasons$/\1/p' "$dir/leaves.txt")
[ ${#exits[@]} -eq "${announced:--1}" ] ||
	die "L2 read ${#exits[@]} of ${announced:-no} announced reasons: see $dir/leaves.txt"
[ "${total[exits]:-0}" -ge $sum ] ||
	die "the total of all exits, ${total[exits]:-none}, is less than their sum, $sum: see $dir/leaves.txt"
[ -n "${total[cycles]:-}" ] || die "L2 read no total of the cycles: see $dir/leaves.txt"
echo "${total[exits]} ${total[cycles]}" >"$dir/totals"
