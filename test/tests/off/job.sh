#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: an L2 from which QEMU hides KVM, and one on KVM that was loaded with accounting off.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

parameter=/sys/module/kvm/parameters/exit_stats

# rows: how many reasons debugfs shows for L2.
rows() { awk '$1 ~ /^[0-9]/ { n++ } END { print n + 0 }' "$l2_stats/exit_stats"; }

# flag_on: whether L2 finds accounting on.
flag_on() { l2 'cpuid -1 -r -l 0x4FFFFFFB -s 1' | sed -n 's/.* ebx=0x\([0-9a-f]\).*/\1/p'; }

l2_name=hidden
l2_qemu_args="-cpu host,kvm=off"
boot_l2
status=0
l2 read-leaves.sh >/dev/null || status=$?
expect "kvm=off of QEMU takes the leaves" "exit status" $status -eq 4
expect "kvm=off of QEMU leaves the host its numbers" "reasons in debugfs" "$(rows)" -gt 3
end_l2

unload_kvm
vendor=$(kvm_vendor)
# shellcheck disable=SC2046	# several parameters
insmod /modules/kvm.ko exit_stats=0 $(kvm_parameters)
insmod "/modules/kvm-${vendor#kvm_}.ko"
l2_name=uncounted
l2_qemu_args=
boot_l2
expect "loaded with exit_stats=0" "the parameter" "$(cat $parameter)" = N
expect "loaded with exit_stats=0: L2 finds it off" "first digit of the flags" "$(flag_on)" = 0
expect "loaded with exit_stats=0: nothing counts" "reasons in debugfs" "$(rows)" -eq 0
echo Y >$parameter
expect "switched on then: L2 finds it on" "first digit of the flags" "$(flag_on)" = 8
l2 'cpuid -1 -r' >/dev/null
cp "$l2_stats/exit_stats" /out/switched-on.txt
expect "switched on then: it counts" "exits by CPUID" "$(table_field /out/switched-on.txt cpuid exits)" -gt 10
expect "switched on then: no cycles without exits" "rows" "$(awk '$1 ~ /^[0-9-]/ && $(NF - 2) == 0' /out/switched-on.txt | wc -l)" -eq 0
end_l2
unload_kvm
load_kvm /modules
