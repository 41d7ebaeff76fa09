#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds into DIR what the benchmark needs in L1: bench-exits, the guest's loop, and stock.tar and patched.tar, the
# modules of Debian's kernel and ours. It takes the lab and the selftests as they are built.
# Usage: test/measure/bench/build-bench.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
log "building the benchmark"
# By the compiler of the selftests, with which its objects are linked.
quiet "$build/bench.log" kmake -s -C "$top/test/programs" O="$selftests" KTREE="$ktree" \
	SELFTESTS_OBJ="$build/selftests.obj" bench-exits
cp "$selftests/bench-exits" "$1/"

vendor=kvm-intel
[ "$lane" = vmx ] || vendor=kvm-amd
mkdir "$1/stock"
for module in kvm $vendor; do
	xz -dcf "$(stock_module "arch/x86/kvm/$module")" >"$1/stock/$module.ko"
done
tar -C "$1/stock" -cf "$1/stock.tar" .
tar -C "$modules" -cf "$1/patched.tar" kvm.ko $vendor.ko
