#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the benchmark's guest loop, build/SERIES/selftests/bench-exits, and in DIR stock.tar and patched.tar, the
# modules of Debian's kernel and ours. Usage: test/build-bench.sh DIR, with the lab and the selftests built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
log "building the benchmark"
kvm_tests=$ktree/tools/testing/selftests/kvm
mapfile -t objects < <(find "$build/selftests.obj/lib" -name '*.o')
# The flags of the selftests' Makefile: the guest runs this code without a C library, and takes interrupts in it.
quiet "$build/bench.log" gcc -Wall -Werror -O2 -std=gnu99 -D_GNU_SOURCE -DCONFIG_64BIT -U_FORTIFY_SOURCE \
	-fno-builtin-memcmp -fno-builtin-memcpy -fno-builtin-memset -fno-builtin-strnlen \
	-fno-stack-protector -fno-PIE -fno-strict-aliasing -march=x86-64-v2 -mno-red-zone \
	-I"$ktree/tools/include" -I"$ktree/tools/arch/x86/include" -I"$ktree/usr/include" \
	-I"$kvm_tests/include" -I"$kvm_tests/include/x86_64" -I"$kvm_tests/.." \
	-static -no-pie -pthread -o "$selftests/bench-exits" "$top/test/bench-exits.c" "${objects[@]}"

vendor=kvm-intel
[ "$lane" = vmx ] || vendor=kvm-amd
mkdir "$1/stock"
for module in kvm $vendor; do
	xz -dcf "$(stock_module "arch/x86/kvm/$module")" >"$1/stock/$module.ko"
done
tar -C "$1/stock" -cf "$1/stock.tar" .
tar -C "$modules" -cf "$1/patched.tar" kvm.ko $vendor.ko
