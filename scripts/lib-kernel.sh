# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Common to the scripts for whole kernels: sourced instead of lib.sh. KVER, by default the running kernel, says whose
# configuration to take, and thus which series.

host=${KVER:-$(uname -r)}
SERIES=$(cut -d . -f 1,2 <<<"$host")
export SERIES

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

kernel=$build/kernel		# what this makes: the packages, and
tree=$kernel/linux		# a work tree of $ktree, in which the kernel is built
klog=$build/kernel.log

# stop_make PID
stop_make() { kill -- "-$1" "$1" 2>/dev/null || :; wait "$1" || :; }

# tmake ARG...: the kernel's make in $tree, with the compiler of the configuration if it is there. A line each minute.
# In the background and a process group of its own, so that a signal ends at once all that make has started, even
# dpkg-buildpackage, which passes none on.
# LOCALVERSION is set, though empty: else a "+" is appended to the release.
tmake()
{
	local cc pid before next=$((SECONDS + 60)) start=$SECONDS

	cc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$kernel/config")
	command -v "${cc:-none}" >/dev/null || cc=gcc
	before=$(grep -c '^  [A-Z]' "$klog" || :)
	setsid make -j"$(nproc)" -C "$tree" CC="$cc" LOCALVERSION= "$@" >>"$klog" 2>&1 &
	pid=$!
	trap 'stop_make $pid; exit 130' INT
	trap 'stop_make $pid; exit 143' TERM HUP
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		[ $SECONDS -ge $next ] || continue
		log "$(((SECONDS - start) / 60)) min: $(($(grep -c '^  [A-Z]' "$klog" || :) - before)) files made"
		next=$((next + 60))
	done
	trap - INT TERM HUP
	wait "$pid" && return
	tail -n 15 "$klog" >&2
	die "that failed: see $klog"
}
