#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the patched KVM modules for an installed kernel, KVER or the running one, from the source of exactly that
# version: apt's, or KSRC=DIR. They come into build/KVER/modules; nothing is installed.
# Usage: [KVER=...] [KSRC=DIR] build-host-modules.sh [-n]

# shellcheck source=scripts/lib-host.sh
. "$(dirname "$0")/lib-host.sh"
export host_kver

kbuild=$(kbuild)
if [ ! -f "$kbuild/.config" ] || [ ! -f "$kbuild/Module.symvers" ]; then
	die "the headers of $host_kver are missing: run 'apt-get install linux-headers-$host_kver' as root, then again"
fi
grep -qx CONFIG_KVM=m "$kbuild/.config" ||
	die "KVM is not a module of $host_kver: 'make kernel' builds a whole patched kernel"

for step in fetch-kernel apply-series build-modules; do
	"$top/scripts/$step.sh" ${dry:+-n}
done
[ -n "$dry" ] || log "next, as root: make install"
