#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: runs each program of /job/tests.txt, lines "NAME SECONDS ARGUMENT...", with the modules of /job/stock.tar, then
# all of them with those of /job/patched.tar. Of each set, in /out/SET: a line "NAME STATUS SECONDS" a program in
# results, what NAME printed in NAME.txt, what the kernel logged meanwhile in NAME.dmesg.
# The stock ones come first: what the kernel warns of but once is then not held against the patched.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

# run NAME SECONDS ARGUMENT...: what a timeout leaves of it is ended, too, or KVM could not be unloaded.
run()
{
	local name="$1" limit="$2" status=0 shell="" start

	shift 2
	[ "${name%.sh}" = "$name" ] || shell=/bin/sh	# it asks for bash
	progress "$set: $name"
	start=$(cut -d. -f1 /proc/uptime)
	timeout -s KILL "$limit" $shell "/job/$name" "$@" >"/out/$set/$name.txt" 2>&1 </dev/null || status=$?
	while killall -q -KILL "${name%.sh}"; do sleep 1; done
	echo "$name $status $(($(cut -d. -f1 /proc/uptime) - start))" >>"/out/$set/results"
	dmesg -c >"/out/$set/$name.dmesg"
}

mkdir /etc /dev/shm
# nx_huge_pages_test.sh asks who it is, and that of 6.1 wants sudo all the same.
echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
printf '#!/bin/sh\nexec "$@"\n' >/bin/sudo
chmod +x /bin/sudo
mount -t tmpfs tmpfs /dev/shm			# hardware_disable_test's semaphore
echo 64 >/proc/sys/vm/nr_hugepages		# dirty_log_page_splitting_test
dmesg -c >/out/boot.dmesg
for set in stock patched; do
	mkdir "/tmp/$set" "/out/$set"
	tar -xf "/job/$set.tar" -C "/tmp/$set"
	load_kvm "/tmp/$set"
	dmesg -c >"/out/$set/load.dmesg"
	while read -r line; do
		# shellcheck disable=SC2086	# several words
		run $line
	done </job/tests.txt
	unload_kvm
	dmesg -c >"/out/$set/unload.dmesg"
done
