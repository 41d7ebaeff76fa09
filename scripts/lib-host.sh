# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Common to the scripts that work for an installed kernel, KVER or the running one: sourced, never run.

host_kver=${KVER:-$(uname -r)}

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
no_arguments "$@"

updates=/lib/modules/$host_kver/updates		# depmod prefers it to kernel/, where the distribution's modules are
installed=$updates/kvm-exit-stats		# all of this directory is ours
keep_out=/etc/modprobe.d/kvm-exit-stats-$host_kver.conf	# modules that must not load beside ours
staging=/lib/modules/.kvm-exit-stats-$host_kver	# where depmod does not look
unloaded=					# set while no KVM is loaded, for a trap
loading_marker=					# the line in the kernel's log from which on new lines are ours

# warn TEXT: what goes on all the same.
warn() { printf '%s: warning: %s\n' "${0##*/}" "$*" >&2; }

is_running() { [ "$host_kver" = "$(uname -r)" ]; }

# one_change_at_a_time: wait until no other script changes this kernel's modules.
one_change_at_a_time()
{
	[ -z "$dry" ] || return 0
	exec 8<"/lib/modules/$host_kver"
	flock -n 8 || { log "waiting for another script that changes the modules"; flock 8; }
}

is_loaded() { [ -d "/sys/module/$1" ]; }

# vendor_module: the module of this CPU's vendor.
vendor_module()
{
	local module

	for module in kvm_intel kvm_amd; do
		! is_loaded $module || { echo $module; return; }
	done
	case " $(grep -m 1 '^flags' /proc/cpuinfo) " in
	*' vmx '*)	echo kvm_intel ;;
	*' svm '*)	echo kvm_amd ;;
	*)		die "this CPU offers neither VMX nor SVM: enable it in the firmware, or for this virtual machine" ;;
	esac
}

# is_patched: whether the loaded kvm is one of ours. The distribution's has no srcversion.
is_patched() { [ -e /sys/module/kvm/parameters/exit_stats ]; }

# runs_installed MODULE: whether the loaded module is the installed one.
runs_installed()
{
	local file=$installed/${1//_/-}.ko

	[ -f "$file" ] && [ "$(cat "/sys/module/$1/srcversion" 2>/dev/null)" = "$(modinfo -F srcversion "$file")" ]
}

# describe_processes: a name for each process that uses KVM, e.g. "pid 1234 (qemu-system-x86, guest web1)".
describe_processes()
{
	local pid comm guest

	# Processes may end while this looks at them.
	{ find /proc/[0-9]*/fd \( -lname 'anon_inode:kvm-*' -o -lname /dev/kvm \) -printf '%h\n' 2>/dev/null || :; } |
		cut -d / -f 3 | sort -nu | while read -r pid; do
		comm=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
		guest=$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -n '/^-name$/ { n; s/^guest=//; s/,.*//; p; q }') || :
		echo "pid $pid ($comm${guest:+, guest $guest})"
	done
}

# demand_idle: stop if anything uses KVM, and name it.
demand_idle()
{
	local users holders

	users=$(describe_processes | paste -s -d , | sed 's/,pid/, pid/g')
	[ -z "$users" ] || die "KVM is in use by $users: shut these virtual machines down, then again"
	is_loaded kvm || return 0
	holders=$(find /sys/module/kvm/holders -mindepth 1 ! -name kvm_intel ! -name kvm_amd -printf ' %f')
	[ -z "$holders" ] || die "kvm is in use by other modules: unload them with 'modprobe -r$holders', then again"
}

unload_modules()
{
	local module

	for module in kvm_intel kvm_amd kvm; do
		! is_loaded $module || rmmod $module || return
	done
}

# take_out VENDOR: unload KVM, or leave it as it was and stop.
take_out()
{
	local set=stock

	! runs_installed kvm || set=installed
	unload_modules && return
	load_modules $set "$1" || :
	unloaded=	# nothing for the caller's trap to do
	die "KVM could not be unloaded: did a virtual machine start just now? Shut it down, then again"
}

# load_modules SET VENDOR [MODULE.PARAMETER=VALUE...]: SET is "installed", what modprobe finds, with modprobe's
# configuration; or "stock", the distribution's.
load_modules()
{
	local set=$1 vendor=$2 module file depends parameter parameters

	shift 2
	for module in kvm "$vendor"; do
		! is_loaded "$module" || continue
		parameters=()
		for parameter in "$@"; do
			[ "${parameter%%.*}" != "$module" ] || parameters+=("${parameter#*.}")
		done
		if [ "$set" = installed ]; then
			modprobe "$module" "${parameters[@]}" || return
		else
			file=$(stock_module "arch/x86/kvm/${module//_/-}")
			depends=$(modinfo -F depends "$file" | tr , '\n' | grep -vx kvm || true)
			# shellcheck disable=SC2086	# a list
			[ -z "$depends" ] || modprobe -a $depends || return
			insmod "$file" "${parameters[@]}" || return
		fi
	done
}

# list_parameters VENDOR: a line MODULE.PARAMETER=VALUE for each parameter of the loaded modules.
list_parameters()
{
	local file module value

	for module in kvm "$1"; do
		for file in "/sys/module/$module/parameters/"*; do
			! read -r value 2>/dev/null <"$file" || echo "$module.${file##*/}=$value"
		done
	done
}

# restore_parameters WANTED: write those that differ from WANTED (of list_parameters) and can be written; print
# those that cannot. Ones that the loaded modules do not know are left out.
restore_parameters()
{
	local line name file value

	while IFS= read -r line; do
		name=${line%%=*}
		file=/sys/module/${name%%.*}/parameters/${name#*.}
		if ! read -r value 2>/dev/null <"$file" || [ "$value" = "${line#*=}" ]; then
			continue
		fi
		if [ -z "$(find "$file" -perm -u+w)" ] || ! echo "${line#*=}" 2>/dev/null >"$file"; then
			echo "$line"
		fi
	done <<<"$1"
}

# load_with_parameters SET VENDOR WANTED: as load_modules; the parameters are as in WANTED then.
load_with_parameters()
{
	local set=$1 vendor=$2 wanted=$3 differ line

	load_modules "$set" "$vendor" || return
	mapfile -t differ < <(restore_parameters "$wanted")
	[ ${#differ[@]} -gt 0 ] || return 0
	# They can be given only when the modules are loaded.
	unload_modules || return
	load_modules "$set" "$vendor" "${differ[@]}" || return
	while IFS= read -r line; do
		[ -z "$line" ] || warn "${line%%=*} was ${line#*=} and could not be set again"
	done < <(restore_parameters "$wanted")
}

# mark_log: a line in the kernel's log, after which are those of the loading.
mark_log()
{
	loading_marker="kvm-exit-stats: $1 ($$, $EPOCHSECONDS)"
	echo "$loading_marker" >/dev/kmsg
}

# show_log: the kernel's log from there on.
show_log() { dmesg | awk -v marker="$loading_marker" 'index($0, marker) { found = 1 } found'; }

# takes_only_signed: whether the kernel refuses unsigned modules: Secure Boot, which locks it down, or its parameter.
takes_only_signed()
{
	local efi=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c

	grep -qsE '\[(integrity|confidentiality)\]' /sys/kernel/security/lockdown ||
		grep -qsx Y /sys/module/module/parameters/sig_enforce ||
		{ [ -r $efi ] && [ "$(od -An -t u1 -j 4 -N 1 $efi | tr -d ' ')" = 1 ]; }
}
