#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs what build-host-modules.sh built into /lib/modules/KVER/updates/kvm-exit-stats, beside the distribution's
# modules, which stay, with a record of what they are. Signs them if a machine-owner key is configured, as DKMS
# does. The modules that are loaded stay in use: see reload-modules.sh.
# Usage: [KVER=...] install-modules.sh [-n]

# shellcheck source=scripts/lib-host.sh
. "$(dirname "$0")/lib-host.sh"

# find_key: the machine-owner key and its certificate: DKMS's, or the one of Debian's shim-signed. Nothing if none.
find_key()
{
	local mok_signing_key=/var/lib/dkms/mok.key mok_certificate=/var/lib/dkms/mok.pub conf line

	for conf in /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf; do
		[ -r "$conf" ] || continue
		while IFS= read -r line; do
			line=${line//\"/}
			case $line in
			mok_signing_key=*)	mok_signing_key=${line#*=} ;;
			mok_certificate=*)	mok_certificate=${line#*=} ;;
			esac
		done <"$conf"
	done
	if [ -e "$mok_signing_key" ] && [ -e "$mok_certificate" ]; then
		printf '%s\n' "$mok_signing_key" "$mok_certificate"
	elif [ -e /var/lib/shim-signed/mok/MOK.priv ] && [ -e /var/lib/shim-signed/mok/MOK.der ]; then
		printf '%s\n' /var/lib/shim-signed/mok/MOK.{priv,der}
	fi
}

# has_checksums: whether the kernel refuses a module that was built with another layout of KVM's structures.
has_checksums() { grep -qx CONFIG_MODVERSIONS=y "$(kbuild)/.config"; }

# list_misfits: modules that use the distribution's kvm.ko and must not load beside ours. The kernel refuses those that need
# a symbol with another checksum. Without checksums they would load, and misread KVM's memory.
list_misfits()
{
	local file

	awk '/\/kvm\.ko/ && !/^kernel\/arch\/x86\/kvm\// && !/^updates\/kvm-exit-stats\// { sub(/:.*/, ""); print }' \
		"/lib/modules/$host_kver/modules.dep" | while read -r file; do
		if ! has_checksums; then
			file=${file##*/}
			echo "${file%%.ko*}"
			continue
		fi
		modprobe --dump-modversions "/lib/modules/$host_kver/$file" |
			awk -v file="$file" '
				FNR == NR { crc[$2] = $1; next }
				$2 in crc && $1 != crc[$2] { gsub(/.*\/|\.ko.*/, "", file); print file; exit }' \
				"$modules/Module.symvers" -
	done
}

# refuse_misfits: lines for modprobe.d(5).
refuse_misfits()
{
	local module why

	echo "# Of kvm-exit-stats, which removes it: make uninstall KVER=$host_kver"
	for module in "${misfits[@]}"; do
		why="$module was built for the distribution's kvm.ko and cannot run beside that of kvm-exit-stats"
		echo "install $module if [ \"\$(uname -r)\" = $host_kver ]; then echo \"$why\" >&2; exit 1;" \
			"else exec modprobe --ignore-install $module \$CMDLINE_OPTS; fi"
	done
}

# put_back: undo what a failure or an interruption left half done.
put_back()
{
	trap '' INT TERM HUP
	if [ -n "$replaced" ]; then
		rm -rf "$installed"
		[ ! -d "$staging/old" ] || mv "$staging/old" "$installed"
		depmod "$host_kver" || :
	fi
	rmdir "$updates" 2>/dev/null || :
	[ -d "$installed" ] || rm -f "$keep_out"
	rm -rf "$staging"
}

replaced=
for module in kvm kvm-intel kvm-amd; do
	[ -f "$modules/$module.ko" ] || die "there are no modules for $host_kver yet: run 'make modules'"
done
need_root
need_packages kmod
mapfile -t key < <(find_key)
mapfile -t misfits < <(list_misfits)
for module in "${misfits[@]}"; do
	warn "$module was built for the distribution's kvm.ko and will not load beside this one"
done
refused=
has_checksums || refused=${misfits[*]}
if is_running && takes_only_signed && [ ${#key[@]} -eq 0 ]; then
	warn "this kernel takes only signed modules (Secure Boot), and there is no machine-owner key to sign these with"
fi
plan "install kvm.ko, kvm-intel.ko and kvm-amd.ko into $installed" ${key[0]:+"sign them with ${key[0]}"} \
	${refused:+"keep ${misfits[*]} from loading, with $keep_out"} "run depmod for $host_kver"
one_change_at_a_time

trap put_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
rm -rf "$staging"
new=$staging/new
why=$({ mkdir -p "$new" "$updates" && cp "$modules"/kvm{,-intel,-amd}.ko "$modules/origin" "$new/"; } 2>&1) ||
	die "could not write to /lib/modules: ${why##*: }; nothing was installed"
if [ ${#key[@]} -gt 0 ]; then
	log "signing with ${key[0]}"
	for module in kvm kvm-intel kvm-amd; do
		"$(kbuild)/scripts/sign-file" "$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"/\1/p' "$(kbuild)/.config")" \
			"${key[@]}" "$new/$module.ko" ||
			die "could not sign with ${key[0]}: if it has a passphrase, give it as KBUILD_SIGN_PIN"
	done
fi
{
	cat "$new/origin"
	echo "installed $(date -u '+%F %T UTC')"
	(cd "$new" && sha256sum ./*.ko)
} >"$new/record"
rm "$new/origin"

log "installing into $installed"
replaced=1
rm -f "$keep_out"
if [ -n "$refused" ]; then
	why=$({ refuse_misfits >"$keep_out"; } 2>&1) || die "could not write $keep_out: ${why##*: }; nothing was installed"
fi
[ ! -d "$installed" ] || mv "$installed" "$staging/old"
mv "$new" "$installed"
depmod "$host_kver" || die "depmod failed: nothing was installed"
for module in kvm kvm-intel kvm-amd; do
	found=$(modinfo -k "$host_kver" -F filename "$module")
	[ "$found" = "$installed/$module.ko" ] || [ "$found" -ef "$installed/$module.ko" ] ||
		die "modprobe would load $found instead: remove it, or see depmod.d(5); nothing was installed"
done
replaced=
if is_running; then
	log "installed; next, as root: make reload (or reboot)"
else
	log "installed; they load when $host_kver is booted"
fi
