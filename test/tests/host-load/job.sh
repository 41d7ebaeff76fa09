#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what L2's own numbers tell L2 about its host. L2 does the same work on an idle host, on one with timers, and
# on one that tracks which pages L2 writes, as live migration does, and reads with cpuid what exits it took. The table
# is /out/host-load.txt.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

if [ "$(kvm_vendor)" = kvm_amd ]; then
	interrupt=0x60 page=0x400
else
	interrupt=1 page=48
fi

# In L2: exits REASON, as cpuid reads it. Then the work: L2 computes, and writes to memory that it has.
{
	exits='exits() { echo $(($(cpuid -1 -r -l 0x4FFFFFFD -s $1 | sed -n "s/.*eax=\([^ ]*\).*/\1/p"))); }'
	work='i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done'
}
work="$work; dd if=/dev/zero of=/tmp/file bs=1M count=8 conv=notrunc 2>/dev/null"

# work NAME: sets interrupts and pages, the exits that the work took.
work()
{
	# shellcheck disable=SC2046	# four numbers
	set -- "$1" $(l2 "$exits; exits $interrupt; exits $page; $work; exits $interrupt; exits $page")
	interrupts=$(($4 - $2)) pages=$(($5 - $3))
	printf '%-32s %12d %12d\n' "$1" $interrupts $pages >>/out/host-load.txt
}

boot_l2
progress "L2 works on an idle host, one with timers, and one that tracks pages"
printf '%-32s %12s %12s\n' "the host" "reason $interrupt" "reason $page" >/out/host-load.txt
work "is idle, at the first time"
work "is idle"
idle_interrupts=$interrupts idle_pages=$pages
loops=
while [ "$(echo "$loops" | wc -w)" -lt 3 ]; do
	while :; do usleep 1000; done &
	loops="$loops $!"
done
work "has timers that expire"
# shellcheck disable=SC2086	# a list
kill $loops
expect "a guest sees its host's interrupts" "interrupts" "$interrupts" -gt $((idle_interrupts * 3 / 2))
qmp calc-dirty-rate '"calc-time": 60, "mode": "dirty-bitmap"'
sleep 1
work "tracks the pages that L2 writes"
expect "a guest sees that its host tracks pages" "page faults" "$pages" -gt $((2 * idle_pages + 1000))
end_l2
