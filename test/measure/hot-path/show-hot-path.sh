#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Shows what the accounting executes at a VM-exit, hook by hook, as objdump has it from the modules of "make build": how
# many instructions with accounting on and off, and which cache lines it touches. Documentation/cost.rst quotes it.
# Usage: [SERIES=...] make hot-path

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

[ $# -eq 0 ] || die "usage: [SERIES=...] ${0##*/}"
need_packages binutils dwarves git python3
use_compiler
[ -e "$modules/origin" ] || die "no modules yet: run 'make build'"
one_at_a_time
kvm=$ktree/arch/x86/kvm
work=$(mktemp -d "$build/hot-path.XXXXXX")	# where a compiler in a Debian of its own sees it
trap 'rm -rf "$work"' EXIT

# compile SOURCE NAME: SOURCE into $work, as kbuild compiled NAME.c of KVM, but with DWARF, which the modules lack. It
# writes nothing into the kernel's tree.
compile()
{
	local object name=${1##*/} command made=$kvm/$2

	object=$work/${name%.c}.o
	made=${made%/*}/.${made##*/}.o.cmd
	command=$(sed -nE '1 { s/ -Wp,-MMD,[^ ]*//; s/^(saved)?cmd_[^ ]* := (.*) -c -o .*/\2/p }' "$made")
	[ -n "$command" ] || die "$made has no command that compiles"
	# Without ccache, which writes the paths of another tree into the object.
	"${in_debian[@]}" sh -c "cd $ktree && CCACHE_DISABLE=1 $command -I$kvm -g -gdwarf-4 -c -o $object $1"
}

log "compiling with debug information"
kgit show "$base:arch/x86/kvm/x86.c" >"$work/base.c"
compilers=()
for name in x86 vmx/vmx svm/svm; do
	compile "$kvm/$name.c" $name &
	compilers+=($!)
done
compile "$work/base.c" x86
for pid in "${compilers[@]}"; do
	wait "$pid"
done
sed '/^source/!d; s/^source *//' "$modules/origin"
"$top/test/measure/hot-path/hot-path.py" "$kvm" "$modules" "$work"
