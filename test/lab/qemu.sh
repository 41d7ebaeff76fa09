# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# L1 in QEMU, whose TCG has SVM: sourced by boot-l1.sh. What QEMU gets wrong is in Documentation/lab.rst.

# has_nested: can KVM here give its guests VMX? A /dev/kvm alone does not say so.
has_nested()
{
	[ -w /dev/kvm ] && command -v qemu-system-x86_64 >/dev/null &&
		grep -qsx '[Y1]' /sys/module/kvm_intel/parameters/nested
}

# start_qemu: sets l1. With KVM, on a CPU with VMX, it is not tried: no machine that tested this has one.
start_qemu()
{
	local console=file:$out/l1-console.log drive=() cpu=(-accel kvm -cpu host)

	if [ "$lane" = svm ]; then
		# A family without the faults of EPYC's, which the kernel warns about. The emulated xsave, which AVX
		# needs, confuses L2's kernel.
		cpu=(-accel tcg -cpu "EPYC,family=20,+svm,+npt,-xsave,-avx,-avx2")
		# A periodic tick makes QEMU look again for the interrupts that it forgets.
		cmdline+=" nohz=off highres=off"
		# The TSC is this machine's, of which bogomips is twice the frequency: L1 measures it wrongly when this
		# machine is busy.
		cmdline+=" tsc_early_khz=$(awk '$1 == "bogomips" { printf "%d", $3 * 500; exit }' /proc/cpuinfo)"
	fi
	[ -z "$terminal" ] || console=$terminal
	[ -z "$disk" ] || drive=(-drive "file=$disk,format=raw,snapshot=on")
	qemu-system-x86_64 "${cpu[@]}" "${drive[@]}" -smp "$cpus" -m 1024 -display none -no-reboot \
		-kernel "$kernel" -initrd "$work/initrd" -append "$cmdline" \
		-serial "$console" -serial "file:$work/results" \
		</dev/null >"$out/qemu.log" 2>&1 &
	l1=$!
	echo $l1 >"$work/pid"
}
