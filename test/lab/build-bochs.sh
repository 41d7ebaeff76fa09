#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds Bochs as build/bochs/bochs, from Debian 13's source. Debian's own binary has a debugger compiled in, and takes
# almost three times as long for the same instructions; where that source cannot be had, this says so, and bochs.sh takes
# that one. Does nothing when that is done. Usage: test/lab/build-bochs.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

# shellcheck source=scripts/lib-apt.sh
. "$top/scripts/lib-apt.sh"

bochs=$top/build/bochs
suite=trixie

# fetch_source: the upstream tar alone, as Debian's changes are for its own build. apt-get knows its hash from the signed list.
fetch_source()
{
	use_lists "$bochs/apt" deb-src $suite &&
		(cd "$bochs" && apt-get -q "${apt_options[@]}" source --download-only --tar-only bochs)
}

# configure_source: CPUs with VMX and SVM, and what the lab's L1 has. EVEX, because AVX does not build without it.
configure_source()
{
	./configure CFLAGS=-O2 CXXFLAGS=-O2 --enable-smp --enable-cpu-level=6 --enable-x86-64 --enable-long-phy-address \
		--enable-vmx=2 --enable-svm --enable-avx --enable-evex --enable-all-optimizations --disable-show-ips \
		--disable-x86-debugger --disable-{busmouse,clgd54xx,docbook,gameport,ne2000,sb16,voodoo} --with-term
}

[ $# -eq 0 ] || die "unknown argument '$1': there is none"
mkdir -p "$bochs"
exec 8>"$bochs/lock"		# several L1s may want it
flock -n 8 || { log "waiting for another script that builds Bochs"; flock 8; }
[ ! -e "$bochs/none" ] || exit 0
if [ -e "$bochs/bochs" ] && [ ! "$0" -nt "$bochs/bochs" ]; then
	exit 0
fi
need_packages g++ libncurses-dev make xz-utils
log "building Bochs"
rm -f "$bochs"/bochs_*
if ! fetch_source >"$bochs/fetch.log" 2>&1; then
	echo "${0##*/}: Debian $suite's source of Bochs cannot be had, see $bochs/fetch.log: Debian's own Bochs is used, which" \
		"takes longer; to try again, remove $bochs" >&2
	touch "$bochs/none"
	exit 0
fi
rm -rf "$bochs/source"
mkdir "$bochs/source"
cd "$bochs/source"
quiet "$bochs/build.log" tar -xf "$bochs"/bochs_*.orig.tar.* --strip-components=1
quiet "$bochs/build.log" configure_source
quiet "$bochs/build.log" make -j"$(nproc)"
mv "$bochs/source/bochs" "$bochs/bochs"
rm -rf "$bochs/source" "$bochs/apt"
