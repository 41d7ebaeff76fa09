#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what exits cost 1 to 8 vCPUs at once. With Debian's modules that is "unpatched", with ours accounting is "off"
# and "on" in turn. Beside this lies scale-vcpus, of test/programs, whose lines come into /out/runs.csv.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

rounds=4
vcpus="1 2 4 8"
switch=/sys/module/kvm/parameters/exit_stats

# measure KIND
measure()
{
	# shellcheck disable=SC2086	# several numbers
	/job/scale-vcpus "$1" $vcpus >>/out/runs.csv 2>>/out/scale-vcpus.log || fail "$1: see scale-vcpus.log"
}

# judge KIND VCPUS WHAT: whether it was so in all runs.
judge()
{
	expect "$1, $2 vCPUs: $3, in $rounds runs" "runs,wrong" \
		"$(awk -F, -v kind="$1" -v vcpus="$2" '
			$1 == kind && $2 == vcpus { runs++; wrong += $5 }
			END { print runs + 0 "," wrong + 0 }' /out/runs.csv)" = "$rounds,0"
}

# KVM patches the scheduler's code when the first VM comes and when the last one goes, and QEMU's CPUs stumble over
# that now and then: one VM stays.
/job/scale-vcpus keep &
sleep 1
round=0
while [ $round -lt $rounds ]; do
	round=$((round + 1))
	progress "round $round of $rounds"
	if [ ! -e $switch ]; then
		measure unpatched
		continue
	fi
	echo N >$switch
	measure off
	echo Y >$switch
	measure on
done
for n in $vcpus; do
	if [ ! -e $switch ]; then
		judge unpatched "$n" "their loops ran"
		continue
	fi
	judge off "$n" "no vCPU counts any exit"
	judge on "$n" "each vCPU counts its own exits, the VM those of all"
done
