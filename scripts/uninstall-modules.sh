#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Removes what install-modules.sh installed and, if the patched modules are loaded, loads the distribution's in their
# place. Refuses while a process uses those. Usage: [KVER=...] uninstall-modules.sh [-n]

# shellcheck source=scripts/lib-host.sh
. "$(dirname "$0")/lib-host.sh"

# finish: the distribution's modules, whether this came to its end or something interrupted it.
finish()
{
	trap '' INT TERM HUP
	[ -n "$unloaded" ] || return 0
	load_with_parameters stock "$vendor" "$wanted" || die "the distribution's modules do not load: see dmesg, and reboot"
	show_log
	log "the distribution's kvm and $vendor are running"
}

reload=
! is_running || ! is_patched || reload=1
left=()
for directory in "$installed" "$staging"; do
	[ ! -d "$directory" ] || left+=("$directory")
done
if [ -z "$reload" ] && [ ${#left[@]} -eq 0 ] && ! grep -qs '^updates/kvm-exit-stats/' "/lib/modules/$host_kver/modules.dep"; then
	log "nothing is installed for $host_kver"
	exit 0
fi
need_root
[ -z "$reload" ] || demand_idle
plan "${left[@]/#/remove }" "run depmod for $host_kver" ${reload:+"load the distribution's modules"}
one_change_at_a_time

unloaded=
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ -n "$reload" ]; then
	vendor=$(vendor_module)
	wanted=$(list_parameters "$vendor")
	mark_log "loading the distribution's modules"
	unloaded=1
	take_out "$vendor"
fi
[ ${#left[@]} -eq 0 ] || rm -r "${left[@]}"
rm -f "$keep_out"
rmdir "$updates" 2>/dev/null || :
if [ -d "/lib/modules/$host_kver/kernel" ]; then
	depmod "$host_kver" || die "depmod failed: make room on the disk, then run 'depmod $host_kver'"
else
	rmdir "/lib/modules/$host_kver" 2>/dev/null || :	# the kernel itself is gone
fi
log "removed from $updates"
