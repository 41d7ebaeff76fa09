# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# For jobs that run in L1: a job starts with ". /lab/lib.sh". Its verdicts go to stdout. What it leaves in /out comes back
# to L0.

# shellcheck source=test/lib.sh
. /lab/verdicts.sh

# progress TEXT: a line on L1's console, which the host shows.
progress() { echo "lab: $*" >/dev/console; }

# fail TEXT: ends the job.
fail() { progress "failed: $*"; exit 1; }

# kvm_vendor: the module for L1's CPU.
kvm_vendor() { if grep -q '^flags.* svm ' /proc/cpuinfo; then echo kvm_amd; else echo kvm_intel; fi; }

# kvm_parameters: kvm.* on the kernel's command line, which modprobe would apply.
kvm_parameters() { tr ' ' '\n' </proc/cmdline | sed -n 's/^kvm\.//p'; }

# load_kvm DIR [PARAMETER...], unload_kvm: the modules under test, with parameters of the vendor's.
load_kvm()
{
	local dir="$1" vendor

	shift
	vendor=$(kvm_vendor)
	# shellcheck disable=SC2046	# several parameters
	insmod "$dir/kvm.ko" $(kvm_parameters)
	insmod "$dir/kvm-${vendor#kvm_}.ko" "$@"
}
unload_kvm() { rmmod "$(kvm_vendor)" kvm; }

# wait_for_tsc: the kernel measures the TSC once more in its first seconds, at most five here. KVM gives a VM the
# frequency of when that was created, and the leaf of the ABI says the present one.
wait_for_tsc()
{
	local tries=50

	while [ $tries -gt 0 ] && grep -qx tsc-early /sys/devices/system/clocksource/clocksource0/current_clocksource; do
		sleep 0.1
		tries=$((tries - 1))
	done
}

# become_hypervisor: mounts and loads what starting a guest needs. A Debian L1 loads KVM itself.
become_hypervisor()
{
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	if [ -e /modules/irqbypass.ko ]; then		# Debian has modprobe instead
		insmod /modules/irqbypass.ko
		[ "$(kvm_vendor)" = kvm_intel ] || insmod /modules/ccp.ko
	fi
	wait_for_tsc
	if [ -e /modules/kvm.ko ]; then
		load_kvm /modules
	fi
}

# A job may give L2 more, before it starts L2.
l2_files=job		# files of L1 that L2 gets, beside the commands of test/lab/l2
l2_memory=128		# MB
l2_kernel_args=
l2_qemu_args=
l2_acpi=off		# on: L2 finds virtio devices, too, for which its kernel needs modules
l2_name=l2		# for the files and pipes, where there are several

# start_qemu KERNEL_ARGS QEMU_ARGS...: becomes QEMU with the L2 kernel.
start_qemu()
{
	local args="$1"

	shift
	[ "$l2_acpi" = on ] || args="acpi=off pci=off $args"
	# shellcheck disable=SC2086	# several files
	(cd / && { [ -z "$l2_files" ] || find $l2_files; } | cpio -o -H newc 2>/dev/null) | cat /l2/initrd - >"/tmp/$l2_name-initrd"
	# shellcheck disable=SC2086	# several words
	exec qemu -M microvm,x-option-roms=off,pit=on,pic=on,rtc=on,isa-serial=on,acpi=$l2_acpi \
		-accel kvm -cpu host -m $l2_memory -L /l2 -nodefaults -no-user-config -nographic -no-reboot \
		-kernel /l2/vmlinux -initrd "/tmp/$l2_name-initrd" \
		-append "console=ttyS0 tsc=reliable no_timer_check nowatchdog panic=-1 reboot=t nokaslr nopti edd=off mce=off $(grep -v '^#' /lab/fast-boot) $args" $l2_qemu_args "$@"
}

# start_l2: starts L2. Sets l2_pid. L2's console goes to /out/$l2_name-console.log.
start_l2()
{
	local pipe

	for pipe in qmp.in qmp.out agent.in agent.out; do
		[ -p "/run/$l2_name-$pipe" ] || mkfifo "/run/$l2_name-$pipe"
	done
	start_qemu "loglevel=5 $l2_kernel_args" -serial "file:/out/$l2_name-console.log" -qmp "pipe:/run/$l2_name-qmp" \
		-chardev "pipe,id=agent,path=/run/$l2_name-agent" -device isa-serial,chardev=agent,index=1 \
		>"/out/$l2_name-qemu.log" 2>&1 </dev/null &
	l2_pid=$!
}

# connect_l2: qmp and l2 talk to that L2 from now on. Sets l2_stats, the VM's directory in debugfs.
connect_l2()
{
	exec 5<>"/run/$l2_name-qmp.in" 6<>"/run/$l2_name-qmp.out" \
		7<>"/run/$l2_name-agent.in" 8<>"/run/$l2_name-agent.out"
	qmp qmp_capabilities
	set -- /sys/kernel/debug/kvm/"$l2_pid"-*
	l2_stats=$1
}

# boot_l2: both, and waits until L2 takes commands.
boot_l2()
{
	progress "L2 boots"
	start_l2
	connect_l2
	await_l2
}

# await_l2: waits for the end of a boot.
await_l2()
{
	read_answer || fail "L2 did not come up"
	progress "L2 is up"
}

# qmp COMMAND [ARGUMENTS]: stop, cont, ...; returns when QEMU has done it, with its answer in qmp_answer.
qmp()
{
	echo "{\"execute\": \"$1\", \"arguments\": {${2:-}}}" >&5
	# shellcheck disable=SC3045	# busybox has read -t
	while read -r -t 120 qmp_answer <&6; do
		case $qmp_answer in
		*'"return"'*)	return ;;
		*'"error"'*)	fail "QMP $1: $qmp_answer" ;;
		esac
	done
	fail "QEMU does not answer to $1"
}

# read_answer: prints the output of what L2 ran, returns its status.
read_answer()
{
	local status size

	# shellcheck disable=SC3045	# busybox has read -t
	read -r -t 600 status size <&8 || fail "L2 does not answer"
	head -c "$size" <&8 | gunzip
	return "$status"
}

# l2 COMMAND: runs a line of shell in L2, prints its output, returns its exit status.
l2()
{
	echo "$1" >&7
	read_answer
}

# trace_exits: lets the tracepoint kvm_exit count, independently of what is under test. untrace_exits: the kernel warns of
# a module that goes while it is traced.
exit_trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
trace_exits() { echo 'hist:keys=exit_reason' >$exit_trigger; }
untrace_exits() { echo '!hist:keys=exit_reason' >$exit_trigger; }

# snapshot NAME: pauses L2 and saves what debugfs shows of it and what trace_exits has counted.
snapshot()
{
	qmp stop
	cat "$l2_stats/exit_stats" >"/out/$1.stats"
	cat "$l2_stats/exits" >"/out/$1.exits"
	cat /sys/kernel/tracing/events/kvm/kvm_exit/hist >"/out/$1.hist"
}

# show_tables: what debugfs shows of L2 and its vCPUs, with a word before each row that says of which.
show_tables()
{
	local dir

	sed 's/^/vm /' "$l2_stats/exit_stats"
	for dir in "$l2_stats"/vcpu*; do
		sed "s/^/${dir##*/} /" "$dir/exit_stats"
	done
}

# end_l2: fetches L2's kernel log into /out/$l2_name-dmesg.txt and ends L2.
end_l2()
{
	l2 dmesg >"/out/$l2_name-dmesg.txt"
	echo quit >&7
	wait "$l2_pid" || :
}

# table_field FILE ROW FIELD: a number of debugfs' table exit_stats. ROW is a reason's name, in any case, its number, as
# the table has it, or "total"; FIELD is "reason", "exits" or "cycles". 0 where the table has no such row.
table_field()
{
	awk -v row="$2" -v field="$3" '
		{
			name = $1 == "total" ? $1 : $2
			for (i = 3; i < NF - 4; i++)
				name = name " " $i
		}
		$1 == row || tolower(name) == tolower(row) {
			value = field == "reason" ? $1 : $(field == "exits" ? NF - 4 : NF - 3)
		}
		END { print value == "" ? 0 : value }' "$1"
}

# seen_reasons: the reasons that L2 had exits for.
seen_reasons() { awk '$1 ~ /^[0-9]/ { print $1 }' "$l2_stats/exit_stats"; }

# read_leaves [REASON...]: runs read-leaves in L2. Leaves what cpuid printed there in /out/leaves.txt, and what L1's
# kernel logged meanwhile in /out/leaves-log.txt.
# shellcheck disable=SC2120	# some jobs want all
read_leaves()
{
	local lines status=0

	progress "reading ${*:-all exit reasons} and the totals in L2"
	lines=$(dmesg | wc -l)
	l2 "read-leaves.sh $*" >/out/leaves.txt || status=$?
	[ $status -ne 4 ] || fail "the leaves are not answered: KVM in L1 is not the patched one"
	[ $status -eq 0 ] || fail "reading the leaves ended with status $status"
	dmesg | tail -n +$((lines + 1)) >/out/leaves-log.txt
}
