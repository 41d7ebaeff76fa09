#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What "make hot-path" shows of the built modules has each hook of the series, once. It looks at both vendors' modules,
# and refuses a tree in which an exit does not pass one begin and one end. What it shows is in DIR. Usage: run.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

[ $# -eq 1 ] || die "usage: ${0##*/} DIR"
out=$1
kvm=$ktree/arch/x86/kvm

# call_sites HOOKS FILE...: the lines of the FILEs that call a hook, without their indentation.
call_sites() { sed -nE "s/^\s+(.*\b($1)\(.*)/\1/p" "${@:2}" | sort; }

# compare_hooks: says which call in the source the tool has not shown, or more than once.
compare_hooks()
{
	local hooks

	hooks=$(sed -nE 's/^static __always_inline .*\b(kvm_exit_(stats_\w+|tsc))\(.*/\1/p' "$kvm/exit_stats.h" | paste -sd '|')
	call_sites "$hooks" "$kvm"/{x86,vmx/vmx,svm/svm}.c >"$out/source"
	call_sites "$hooks" "$out/shown" >"$out/found"
	[ -s "$out/source" ] || { echo "there is no hook in $kvm"; return 1; }
	diff "$out/source" "$out/found" | grep '^[<>]'
	cmp -s "$out/source" "$out/found"
}

show() { "$top/test/measure/hot-path/show-hot-path.sh" >"$out/shown"; }

verdict "the modules' hooks are shown" show
verdict "each hook of the series is shown once" compare_hooks
