#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# In L1: what VM-exits an L2 takes, from its first instruction through boot, idle, work of several kinds and a reboot.
# L2 has a virtio disk and a virtio network card. Leaves in /out: samples.csv, what exitstat on L1 prints while L2
# runs; N-PHASE.csv, the counters at the end of each phase, since L2 began; and reasons.txt, which reasons there are.
# Beside this lie exitstat and the kernel modules that are named below.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh

interval=0.25	# seconds between samples
long=5		# seconds of work
nr=0

# end_phase NAME: saves the counters of the paused L2.
end_phase()
{
	qmp stop
	/job/exitstat -a --csv -p "$l2_pid" >"/out/$nr-$1.csv"
	nr=$((nr + 1))
	qmp cont
}

# phase NAME COMMAND: one of L2's work.
phase()
{
	progress "$1"
	l2 "$2" >"/out/$nr-$1.log" || fail "$1: exit status $?"
	end_phase "$1"
}

# repeat COMMAND: a command that does it in L2 again and again.
repeat() { echo "timeout $long sh -c 'while :; do $1; done' >/dev/null 2>&1; true"; }

insmod /job/tun.ko
mkdir -p /dev/net
[ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
dd if=/dev/zero of=/tmp/disk bs=1M count=16 2>/dev/null

progress "boot"
l2_acpi=on l2_memory=256 l2_qemu_args="-S -bios qboot.rom
	-drive if=none,id=disk,file=/tmp/disk,format=raw -device virtio-blk-device,drive=disk
	-netdev tap,id=net,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=net"
start_l2
connect_l2
qmp set-action '"reboot": "reset"'
ip address add 10.0.0.1/24 dev tap0
ip link set tap0 up
mkfifo /tmp/never
nc -l -p 5001 <>/tmp/never >/dev/null &
/job/exitstat -p "$l2_pid" --csv $interval >/out/samples.csv &
sampler=$!
qmp cont
read_answer || fail "L2 did not come up"
end_phase boot

load='for name in virtio_ring virtio virtio_mmio virtio_blk failover net_failover virtio_net; do
	[ ! -e $name.ko ] || insmod $name.ko || exit; done'
set_up="ip address add 10.0.0.2/24 dev eth0; ip link set eth0 up; mkfifo /tmp/never"
phase drivers "cd /job; $(echo "$load" | tr '\n' ' '); $set_up"
phase idle "sleep $long"
phase disk-read "$(repeat "dd if=/dev/vda of=/dev/null bs=64k iflag=direct")"
phase disk-write "$(repeat "dd if=/dev/zero of=/dev/vda bs=64k count=256 oflag=direct")"
phase network-ping "ping -q -i 0.01 -w $long 10.0.0.1"
phase network-send "timeout $long nc 10.0.0.1 5001 </dev/zero; true"
phase cpu-load "$(repeat :)"
phase timer "$(repeat "read -t 0.001 never <>/tmp/never")"
phase fork "$(repeat "/bin/busybox true")"
phase memory "dd if=/dev/zero of=/tmp/file bs=1M count=48 2>&1 && rm /tmp/file"
phase memory-again "$(repeat "dd if=/dev/zero of=/tmp/file bs=1M count=48 && rm /tmp/file")"
phase reboot "reboot -f"

kill -INT $sampler
wait $sampler || :
qmp set-action '"reboot": "shutdown"'
l2 '/job/exitstat -l' >/out/reasons.txt
end_l2
