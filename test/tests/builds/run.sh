#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds KVM's modules after each patch, with W=1 and warnings as errors, in a work tree of its own, build/SERIES/check;
# and runs sparse. Logs are in DIR. Usage: [SERIES=...] run.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
logs=$1
tree=$build/check

# Debug information would double the time and hides no warning. 6.1's own kernel-doc comments have faults.
kvm_make() { KDOC_WERROR=0 kmake -C "$tree" M="$tree/arch/x86/kvm" W=1 KCFLAGS="-Werror -g0" "$@"; }

# build_commit COMMIT LOG
build_commit()
{
	{
		git -C "$tree" checkout -q --force --detach "$1" && kvm_make CONFIG_KVM_WERROR=y modules
	} >"$2" 2>&1 || { grep -m 1 -E 'error|warning' "$2" || tail -n 1 "$2"; return 1; }
}

# sparse_warnings COMMIT: sparse's findings on the files that the series touches, without line numbers and order. Debian's
# configuration may lack one, e.g. 6.1's has no Xen.
sparse_warnings()
{
	local objects

	find "$tree/arch/x86/kvm" -name '*.o' -delete
	build_commit "$1" "$logs/sparse-build.log" >&2 || return
	mapfile -t objects < <(sgit diff --name-only "$base" "$tip" -- 'arch/x86/kvm/*.c' | sed 's/c$/o/' |
		while read -r object; do [ ! -f "$tree/${object%o}c" ] || [ ! -f "$tree/$object" ] || echo "${object#arch/x86/kvm/}"; done)
	[ ${#objects[@]} -gt 0 ] || return 0
	kvm_make C=2 "${objects[@]}" >"$logs/sparse-output.log" 2>&1 || { cat "$logs/sparse-output.log"; return 1; }
	grep -E ':[0-9]+:[0-9]+: (warning|error):' "$logs/sparse-output.log" | sed -E 's/:[0-9]+:[0-9]+:/:/' | sort || true
}

sparse_adds_nothing() { ! comm -13 "$logs/sparse-base" "$logs/sparse-tip" | grep .; }

need_packages git
kmake_packages+=(sparse)
use_compiler
mkdir -p "$logs"
one_at_a_time
commits=$(commit_series "$patches")
tip=$(tail -n 1 <<<"$commits")
tip=${tip%% *}

log "preparing a work tree for the builds"
worktree prune
[ -e "$tree/.git" ] || { rm -rf "$tree"; worktree add -q --detach "$tree" "$base"; }
git -C "$tree" checkout -q --force --detach "$base"
prepare_tree "$tree"
log "sparse on the unpatched files"
sparse_warnings "$base" >"$logs/sparse-base" || die "sparse could not run: see $logs/sparse-base"
log "building the modules after each patch"
while read -r commit patch _; do
	verdict "build ${patch%.patch}" build_commit "$commit" "$logs/$patch.log"
done <<<"$commits"
if sparse_warnings "$tip" >"$logs/sparse-tip"; then
	verdict "sparse" sparse_adds_nothing
else
	not_ok "sparse" "see $logs/sparse-tip"
fi
