#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Gets what the series is built on, as apt offers it now, into build/SERIES: Debian's kernel source as a git work tree
# (tag base/SERIES), and the stock kernel and headers of the same version, unpacked, never installed. For an installed
# kernel (build-host-modules.sh) only the source, of exactly that kernel's version, into build/KVER.
# Usage: fetch-kernel.sh [-n]; with KSRC=DIR a copy of the tree in DIR is taken instead of Debian's source.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-apt.sh
. "$top/scripts/lib-apt.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

# find_kernel PREFERRED: the newest version of the source that has a stock kernel and headers of the same
# version; one of the upstream version PREFERRED comes first. Prints "VERSION KVER", nothing if there is none.
find_kernel()
{
	local re="^linux-(image|headers)-${series//./\\.}\.[^-]*(-[0-9]+)?-amd64\$"
	local names

	mapfile -t names < <(apt_cache search --names-only "$re" | awk '{ print $1 }')
	[ ${#names[@]} -gt 0 ] || return 0
	apt_cache madison "linux-source-$series" "${names[@]}" | awk -v preferred="$1" '
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
	apt_get update || die "apt-get update failed: check the network and /etc/apt/sources.list"
}

# download PACKAGE...: into debs/. apt-get checks what is there and loads only what is missing or broken off.
download()
{
	local root=()

	# Root's downloads would go through the user _apt, who may not write here.
	[ "$(id -u)" -ne 0 ] || root=(-o APT::Sandbox::User=root)
	mkdir -p "$build/debs"
	(cd "$build/debs" && apt-get download -qq "${apt_options[@]}" "${root[@]}" "$@")
}

# unpack_debs DIR PACKAGE...: put the packages' files into DIR, all or nothing.
unpack_debs()
{
	local dir=$1 part=$1.part package

	shift
	rm -rf "$part" "$dir"
	mkdir "$part"
	for package; do
		dpkg-deb -x "$build/debs/${package}_"*.deb "$part" ||
			die "could not unpack $package: if the disk is not full, remove $build/debs, then again"
	done
	# Where Debian 12's kernel and modules are, if they are elsewhere.
	if [ -d "$part/usr/lib/modules/$kver" ]; then
		ln -s usr/lib "$part/lib"
		mkdir -p "$part/boot"
		[ ! -e "$part/lib/modules/$kver/vmlinuz" ] || ln "$part/lib/modules/$kver/vmlinuz" "$part/boot/vmlinuz-$kver"
	fi
	mv "$part" "$dir"
}

unpack_debian_source()
{
	local tarball

	dpkg-deb -x "$build/debs/linux-source-${series}_$version"_*.deb "$part/deb" ||
		die "could not unpack linux-source-$series: if the disk is not full, remove $build/debs, then again"
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

# make_store: an empty one, all or nothing, as another series may want it, too.
make_store()
{
	git init -q --bare "$part/store"
	git -C "$part/store" config gc.auto 0
	git -C "$part/store" config core.autocrlf false
	git -C "$part/store" config commit.gpgsign false
	git -C "$part/store" config user.name "kvm-exit-stats developers"
	git -C "$part/store" config user.email developers@kvm-exit-stats.invalid
	# The build makes it, and 6.1 does not ignore it.
	echo /tools/bpf/resolve_btfids/libsubcmd/ >"$part/store/info/exclude"
	mv -T "$part/store" "$store" 2>/dev/null || [ -d "$store" ]
}

# import_source: $part/linux as a commit in the store, which gets the tag base/NAME, and source/VERSION if it is Debian's.
# Its index is left in $part/index.
import_source()
{
	local tree=$part/linux title commit
	local -x GIT_INDEX_FILE=$part/index
	# The same source gives the same commit.
	local -x GIT_AUTHOR_DATE="2000-01-01T00:00:00Z" GIT_COMMITTER_DATE="2000-01-01T00:00:00Z"

	title="Linux $(tree_version "$tree")"
	[ -n "${KSRC:-}" ] || title="$title, Debian linux-source-$series $version"
	log "making it a git work tree"
	# Debian's tarball ignores everything at the top, which would hide new files from git.
	if grep -qx '# Debian packaging: .*' "$tree/.gitignore"; then
		sed -i '/^# Debian packaging: /,$d' "$tree/.gitignore"
		sed -i '${/^#$/d}' "$tree/.gitignore"
	fi
	# What is above this size goes into a pack, as it comes, instead of into one of 88000 files.
	sgit --work-tree="$tree" -c core.bigFileThreshold=1 -c core.compression=1 add -A -f
	commit=$(sgit commit-tree -m "$title" "$(sgit write-tree)")
	sgit tag -f "base/$name" "$commit" >/dev/null
	[ -n "${KSRC:-}" ] || sgit tag -f "$(source_tag)" "$commit" >/dev/null
}

# what_modules_need: patterns of git sparse-checkout. A host's tree only builds KVM's modules, which takes a quarter of the
# files, and all of Kconfig.
what_modules_need()
{
	printf '%s\n' '/*' '!/arch/*/' /arch/x86/ '!/Documentation/*' /Documentation/virt/ '!/drivers/*' '!/fs/*' '!/net/*' \
		'!/samples/*' '!/sound/*' 'Kconfig*'
}

# make_work_tree [DIR]: $ktree, on its branch at the base. DIR has the source's files already, and $part/index is theirs.
make_work_tree()
{
	local tree=$part/tree

	worktree prune
	worktree add -q --no-checkout -B "$name" "$tree" "$base"
	if [ $# -gt 0 ]; then
		mv "$part/index" "$(git -C "$tree" rev-parse --git-path index)"
		find "$1" -mindepth 1 -maxdepth 1 -exec mv -t "$tree" {} +
	fi
	[ -z "$host_kver" ] || [ -n "${KSRC:-}" ] || what_modules_need | git -C "$tree" sparse-checkout set --no-cone --stdin
	[ $# -gt 0 ] || git -C "$tree" read-tree -mu HEAD
	sgit config "kvm-exit-stats.$name.source" "${KSRC:-Debian}"
	worktree move "$tree" "$ktree"
}

# of_a_release: is a release's kernel wanted, e.g. 6.12+deb13, not just any?
of_a_release() { [[ -z $host_kver && $name == *+deb* ]]; }

# choose_version: sets version and kver, what to get. Fails if apt does not have it.
choose_version()
{
	# The machine's lists may have another release's.
	! of_a_release || [ ${#apt_options[@]} -gt 0 ] || return 1
	if [ -n "$host_kver" ]; then
		kver=$host_kver
		if [ -n "${KSRC:-}" ]; then
			version=$ksrc_version
			return
		fi
		version=$(dpkg-query -W -f '${Version}' "linux-headers-$kver" 2>/dev/null) ||
			die "$kver is not one of Debian's packages: give its source as KSRC=DIR"
		apt_cache madison "linux-source-$series" | awk -v version="$version" '$3 == version { found = 1 } END { exit !found }'
	elif [ -f "$build/kver" ]; then
		# Only the source is missing: it must be that of the stock kernel in use.
		kver=$(kver)
		version=$(dpkg-deb -f "$build/debs/linux-image-${kver}_"*.deb Version)
	else
		read -r version kver < <(find_kernel "$ksrc_version")
	fi
}

# choose_from_others: choose_version, from the releases of Debian that the machine does not have.
choose_from_others()
{
	local suite suites=()

	case $name in
	*+deb13) suites=(trixie) ;;
	*)	for suite in bookworm trixie trixie-backports; do
			grep -qx "VERSION_CODENAME=$suite" /etc/os-release || suites+=("$suite")
		done ;;
	esac
	log "looking for Linux ${host_kver:-$series} in Debian's ${suites[*]}"
	use_lists "$top/build/apt" deb "${suites[@]}" >"$build/lists.log" 2>&1 ||
		die "the lists of Debian's ${suites[*]} cannot be had: check the network; $build/lists.log has more"
	choose_version || { apt_options=(); return 1; }
}

# gone TEXT: leaves why in build/SERIES/unavailable, for the tests of other series to go on. Dies, or if no series was asked
# for, gets the next one.
gone()
{
	[ -z "$dry" ] || die "$@"
	echo "$*" >"$build/unavailable"
	if [ -n "${SERIES:-}" ] || [ -e "$top/build/$(default_series)/unavailable" ]; then
		die "$@"
	fi
	exec "$0"
}

# no_version: why choose_version failed, and the way out.
no_version()
{
	local offered

	[ -n "$host_kver" ] ||
		gone "neither apt nor Debian's other releases have linux-source-$series with a kernel of the same version: add" \
			"Debian's security archive to apt's sources, or take another of the series $(all_series)"
	offered=$(apt_cache madison "linux-source-$series" | awk '{ print $3 }' | paste -s -d ' ')
	die "$kver is of version $version, and apt offers linux-source-$series as ${offered:-nothing}: boot the kernel of" \
		"one of these versions, or give the source of this one as KSRC=DIR"
}

# source_tag: what marks the source of $version, for all kernels of that version. There is no ~ in a tag.
source_tag() { echo "source/${version//\~/_}"; }

# has_source: is the source of $version in the store, from another kernel's fetch?
has_source() { [ -d "$store" ] && sgit rev-parse -q --verify "refs/tags/$(source_tag)" >/dev/null; }

# image_packages: those with the stock kernel's files.
image_packages()
{
	local package

	for package in linux-{image,base,binary,modules}-"$kver"; do
		[ -z "$(apt_cache madison "$package")" ] || echo "$package"
	done
}

# list_wanted: the packages to download.
list_wanted()
{
	[ -n "$host_kver" ] || { image_packages; echo "linux-headers-$kver"; } | sed "s/\$/=$version/"
	[ -n "${KSRC:-}" ] || has_source || echo "linux-source-$series=$version"
}

one_at_a_time
[ -n "$host_kver${SERIES:-}" ] || [ "$series" = "$home" ] ||
	log "taking the series for Linux $series: $top/build/$home/unavailable says why not $home's; remove it to look again"
need_packages git xz-utils

ksrc_version=
if [ -n "${KSRC:-}" ]; then
	[ -f "$KSRC/arch/x86/kvm/Makefile" ] || die "KSRC=$KSRC is not a kernel tree"
	KSRC=$(cd "$KSRC" && pwd)
	ksrc_version=$(tree_version "$KSRC")
	case $ksrc_version in
	"$series".*) ;;
	*) die "KSRC=$KSRC is Linux $ksrc_version, and the series is for $series: give a $series tree" ;;
	esac
	[ -z "$host_kver" ] || [ "$ksrc_version" = "$(kernel_version)" ] ||
		die "KSRC=$KSRC is Linux $ksrc_version, and $host_kver is $(kernel_version): modules need the same version"
	if [ -d "$ktree" ] && [ "$(sgit config "kvm-exit-stats.$name.source")" != "$KSRC" ]; then
		die "$ktree is made from another source: 'make export' your work, remove it, then again"
	fi
	need_packages rsync make gcc libc6-dev
fi

if [ -d "$ktree" ] && [ -n "$host_kver" ]; then
	choose_version || :
	[ -n "${KSRC:-}" ] || [ "$(base_name)" = "Linux $(kernel_version), Debian linux-source-$series $version" ] ||
		die "$ktree is $(base_name), and $kver is of version $version: remove $build, then again"
	exit 0
fi
if [ -d "$ktree" ] && [ -f "$build/kver" ]; then
	offered=
	of_a_release || read -r offered _ < <(find_kernel "$ksrc_version") || :
	if [ -n "$offered" ] && [ ! -e "$(echo "$build/debs/linux-image-$(kver)_${offered}"_*.deb)" ]; then
		log "apt now offers $series as $offered; $(kver) stays in use (remove $build to fetch again)"
	fi
	exit 0
fi

rm -f "$build/unavailable"
# Measured when all is fetched and built: 4.4 GB in build/SERIES, the work tree of check included. For a host 2.3 GB while
# the source is unpacked, 0.8 GB afterwards.
if [ -n "$host_kver" ]; then need_disk 3; else need_disk 5; fi

if ! choose_version; then
	# The lists may be missing or old. A user who cannot renew them may still have some.
	[ -z "$dry" ] || no_version
	if ! of_a_release && { [ "$(id -u)" -eq 0 ] || [ -z "$(apt_cache search --names-only '^linux-source-')" ]; }; then
		update_apt
	fi
	choose_version || choose_from_others || no_version
fi
mapfile -t wanted < <(list_wanted)
plan ${wanted[0]:+"download ${wanted[*]}"} "unpack the source of Linux ${ksrc_version:-$version} as a git work tree: $ktree"

part=$build/fetch.part
rm -rf "$part"
mkdir -p "$part"
trap 'rm -rf "$part"' EXIT
[ -d "$store" ] || make_store

if [ ${#wanted[@]} -gt 0 ]; then
	log "downloading Linux $version (up to 310 MB)"
	if ! download "${wanted[@]}"; then
		[ ! -f "$build/kver" ] || die "apt cannot download $version any more: remove $build, then again"
		# The lists may be older than the archive: it keeps only the newest versions.
		update_apt
		choose_version || no_version
		mapfile -t wanted < <(list_wanted)
		download "${wanted[@]}" || die "could not download Linux $version: check the network, then run it again"
	fi
fi

stock=
if [ -z "$host_kver" ] && [ ! -f "$build/kver" ]; then
	{
		mapfile -t packages < <(image_packages)
		unpack_debs "$image" "${packages[@]}"
		unpack_debs "$headers" "linux-headers-$kver"
	} &
	stock=$!
fi
if [ ! -d "$ktree" ] && [ -z "${KSRC:-}" ] && has_source; then
	log "taking the source of Linux $version that is here"
	sgit tag -f "base/$name" "$(source_tag)" >/dev/null
	make_work_tree
elif [ ! -d "$ktree" ]; then
	log "unpacking the source of Linux ${ksrc_version:-$version}"
	if [ -n "${KSRC:-}" ]; then
		copy_own_source
	else
		unpack_debian_source
	fi
	import_source
	make_work_tree "$part/linux"
fi
if [ -n "$stock" ]; then
	wait $stock || exit 1
	echo "$kver" >"$build/kver.part"
	mv "$build/kver.part" "$build/kver"
fi
