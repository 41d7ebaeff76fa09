#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds exitstat as build/exitstat, one static program that runs in any guest. It needs no kernel's source: all is in
# patches/, but for the names of exit reasons, which Debian's linux-libc-dev has.
# Usage: build-exitstat.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

series_dir=$top/patches/$home	# whose header it is built with
source=$top/patches/files/tools/kvm/exitstat
build=$top/build/exitstat.obj
header=arch/x86/include/uapi/asm/kvm_exit_stats.h

# print_header_patch: what the series does to that header.
print_header_patch()
{
	local patch

	for patch in $(series_patches "$series_dir"); do
		awk -v file="b/$header" '/^diff --git / { found = $4 == file } found' "$series_dir/$patch"
	done
}

no_arguments "$@"
plan "build $source as $top/build/exitstat"
need_packages binutils gcc libc6-dev make patch
one_at_a_time

# What is the same keeps its date, or more is built again.
rm -rf "$build/new"
mkdir -p "$build/new" "$build/${header%/*}"
print_header_patch | quiet "$build/patch.log" patch -d "$build/new" -p1 -f -F0
[ -f "$build/new/$header" ] || die "no patch of $series_dir adds $header"
cmp -s "$build/new/$header" "$build/$header" || mv "$build/new/$header" "$build/$header"
version=$(sed -n '1s/^# \([^,]*\).*/\1/p' "$series_dir/series")	# e.g. Linux 6.12.117
quiet "$build/make.log" env -u MAKEFLAGS make -C "$source" OUTPUT="$build/" UAPI="$build/${header%/asm/*}" \
	EXITSTAT_VERSION="$version" CFLAGS='-O2 -Werror' LDFLAGS='-static -s'
! cmp -s "$build/exitstat" "$top/build/exitstat" || exit 0
cp "$build/exitstat" "$build/exitstat.part"
mv "$build/exitstat.part" "$top/build/exitstat"
