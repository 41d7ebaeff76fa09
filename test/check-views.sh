#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compares what test/jobs/views.sh left in DIR: debugfs, QEMU's statistics and the leaves, number by number. Prints a
# verdict for each comparison. Usage: test/check-views.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
dir=$1
need_packages jq
slots=176 other=175
whos=(vcpu0 vcpu1 vm)
declare -A exits cycles		# by "VIEW WHO SLOT"; those of a table also for the slot "total"

# verdict NAME COMMAND...: passes when COMMAND does; what it prints says why it does not.
verdict()
{
	local why

	if why=$("${@:2}"); then
		echo "ok $1"
	else
		echo "not ok $1: ${why%%$'\n'*}"
	fi
}

# slot_of REASON: of a defined one, see the documentation of the binary statistics.
slot_of()
{
	local reason=$(($1))

	if [ $reason -ge $((0xfffffffc)) ]; then
		echo $((reason - 0xfffffffc + 171))
	elif [ $reason -ge $((0x400)) ]; then
		echo $((reason - 0x400 + 167))
	else
		echo $reason
	fi
}

# read_tables VIEW: the rows of debugfs.
read_tables()
{
	local who reason name a b slot

	while read -r who reason name a b _; do
		case $reason in
		reason)	continue ;;
		total)	slot=total b=$a a=$name ;;	# it has no name
		-)	slot=$other ;;
		*)	slot=$(slot_of "$reason") ;;
		esac
		exits[$1 $who $slot]=$a
		cycles[$1 $who $slot]=$b
	done <"$dir/$1.stats"
}

# read_query: QEMU (7.2) returns arrays the wrong way round, and the vCPUs in no documented order.
read_query()
{
	local who name slot value

	while read -r who name slot value; do
		case $name in
		exit_counts)	exits[query $who $slot]=$value ;;
		exit_cycles)	cycles[query $who $slot]=$value ;;
		exits)		exits[query $who total]=$value ;;
		esac
	done < <(jq -r '.return | sort_by(."qom-path") | to_entries[] | "vcpu\(.key)" as $who | .value.stats[] | .name as $name |
		if (.value | type) == "array" then .value | reverse else [.value] end | to_entries[] |
		"\($who) \($name) \(.key) \(.value)"' "$dir/query-stats.json")
}

# read_info: of the first vCPU, which is what info stats shows unless told otherwise. The arrays as query-stats has them,
# with elements that are counted from 1.
read_info()
{
	local name element

	while read -r name _ element; do
		for element in ${element#*:}; do
			[[ $element =~ ^\[([0-9]+)\]=([0-9]+)$ ]] || continue
			case $name in
			exit_counts)	exits[info vcpu0 $((slots - BASH_REMATCH[1]))]=${BASH_REMATCH[2]} ;;
			exit_cycles)	cycles[info vcpu0 $((slots - BASH_REMATCH[1]))]=${BASH_REMATCH[2]} ;;
			esac
		done
	done < <(jq -r .return "$dir/info-stats.json" | tr -d '\r')
}

# read_leaves: what L2 printed. Sets last_read.
read_leaves()
{
	local who='' line slot format
	format='^ *0x4ffffff[9a] (0x[0-9a-f]+): eax=(0x[0-9a-f]+) ebx=(0x[0-9a-f]+) ecx=(0x[0-9a-f]+) edx=(0x[0-9a-f]+)$'

	while read -r line; do
		if [[ $line =~ $format ]]; then
			slot=$(slot_of "${BASH_REMATCH[1]}")
			exits[leaves $who $slot]=$((BASH_REMATCH[3] << 32 | BASH_REMATCH[2]))
			cycles[leaves $who $slot]=$((BASH_REMATCH[5] << 32 | BASH_REMATCH[4]))
			last_read=$slot
		elif [[ $line =~ ^(vm|vcpu[01])$ ]]; then
			who=$line
		fi
	done <"$dir/views.txt"
}

# same_arrays VIEW VIEW WHO: element by element.
same_arrays()
{
	local slot a b

	for ((slot = 0; slot < slots; slot++)); do
		a="${exits[$1 $3 $slot]-none} ${cycles[$1 $3 $slot]-none}"
		b="${exits[$2 $3 $slot]-none} ${cycles[$2 $3 $slot]-none}"
		[ "$2" != after ] || b=${b/none none/0 0}	# a table lacks zeros
		[ "$a" = "$b" ] || { echo "$3, slot $slot: $1 has $a, $2 has $b"; return 1; }
	done
	[ -z "${exits[$1 $3 $slots]-}" ] || { echo "$3: $1 has more than $slots elements"; return 1; }
}

same_tables() { same_arrays query after vcpu0 && same_arrays query after vcpu1; }

# check_sums: all slots together are KVM's own count of exits, and the vCPUs together the VM.
check_sums()
{
	local who slot a b

	for who in "${whos[@]}"; do
		a=0 b=0
		for ((slot = 0; slot < slots; slot++)); do
			((a += ${exits[after $who $slot]-0}, b += ${cycles[after $who $slot]-0})) || :
		done
		[ "$a $b" = "${exits[after $who total]} ${cycles[after $who total]}" ] ||
			{ echo "$who: the rows' sum is $a $b, the total ${exits[after $who total]} ${cycles[after $who total]}"; return 1; }
	done
	for slot in $(seq 0 $((slots - 1))) total; do
		a=$((${exits[after vcpu0 $slot]-0} + ${exits[after vcpu1 $slot]-0}))
		b=$((${cycles[after vcpu0 $slot]-0} + ${cycles[after vcpu1 $slot]-0}))
		[ "$a $b" = "${exits[after vm $slot]-0} ${cycles[after vm $slot]-0}" ] ||
			{ echo "slot $slot: the vCPUs have $a $b, the VM ${exits[after vm $slot]-0} ${cycles[after vm $slot]-0}"; return 1; }
	done
	for who in vcpu0 vcpu1; do
		[ "${exits[after $who total]}" = "${exits[query $who total]-none}" ] ||
			{ echo "$who: total ${exits[after $who total]}, KVM's exits ${exits[query $who total]-none}"; return 1; }
	done
	[ "${exits[after vm total]}" -eq "$(cat "$dir/exits")" ] ||
		{ echo "total ${exits[after vm total]}, KVM's exits $(cat "$dir/exits")"; return 1; }
}

# check_leaves: each was read between the two pauses. Where nothing happened between them there is one answer.
check_leaves()
{
	local who slot key quiet=0

	for who in "${whos[@]}"; do
		for ((slot = 0; slot < slots; slot++)); do
			key="$who $slot"
			[ -n "${exits[leaves vm $slot]-}" ] || continue		# came up after L2 was told what to read
			if [ -z "${exits[leaves $key]-}" ]; then
				echo "$who: slot $slot was not read"
				return 1
			fi
			if ((${exits[leaves $key]} < ${exits[before $key]-0} || ${exits[leaves $key]} > ${exits[after $key]-0} ||
			     ${cycles[leaves $key]} < ${cycles[before $key]-0} || ${cycles[leaves $key]} > ${cycles[after $key]-0})); then
				echo "$who: slot $slot: read ${exits[leaves $key]} ${cycles[leaves $key]}," \
					"before ${exits[before $key]-0} ${cycles[before $key]-0}," \
					"after ${exits[after $key]-0} ${cycles[after $key]-0}"
				return 1
			fi
			[ "${cycles[before $key]-0}" != "${cycles[after $key]-0}" ] || quiet=$((quiet + 1))
		done
	done
	[ $quiet -ge 10 ] || { echo "only $quiet numbers were the same before and after"; return 1; }
}

# check_last_read: nothing executed CPUID after it.
check_last_read()
{
	[ "${exits[leaves vm $last_read]}" -eq "${exits[after vm $last_read]}" ] ||
		{ echo "read ${exits[leaves vm $last_read]}, debugfs has ${exits[after vm $last_read]}"; return 1; }
}

read_tables before
read_tables after
read_query
read_info
read_leaves
verdict "query-stats has what debugfs shows" same_tables
verdict "info stats has what query-stats has" same_arrays info query vcpu0
verdict "all slots are KVM's exits, both vCPUs are the VM" check_sums
verdict "the leaves have what debugfs shows, exactly where nothing happened between two pauses" check_leaves
verdict "the last read of CPUID's reason is debugfs' count" check_last_read
