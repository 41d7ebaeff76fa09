#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian: the commands that make it a hypervisor with the patched KVM, and back, as a user types them; with
# their output in /out/transcript.txt.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
cd /root/kvm-exit-stats
release=$(uname -r)
installed=/lib/modules/$release/updates/kvm-exit-stats
pattern=${installed//+/\\+}

# run COMMAND: types it. Its output is in /tmp/output, its exit status is returned.
run()
{
	local status=0

	progress "$1"
	echo "# $1" >>/out/transcript.txt
	eval "$1" >/tmp/output 2>&1 || status=$?
	cat /tmp/output >>/out/transcript.txt
	return $status
}

# passes COMMAND NAME [PATTERN], fails ...: a verdict on its exit status, and that it says PATTERN.
passes() { local status=0; run "$1" || status=$?; expect "$2" "exit status" $status -eq 0; says "$2" "${3:-}"; }
fails() { local status=0; run "$1" || status=$?; expect "$2" "exit status" $status -ne 0; says "$2" "${3:-}"; }
says() { [ -z "$2" ] || expect "$1: says so" "lines with '$2'" "$(grep -cE "$2" /tmp/output)" -ge 1; }

# list_modules: every file of the kernel's, with a sum of those that depmod writes.
list_modules() { (cd /lib/modules && find . | sort && md5sum ./*/modules.* && ls /etc/modprobe.d); }

# check_parameters WHEN: those that were set before anything else.
check_parameters()
{
	expect "parameters are kept, $1" "$vendor.nested" "$(cat "/sys/module/$vendor/parameters/nested")" = "$not_default"
	expect "written parameters are kept, $1" kvm.ignore_msrs "$(cat /sys/module/kvm/parameters/ignore_msrs)" = Y
}

is_patched() { [ -e /sys/module/kvm/parameters/exit_stats ] && echo yes || echo no; }

# meet_a_running_guest: nothing is taken from it, and kvm_stat still works.
meet_a_running_guest()
{
	fails "make reload" "reload beside a guest is refused" "KVM is in use by pid $l2_pid \(qemu"
	fails "make uninstall" "uninstall beside a guest is refused" "KVM is in use by pid $l2_pid \(qemu"
	expect "the guest still runs" "its answer" "$(l2 'echo here')" = here
	passes "python3 /job/kvm_stat -1 -d" "kvm_stat, from debugfs" "^exits +[1-9]"
	expect "kvm_stat takes no table or array for a number" "lines" "$(grep -c ^exit_ /tmp/output)" -eq 0
	passes "python3 /job/kvm_stat -1" "kvm_stat, from tracepoints" "^kvm_exit +[1-9]"
	expect "the installation is still there" "files" "$(find "$installed" -name '*.ko' | wc -l)" -eq 3
}

# meet_a_hidden_user: by another name /dev/kvm is not found among the processes' files, and rmmod is what refuses.
meet_a_hidden_user()
{
	mknod /tmp/hidden c 10 "$(awk '$2 == "kvm" { print $1 }' /proc/misc)"
	exec 4</tmp/hidden
	fails "make reload" "reload is refused by rmmod" "could not be unloaded"
	exec 4<&-
	expect "the patched modules still run" "patched" "$(is_patched)" = yes
	check_parameters "after that"
}

# interrupt_reload: in the middle, by modprobe.
interrupt_reload()
{
	printf '#!/bin/sh\nkill -TERM $PPID\nexec /sbin/modprobe "$@"\n' >/usr/local/sbin/modprobe
	chmod +x /usr/local/sbin/modprobe
	fails "make reload" "a reload that is interrupted" "the distribution's modules are loaded again"
	rm /usr/local/sbin/modprobe
	expect "an interrupted reload: the distribution's modules are back" "loaded" "$([ -d "/sys/module/$vendor" ] && is_patched)" = no
	check_parameters "after an interrupted reload"
	passes "make reload" "reload after an interrupted one"
}

# meet_a_broken_module: and the way back.
meet_a_broken_module()
{
	# As if it were built with another configuration: kvm.ko loads, and this one does not.
	sed -i "s/\(vermagic=[^ ]* SMP \)preempt/\1PREEMPT/" "$installed/${vendor/_/-}.ko"
	fails "make reload" "a module that cannot load is reported" "do not load"
	says "a module that cannot load: why" "version magic"
	expect "the distribution's modules are back" "patched" "$(is_patched)" = no
	expect "the distribution's modules are back in full" "loaded" "$([ -d "/sys/module/$vendor" ] && echo yes)" = yes
	check_parameters "after the way back"
	passes "make status" "status tells of changed files" "make install"
	passes "make install" "a second install mends that"
	passes "make reload" "reload after that"
	check_parameters "after the second reload"
}

vendor=$(kvm_vendor) not_default=N
fast=			# whether the emulator is: what does not depend on the vendor is tried there only
[ "$vendor" = kvm_intel ] || { not_default=0; fast=y; }
list_modules >/tmp/before
modprobe "$vendor" nested=0
echo Y >/sys/module/kvm/parameters/ignore_msrs

passes "make status" "status before anything" "^kvm +the distribution's"
fails "make reload" "reload without an installation is refused" "nothing is installed"
passes "make install" "install" "kvmgt was built for the distribution's kvm.ko"
passes "modinfo -F filename kvm" "modprobe prefers the installed modules" "^$pattern/kvm.ko"
expect "the distribution's modules stay in use until the reload" "patched" "$(is_patched)" = no
passes "make reload" "reload" "kvm and $vendor of $pattern are running"
expect "the patched modules run" "patched" "$(is_patched)" = yes
check_parameters "after the reload"
# Elsewhere kvmgt's checksums keep it from them.
grep -qx CONFIG_MODVERSIONS=y "/lib/modules/$release/build/.config" ||
	fails "modprobe kvmgt" "kvmgt does not load beside the patched modules" "kvmgt was built for the distribution's kvm.ko"
passes "make status" "status with the patched modules" "^kvm +patched, the installed one"

boot_l2
# shellcheck disable=SC2046	# several numbers
read_leaves $(seen_reasons)
[ -z "$fast" ] || meet_a_running_guest
end_l2

if [ -n "$fast" ]; then
	meet_a_hidden_user
	interrupt_reload
	meet_a_broken_module
fi

passes "make uninstall" "uninstall" "the distribution's kvm and $vendor are running"
expect "the distribution's modules run" "patched" "$(is_patched)" = no
check_parameters "after uninstall"
list_modules >/tmp/after
expect "uninstall leaves nothing behind" "differences" "$(diff /tmp/before /tmp/after | tee -a /out/transcript.txt | wc -l)" -eq 0
[ -z "$fast" ] || passes "make uninstall" "a second uninstall has nothing to do" "nothing is installed"

boot_l2
status=0
l2 read-leaves.sh >/dev/null || status=$?
expect "the guest finds no leaves then" "exit status" $status -eq 4
end_l2
