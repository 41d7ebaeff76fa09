#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2 with two CPUs: reads exits and cycles of the REASONs, those of each vCPU and then those of the VM.
# Usage: read-views.sh REASON...
set -eu

echo vcpu0
for reason; do
	taskset 1 cpuid -1 -r -l 0x4FFFFFF9 -s "$reason"
done
echo vcpu1
for reason; do
	taskset 2 cpuid -1 -r -l 0x4FFFFFF9 -s "$reason"
done
echo vm
for reason; do
	cpuid -1 -r -l 0x4FFFFFFA -s "$reason"
done
