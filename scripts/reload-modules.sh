#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Unloads KVM and loads the installed modules, with the parameters that were in force, and verifies that these
# run. Refuses while a process uses KVM. If they do not load, the distribution's are loaded again.
# Usage: reload-modules.sh [-n]

# shellcheck source=scripts/lib-host.sh
. "$(dirname "$0")/lib-host.sh"

# load_installed: what must be true in the end.
load_installed()
{
	load_with_parameters installed "$vendor" "$wanted" || return
	if ! is_patched || ! runs_installed kvm || ! runs_installed "$vendor"; then
		echo "modprobe loaded other modules than those in $installed" >&2
		return 1
	fi
}

# put_back: the distribution's modules, when the new ones failed or something interrupted this.
put_back()
{
	trap '' INT TERM HUP
	[ -n "$unloaded" ] || return 0
	if ! unload_modules || ! load_with_parameters stock "$vendor" "$wanted"; then
		die "the distribution's modules do not load either: see dmesg, and reboot"
	fi
	log "the distribution's modules are loaded again"
}

is_running || die "$host_kver is not the running kernel: boot it, then again"
[ -f "$installed/kvm.ko" ] || die "nothing is installed for $host_kver: run 'make install' first"
need_root
vendor=$(vendor_module)
demand_idle
plan "unload $vendor and kvm" "load those in $installed, with the parameters that are in force now" \
	"load the distribution's again if these do not load"
one_change_at_a_time

wanted=$(list_parameters "$vendor")
unloaded=
trap put_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mark_log "loading $installed"
unloaded=1
take_out "$vendor"
if ! load_installed; then
	show_log >&2
	die "the installed modules do not load, for the reason above"
fi
unloaded=
show_log
log "kvm and $vendor of $installed are running: srcversion $(cat /sys/module/kvm/srcversion), exit_stats=$(cat /sys/module/kvm/parameters/exit_stats)"
