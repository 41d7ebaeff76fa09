#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L2, until there is a file /tmp/stop: reads the totals every second, and prints each time the session, exits and
# cycles, and how many more than the last time, or "restarted" when the session is another one.
set -eu

session='' exits=0 cycles=0
while [ ! -e /tmp/stop ]; do
	# shellcheck disable=SC2046	# three words
	set -- $(read-totals.sh)
	case $session in
	'')	echo "$* first" ;;
	"$1")	echo "$* $(($2 - exits)) $(($3 - cycles))" ;;
	*)	echo "$* restarted" ;;
	esac
	session=$1 exits=$2 cycles=$3
	sleep 1
done
