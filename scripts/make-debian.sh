#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs a Debian of the release CODENAME with PACKAGEs in build/debian/CODENAME/root, or what is missing there. It is what
# the lab's L1 boots, and where the modules of that release's kernels are built if the machine has another. Needs root.
# Usage: scripts/make-debian.sh CODENAME PACKAGE...

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-apt.sh
. "$top/scripts/lib-apt.sh"

codename=$1
shift
debian=$top/build/debian/$codename
root=$debian/root
installed=$debian/packages		# what was asked for, a line each

# machine_sources: the machine's own of Debian's packages.
machine_sources()
{
	apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sed -n 's/^Debian deb/deb/p'
}

# write_settings: of apt and dpkg. What dpkg does not unpack: depmod reads every module, and over Debian's
# 4000 it would take half an hour in Bochs, because it uncompresses them. What stays: KVM, what uses it (vfio, vhost and,
# without i915, which is too large, kvmgt), what these depend on, and small ones, for depmod to have more.
write_settings()
{
	local lib kept

	{
		echo force-unsafe-io
		printf 'path-exclude=/usr/share/%s/*\n' doc info locale man
		for lib in /lib /usr/lib; do
			printf "path-exclude=$lib/modules/*/kernel/%s/*\n" arch/x86/{crypto,events} block crypto drivers fs lib net sound
			for kept in drivers/{crypto/ccp,gpu/drm/i915/kvmgt,vfio,vhost,virtio}; do
				printf "path-include=$lib/modules/*/kernel/%s*\n" "$kept"
			done
		done
	} >"$debian/dpkg.cfg"
	apt-config dump | grep -E '^Acquire::(http|Check)' >"$debian/apt.conf" || :
	{
		if grep -qx "VERSION_CODENAME=$codename" /etc/os-release; then
			machine_sources
		else
			debian_sources deb "$codename"
		fi
		[ "$codename" != trixie ] || debian_sources deb trixie-backports	# which has 7.3
	} | sort -u >"$debian/sources.list"
	grep -q " $codename " "$debian/sources.list" ||
		die "apt's lists name no mirror of Debian's $codename: run 'apt-get update', then again"
}

install_root()
{
	need_packages debian-archive-keyring mmdebstrap
	need_disk 2		# measured: 0.9 GB with all that L1 has
	mkdir -p "$debian"
	[ -n "$(debian_mirrors)" ] || apt_get update
	write_settings
	log "installing a Debian $codename"
	rm -rf "$root" "$root.part"
	quiet "$debian/install.log" unshare --mount --propagation private mmdebstrap --mode=root --variant=minbase \
		--skip=cleanup/apt/lists --keyring="$keyring" --dpkgopt="$debian/dpkg.cfg" --aptopt="$debian/apt.conf" \
		--include="$(IFS=,; echo "$*")" "$codename" "$root.part" "$debian/sources.list"
	cp /etc/resolv.conf "$root.part/etc/resolv.conf"
	printf '%s\n' "$@" >"$installed"
	mv "$root.part" "$root"
}

# add_packages PACKAGE...: those that are not there yet.
add_packages()
{
	local missing

	mapfile -t missing < <(printf '%s\n' "$@" | grep -vxFf "$installed")
	[ ${#missing[@]} -gt 0 ] || return 0
	log "installing ${missing[*]} in the Debian $codename"
	quiet "$debian/install.log" "$top/scripts/run-in-debian.sh" "$codename" apt-get install -y -q --no-install-recommends "${missing[@]}"
	printf '%s\n' "${missing[@]}" >>"$installed"
}

[ "$(id -u)" -eq 0 ] || die "only root can install a Debian $codename: run it as root"
mkdir -p "$debian"
exec 7>"$debian/lock"
flock -n 7 || { log "waiting for another script that installs a Debian $codename"; flock 7; }
if [ -d "$root" ]; then
	add_packages "$@"
else
	install_root "$@"
fi
