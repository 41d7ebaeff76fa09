# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Packages of Debian's releases that the machine's own apt need not list: sourced after lib.sh. /etc/apt stays as it is.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt_options=()		# which lists apt_cache and apt_get "${apt_options[@]}" take: the machine's, or those of use_lists

# debian_mirrors: those of Debian's releases that the machine's lists come from.
debian_mirrors()
{
	apt-get indextargets --format '$(ORIGIN),$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian,Debian //p' | sort -u
}

# debian_sources TYPE SUITE...: lines of a sources.list, for the component main.
debian_sources()
{
	local type=$1 mirror suite

	shift
	for mirror in $(debian_mirrors); do
		for suite; do
			echo "$type [signed-by=$keyring] $mirror $suite main"
		done
	done
}

# use_lists DIR TYPE SUITE...: from now on take these suites' packages (TYPE deb) or sources (deb-src), and no others. Their
# lists come into DIR, anew if they are older than an hour.
use_lists()
{
	local dir=$1

	shift
	need_packages debian-archive-keyring
	[ -n "$(debian_mirrors)" ] || apt_get update || return
	mkdir -p "$dir"/{lists,cache}
	debian_sources "$@" >"$dir/sources.new"
	apt_options=(-o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root
		-o APT::Update::Error-Mode=any)
	if cmp -s "$dir/sources.new" "$dir/sources.list" && [ -n "$(find "$dir/updated" -mmin -60 2>/dev/null)" ]; then
		return
	fi
	rm -f "$dir/updated"
	mv "$dir/sources.new" "$dir/sources.list"
	apt_get "${apt_options[@]}" update && touch "$dir/updated"
}

# apt_cache ARG...
apt_cache() { apt-cache "${apt_options[@]}" "$@"; }
