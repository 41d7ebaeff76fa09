#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Removes what was built, of all series and kernels. The downloads and the kernels' trees with their commits stay: to
# fetch again, remove build/ yourself, after 'make export'.
# Usage: clean-build.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

no_arguments "$@"
plan "remove what was built in $top/build, but for the downloads and the kernels' trees"
for directory in "$top"/build/*; do
	case ${directory##*/} in
	linux.git) ;;		# the kernels' sources and commits
	[0-9]*.[0-9]*)
		build=$directory
		ktree=$directory/linux
		one_at_a_time
		find "$directory" -mindepth 1 -maxdepth 1 ! -name debs ! -name headers ! -name image ! -name kver \
			! -name linux ! -name lock -exec rm -rf {} +
		# Ignored files only: what make made.
		[ ! -e "$ktree/.git" ] || git -C "$ktree" clean -fdXq
		;;
	*)
		rm -rf "$directory"	# what the lab and the tests wrote
		;;
	esac
done
