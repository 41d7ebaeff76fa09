#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Breaks one rule of the series at a time, and demands that a test fails. A mutant is a file test/mutants/NAME.patch for
# the home series, with a head:
#	Rule: what it breaks, in a line
#	Lane: svm or vmx
#	Test: the tests of test/tests that must fail
# For each it applies the patch to the committed series, builds KVM's modules, and runs these tests with them, and if they
# pass, all tests of that lane that boot an initramfs. Prints a line for each: "killed NAME by TEST: VERDICT", "survived
# NAME", or "failed NAME: WHY", e.g. if it no longer applies; at last "N killed, N survived, N failed".
# Exit status 1 unless all were killed. Usage: [M="NAME..."] test/run-mutants.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

mutants=$top/test/mutants
out=$build/mutants
tree=$out/linux

# head_of PATCH KEY: what the patch's head says.
head_of() { sed -n "/^---/q; s/^$2: //p" "$1"; }

# build_mutant PATCH: its modules into $out/modules. Fails with why in a line.
build_mutant()
{
	local module

	git -C "$tree" checkout -q --force --detach "$branch"
	git -C "$tree" apply "$1" 2>"$out/log" || { echo "does not apply: $(head -n 1 "$out/log")"; return 1; }
	kmake -C "$tree" M="$tree/arch/x86/kvm" KCFLAGS=-g0 modules >"$out/log" 2>&1 || { echo "does not build: see $out/log"; return 1; }
	rm -rf "$out/modules"
	mkdir "$out/modules"
	for module in kvm kvm-intel kvm-amd; do
		cp "$tree/arch/x86/kvm/$module.ko" "$out/modules/"
	done
}

# run_tests LANE TEST...: prints the first failure, "TEST: VERDICT"; nothing if all passed.
run_tests()
{
	LANE=$1 SERIES=$series TEST=${*:2} MODULES=$out/modules "$top/test/run-tests.py" test >"$out/verdicts" 2>"$out/log" || :
	sed -n "/: it could not run/d; s/^not ok $series $1 //p" "$out/verdicts" | head -n 1
}

# lane_tests LANE: those of make test that can run there with other modules.
lane_tests()
{
	local needs name

	for needs in "$top"/test/tests/*/needs; do
		name=${needs%/needs}
		if grep -qx 'suite = test' "$needs" && grep -qx 'boot = initramfs' "$needs" &&
		   { ! grep -q '^lanes' "$needs" || grep -q "^lanes.*$1" "$needs"; }; then
			echo "${name##*/}"
		fi
	done
}

cd "$mutants"
names=(*.patch)
names=("${names[@]%.patch}")
for name in ${M:-}; do
	[ -e "$name.patch" ] || die "M=$name: there is only ${names[*]}"
done
[ -z "${M:-}" ] || read -ra names <<<"$M"

[ -e "$build/lab/l1.cpio" ] || die "the lab is not built: run 'make lab'"
need_packages git
mkdir -p "$out"
worktree prune
[ -e "$tree/.git" ] || worktree add -q --detach "$tree" "$branch"
git -C "$tree" checkout -q --force --detach "$branch"
log "preparing a tree for ${#names[@]} mutants"
prepare_tree "$tree"

killed=0 survived=0 failed=0
for name in "${names[@]}"; do
	patch=$mutants/$name.patch
	lane=$(head_of "$patch" Lane)
	read -ra tests <<<"$(head_of "$patch" Test)"
	log "$name: $(head_of "$patch" Rule)"
	if [ -z "$lane" ] || [ ${#tests[@]} -eq 0 ]; then
		why="its head lacks Lane or Test"
	elif why=$(build_mutant "$patch"); then
		verdict=$(run_tests "$lane" "${tests[@]}")
		if [ -z "$verdict" ]; then
			log "$name: not by ${tests[*]}; running all of $lane"
			# shellcheck disable=SC2046	# names
			verdict=$(run_tests "$lane" $(lane_tests "$lane"))
		fi
		if [ -n "$verdict" ]; then
			echo "killed $name by $verdict"
			killed=$((killed + 1))
		else
			echo "survived $name"
			survived=$((survived + 1))
		fi
		continue
	fi
	echo "failed $name: $why"
	failed=$((failed + 1))
done
echo "$killed killed, $survived survived, $failed failed"
[ $((survived + failed)) -eq 0 ]
