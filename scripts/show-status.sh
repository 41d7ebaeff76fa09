#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tells which KVM runs, what is installed for the kernel, of which series, and the parameters. Changes nothing.
# Usage: [KVER=...] show-status.sh [-n]

# shellcheck source=scripts/lib-host.sh
. "$(dirname "$0")/lib-host.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

row() { printf '%-12s %s\n' "$1" "$2"; }

# describe_running MODULE
describe_running()
{
	local srcversion

	srcversion=$(cat "/sys/module/$1/srcversion" 2>/dev/null) || srcversion=
	if ! is_loaded "$1"; then
		echo "not loaded"
	elif runs_installed "$1"; then
		echo "patched, the installed one (srcversion $srcversion)"
	elif is_patched && [ -d "$installed" ]; then
		echo "patched, not the installed one (srcversion $srcversion): 'make reload' takes that"
	elif is_patched; then
		echo "patched"
	else
		echo "the distribution's"
	fi
}

row kernel "$host_kver$(is_running && echo ', running' || echo ', not running')"
row series "$series: $(series_patches "$patches" | wc -l) patches, made on $(sed -n '1s/^# //p' "$patches/series")"
if [ -f "$installed/record" ]; then
	row installed "$installed"
	grep -v '\.ko$' "$installed/record" | while IFS= read -r line; do row '' "$line"; done
	(cd "$installed" && grep '\.ko$' record | sha256sum --quiet -c - >/dev/null 2>&1) ||
		row '' "its files are not those that were installed: run 'make install' again"
else
	row installed nothing
fi
is_running || exit 0
vendor=$( (vendor_module) 2>/dev/null) || vendor=
for module in kvm $vendor; do
	row "$module" "$(describe_running "$module")"
done
if is_loaded kvm; then
	! is_patched || row accounting "$(list_parameters "$vendor" | sed -n 's/^kvm\.\(exit_stats.*\)/\1/p' | paste -s -d ' ')"
	name=parameters
	for module in kvm $vendor; do
		list_parameters "$vendor" | sed -n "/^kvm\.exit_stats/d; s/^$module\.//p" | paste -s -d ' ' | sed "s/^/$module: /" | fold -s -w 100
	done | while IFS= read -r line; do
		row "$name" "${line% }"
		name=
	done
fi
describe_processes | while IFS= read -r line; do row 'in use by' "$line"; done
