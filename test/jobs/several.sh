#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: runs several jobs in the one boot, in the order of /job/order, a name in each line. Each finds its own files
# of /job/NAME in /job, where it is "run", and leaves its results in /out, which is /out/NAME of this one, with its exit
# status. One that fails does not keep the next ones from running.
set -eu

# shellcheck source=test/l1/lib.sh
. /lab/lib.sh

# shellcheck disable=SC2013	# they are words
for name in $(cat /job/order); do
	progress "job $name"
	mkdir "/out/$name"
	mount --bind "/job/$name" /job
	mount --bind "/out/$name" /out
	status=0
	sh -eu /job/run || status=$?
	echo $status >/out/status
	killall -q qemu || :		# what a failed job left
	umount -l /out
	umount -l /job
done
