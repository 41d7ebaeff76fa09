#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2: reads both values of every exit reason, then the totals, one cpuid process each.
# Exit status 4: nothing answers these leaves.
set -eu

case $(cpuid -1 -r -l 0x4FFFFFFB -s 0) in
*ebx=0x454d564b\ ecx=0x53746978\ edx=0x73746174*) ;;	# "KVMExitStats"
*) exit 4 ;;
esac

# run COMMAND: shows it and what it prints.
run() { echo "# $*"; "$@"; }

reason=0
while [ $reason -lt 80 ]; do
	run cpuid -1 -r -l 0x4FFFFFFD -s $reason
	run cpuid -1 -r -l 0x4FFFFFFC -s $reason
	reason=$((reason + 1))
done
run cpuid -1 -r -l 0x4FFFFFFF
run cpuid -1 -r -l 0x4FFFFFFE
