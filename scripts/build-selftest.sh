#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds KVM selftests of build/SERIES/linux as static programs, for an initramfs, into build/SERIES/selftests.
# Usage: build-selftest.sh [-n] [TEST...]; a TEST is a path in tools/testing/selftests/kvm, by default those of the
# series and of KVM's statistics.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"

[ $# -gt 0 ] || set -- x86/exit_stats_test x86/exit_stats_ledger_test x86/exit_stats_scenarios_test x86/exit_stats_vms_test kvm_binary_stats_test
plan "build $* into $selftests"
[ -d "$ktree" ] || die "no kernel source yet: run 'make fetch'"
need_packages binutils
one_at_a_time

obj=$build/selftests.obj
targets=()
for test in "$@"; do
	[ -f "$ktree/tools/testing/selftests/kvm/$test.c" ] || die "there is no selftest $test in $ktree: run 'make apply'"
	targets+=("$obj/$test")
done

log "building selftests: $*"
mkdir -p "$obj" "$selftests"
quiet "$build/headers.log" kmake -C "$ktree" headers
# From the environment, because the Makefile adds its own to it.
LDFLAGS=-static quiet "$build/selftests.log" kmake -C "$ktree/tools/testing/selftests/kvm" OUTPUT="$obj" "${targets[@]}"
for test in "${targets[@]}"; do
	strip --strip-debug -o "$selftests/${test##*/}.part" "$test"
	mv "$selftests/${test##*/}.part" "$selftests/${test##*/}"
done
