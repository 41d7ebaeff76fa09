#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds exitstat, of build/SERIES/linux, as build/exitstat: one static program that runs in any guest.
# Usage: build-exitstat.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

no_arguments "$@"
plan "build $ktree/tools/kvm/exitstat as $top/build/exitstat"
[ -d "$ktree/tools/kvm/exitstat" ] || die "there is no exitstat in $ktree: run 'make apply'"
need_packages binutils gcc libc6-dev make
one_at_a_time

mkdir -p "$build/exitstat"
quiet "$build/exitstat.log" env -u MAKEFLAGS make -C "$ktree/tools/kvm/exitstat" OUTPUT="$build/exitstat/" CFLAGS='-O2 -g -Werror'
strip -o "$build/exitstat.part" "$build/exitstat/exitstat"
mv "$build/exitstat.part" "$top/build/exitstat"
