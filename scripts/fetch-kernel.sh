#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Gets what the series is built on, as apt offers it now, into build/SERIES: Debian's kernel source as a git
# work tree (tag "base"), and the stock kernel and headers of the same version, unpacked, never installed.
# Usage: fetch-kernel.sh; with KSRC=DIR a copy of the tree in DIR is taken instead of Debian's source.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_gb=5	# what build/SERIES holds when all is fetched and built: 4.4 GB measured, the work tree of check included

# find_kernel PREFERRED: the newest version of the source that has a stock kernel and headers of the same
# version; one of the upstream version PREFERRED comes first. Prints "VERSION KVER", nothing if there is none.
find_kernel()
{
	local re="^linux-(image|headers)-${kseries//./\\.}\.[^-]*(-[0-9]+)?-amd64\$"
	local names

	mapfile -t names < <(apt-cache search --names-only "$re" | awk '{ print $1 }')
	[ ${#names[@]} -gt 0 ] || return 0
	apt-cache madison "linux-source-$kseries" "${names[@]}" | awk -v preferred="$1" '
		{ package = $1; version = $3 }
		package ~ /^linux-source/ { sources[++n] = version }
		package ~ /^linux-image/ { image[version] = substr(package, length("linux-image-") + 1) }
		package ~ /^linux-headers/ { headers[version package] = 1 }
		END {
			for (i = 1; i <= n; i++) {
				v = sources[i]
				if (!(v in image) || !((v "linux-headers-" image[v]) in headers))
					continue
				if (!found || v ~ "^" preferred "-") {
					found = v
					if (!preferred || v ~ "^" preferred "-")
						break
				}
			}
			if (found)
				print found, image[found]
		}'
}

update_apt()
{
	[ "$(id -u)" -eq 0 ] || die "apt's package lists are missing or old: run 'apt-get update' as root, then again"
	log "updating apt's package lists"
	apt-get update -qq || die "apt-get update failed: check the network and /etc/apt/sources.list"
}

# download PACKAGE...: into debs/. apt-get checks what is there and loads only what is missing or broken off.
download()
{
	local root=()

	# Root's downloads would go through the user _apt, who may not write here.
	[ "$(id -u)" -ne 0 ] || root=(-o APT::Sandbox::User=root)
	mkdir -p "$build/debs"
	(cd "$build/debs" && apt-get download -qq "${root[@]}" "$@")
}

# unpack_deb PACKAGE DIR: put the package's files into DIR, all or nothing.
unpack_deb()
{
	local part=$2.part

	rm -rf "$part" "$2"
	mkdir "$part"
	dpkg-deb -x "$build/debs/$1_"*.deb "$part" || die "could not unpack $1: if the disk is not full, remove $build/debs, then again"
	mv "$part" "$2"
}

unpack_debian_source()
{
	local tarball

	dpkg-deb -x "$build/debs/linux-source-${kseries}_$version"_*.deb "$part/deb" ||
		die "could not unpack linux-source-$kseries: if the disk is not full, remove $build/debs, then again"
	tarball=$(echo "$part"/deb/usr/src/linux-source-*.tar.xz)
	mkdir "$part/linux"
	xz -T0 -dc "$tarball" | tar -x -C "$part/linux" --strip-components=1 ||
		die "could not unpack the kernel's source into $part"
}

# Copies what belongs to the source: in a git tree the tracked and the new files, else what mrproper leaves.
copy_own_source()
{
	mkdir "$part/linux"
	if [ -e "$KSRC/.git" ]; then
		git -C "$KSRC" -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
			rsync -a --from0 --files-from=- --ignore-missing-args "$KSRC/" "$part/linux/"
	else
		rsync -a "$KSRC/" "$part/linux/"
		make -s -C "$part/linux" mrproper
	fi || die "could not copy $KSRC"
}

# Turns $part/linux into a repository with one commit and moves it to its place.
make_work_tree()
{
	local tree=$part/linux name

	name="Linux $(tree_version "$tree")"
	[ -n "${KSRC:-}" ] || name="$name, Debian linux-source-$kseries $version"
	log "making it a git work tree"
	# Debian's tarball ignores everything at the top, which would hide new files from git.
	if grep -qx '# Debian packaging: .*' "$tree/.gitignore"; then
		sed -i '/^# Debian packaging: /,$d' "$tree/.gitignore"
		sed -i '${/^#$/d}' "$tree/.gitignore"
	fi
	git init -q -b kvm-exit-stats "$tree"
	cd "$tree"
	git config user.name "kvm-exit-stats developers"
	git config user.email developers@kvm-exit-stats.invalid
	git config gc.auto 0
	git config core.autocrlf false
	git config commit.gpgsign false
	git config kvm-exit-stats.source "${KSRC:-Debian}"
	# Writing 88000 objects takes most of the time. So two processes write them, and git add finds them there.
	git config core.looseCompression 1
	find . -path ./.git -prune -o -type f -print |
		split -n r/2 --filter='git hash-object -w --no-filters --stdin-paths >/dev/null'
	git add -A -f
	git commit -q --no-verify -m "$name"
	git tag base
	cd "$top"
	mv "$tree" "$ktree"
}

one_at_a_time
need_packages git xz-utils

ksrc_version=
if [ -n "${KSRC:-}" ]; then
	[ -f "$KSRC/arch/x86/kvm/Makefile" ] || die "KSRC=$KSRC is not a kernel tree"
	KSRC=$(cd "$KSRC" && pwd)
	ksrc_version=$(tree_version "$KSRC")
	case $ksrc_version in
	"$kseries".*) ;;
	*) die "KSRC=$KSRC is Linux $ksrc_version, and the series is for $kseries: give a $kseries tree" ;;
	esac
	if [ -d "$ktree" ] && [ "$(kgit config kvm-exit-stats.source)" != "$KSRC" ]; then
		die "$ktree is made from another source: 'make export' your work, remove it, then again"
	fi
	need_packages rsync make gcc libc6-dev
fi

if [ -f "$build/kver" ] && [ -d "$ktree" ]; then
	read -r offered _ < <(find_kernel "$ksrc_version") || offered=
	if [ -n "$offered" ] && [ ! -e "$(echo "$build/debs/linux-image-$(kver)_${offered}"_*.deb)" ]; then
		log "apt now offers $kseries as $offered; $(kver) stays in use (remove $build to fetch again)"
	fi
	exit 0
fi

free_gb=$(($(df --output=avail -B1M "$build" | tail -n 1) / 1024))
[ "$free_gb" -ge $need_gb ] || die "$build needs about $need_gb GB of disk, and $free_gb GB are free"

part=$build/fetch.part
rm -rf "$part"
mkdir -p "$part"
trap 'rm -rf "$part"' EXIT

if [ -f "$build/kver" ]; then
	# Only the source is missing: it must be that of the stock kernel in use.
	kver=$(kver)
	version=$(dpkg-deb -f "$build/debs/linux-image-${kver}_"*.deb Version)
else
	read -r version kver < <(find_kernel "$ksrc_version") || version=
	if [ -z "$version" ]; then
		update_apt
		read -r version kver < <(find_kernel "$ksrc_version") ||
			die "apt knows no linux-source-$kseries with a kernel of the same version: add Debian's security archive to its sources"
	fi
fi

wanted=("linux-image-$kver=$version" "linux-headers-$kver=$version")
[ -n "${KSRC:-}" ] || wanted+=("linux-source-$kseries=$version")
log "downloading Linux $version (260 MB if nothing is there yet)"
if ! download "${wanted[@]}"; then
	[ ! -f "$build/kver" ] || die "apt cannot download $version any more: remove $build, then again"
	# The lists may be older than the archive: it keeps only the newest versions.
	update_apt
	read -r version kver < <(find_kernel "$ksrc_version") || die "apt no longer offers a kernel $kseries"
	wanted=("linux-image-$kver=$version" "linux-headers-$kver=$version")
	[ -n "${KSRC:-}" ] || wanted+=("linux-source-$kseries=$version")
	download "${wanted[@]}" || die "could not download Linux $version: check the network, then run it again"
fi

stock=
if [ ! -f "$build/kver" ]; then
	{
		unpack_deb "linux-image-$kver" "$image"
		unpack_deb "linux-headers-$kver" "$headers"
	} &
	stock=$!
fi
if [ ! -d "$ktree" ]; then
	log "unpacking the source of Linux ${ksrc_version:-$version}"
	if [ -n "${KSRC:-}" ]; then
		copy_own_source
	else
		unpack_debian_source
	fi
	make_work_tree
fi
if [ -n "$stock" ]; then
	wait $stock || exit 1
	echo "$kver" >"$build/kver.part"
	mv "$build/kver.part" "$build/kver"
fi
