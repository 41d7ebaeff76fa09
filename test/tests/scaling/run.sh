#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a VM-exit costs, and how many there are in a second, when 1 to 8 vCPUs do nothing else: with Debian's own modules
# and with ours, accounting off and on. Each vCPU must count exactly its own exits; of the times judge.py judges only that
# accounting adds less than a tenth, as this machine's load is in them. See test/programs/scale-vcpus.c and job.sh.
# Usage: [SERIES=...] LANE=svm run.sh DIR, with the lab built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

out=$1
cores=$(nproc)
cpus=$((cores < 8 ? cores : 8))

# boot NAME MODULES: runs the job with these modules. In QEMU, with several CPUs, one now and then executes a breakpoint
# that L1 no longer has in its code, or a guest ends in a triple fault, without our modules, too: hence the other tries,
# if the job did not get to its end. What it has judged is final.
boot()
{
	local dir=$out/$1 try status

	for try in first second third; do
		status=0
		"$top/test/lab/boot-l1.sh" -c $cpus -m "$2" -t 180 -o "$dir" "${0%/*}/job.sh" \
			"$top/build/programs/scale-vcpus" || status=$?
		if [ $status -eq 0 ] || [ $try = third ]; then
			break
		fi
		log "the $try try failed: see $out/failed/$1-$try"
		mkdir -p "$out/failed"
		mv "$dir" "$out/failed/$1-$try"
	done
	{
		[ $status -eq 0 ] || not_ok "its run in L1" "exit status $status: see $dir"
		cat "$dir/verdicts" || not_ok "verdicts" "there are none in $dir"
		verdict "the logs have no splat" "$top/test/lab/scan-splats.sh" "$dir"/l1-{dmesg.txt,console.log}
	} | sed -E "s/^(ok|not ok) /&$1: /"
}

note=
[ "$cores" -ge 8 ] || note="; more vCPUs than that take turns"
echo "Linux $(kernel_version) on SVM, in QEMU's TCG, L1 with $cpus CPUs on a machine with $cores$note" >"$out/title"
stock=$(stock_module arch/x86/kvm/kvm)
for round in 1 2; do
	boot "unpatched-$round" "${stock%/*}"
	boot "patched-$round" "$modules"
done
