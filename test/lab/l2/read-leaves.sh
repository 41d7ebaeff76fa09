#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2: reads both values of the REASONs, or of every one that the CPU's vendor has numbers for, then the totals, one
# cpuid process each. Says first how many reasons. Exit status 4: nothing answers these leaves.
# Usage: read-leaves.sh [REASON...]
set -eu

case $(cpuid -1 -r -l 0x4FFFFFFB -s 0) in
*ebx=0x454d564b\ ecx=0x53746978\ edx=0x73746174*) ;;	# "KVMExitStats"
*) exit 4 ;;
esac

# run COMMAND: shows it and what it prints.
run() { echo "# $*"; "$@"; }

flags=$(cpuid -1 -r -l 0x4FFFFFFB -s 1 | sed -n 's/.* ebx=\(0x[0-9a-f]*\) .*/\1/p')
case $((flags & 3)) in
1)	ranges=/etc/vmx-reasons ;;
2)	ranges=/etc/svm-reasons ;;
*)	echo "flags $flags: neither VMX nor SVM"; exit 1 ;;
esac
# shellcheck disable=SC2046	# many
[ $# -gt 0 ] || set -- $(while read -r first last; do seq $((first)) $((last)); done <$ranges)
echo "$# reasons"
for reason; do
	run cpuid -1 -r -l 0x4FFFFFFD -s "$reason"
	run cpuid -1 -r -l 0x4FFFFFFC -s "$reason"
done
run cpuid -1 -r -l 0x4FFFFFFF
run cpuid -1 -r -l 0x4FFFFFFE
