#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Breaks one rule of the series at a time, and demands that a test fails. A mutant is a file test/mutants/NAME.patch for
# the home series, with a head:
#	Rule: what it breaks, in a line
#	Lane: svm or vmx
#	Test: the tests of test/tests that must fail
#	Survives: why no test here can kill it, if so; then these are the nearest tests
# For each it applies the patch to the committed series, builds KVM's modules, and runs these tests with them, and if they
# pass, all tests of that lane that boot an initramfs. Prints a line for each: "killed NAME by TEST: VERDICT", "explained
# NAME: WHY" if it survives as its head says, "survived NAME", or "failed NAME: WHY", e.g. if it no longer applies; at last
# "N killed, N explained, N survived, N failed".
# Exit status 1 if any survived or failed. Usage: [M="NAME..."] test/run-mutants.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

mutants=$top/test/mutants
out=$build/mutants		# each lane has its folder there, with a work tree

# head_of PATCH KEY: what the patch's head says.
head_of() { sed -n "/^---/q; s/^$2: //p" "$1"; }

# build_mutant PATCH: its modules into $out/modules. If it cannot, why says so in a line.
build_mutant()
{
	local module

	git -C "$tree" checkout -q --force --detach "$branch"
	git -C "$tree" apply "$1" 2>"$out/log" || { why="does not apply: $(head -n 1 "$out/log")"; return 1; }
	kmake -C "$tree" M="$tree/arch/x86/kvm" KCFLAGS=-g0 modules >"$out/log" 2>&1 || { why="does not build: see $out/log"; return 1; }
	rm -rf "$out/modules"
	mkdir "$out/modules"
	for module in kvm kvm-intel kvm-amd; do
		cp "$tree/arch/x86/kvm/$module.ko" "$out/modules/"
	done
}

# run_tests TEST...: sets verdict to the first failure, "TEST: VERDICT"; to nothing if all passed. False if none ran.
run_tests()
{
	LANE=$lane SERIES=$series TEST=$* MODULES=$out/modules "$top/test/run-tests.py" test >"$out/verdicts" 2>"$out/log" || :
	verdict=$(sed -n "/: it could not run/d; s/^not ok $series $lane //p" "$out/verdicts" | head -n 1)
	grep -q '^[1-9][0-9]* passed' "$out/verdicts" || [ -n "$verdict" ]
}

# lane_tests: those of make test that can run there with other modules.
lane_tests()
{
	local needs name

	for needs in "$top"/test/tests/*/needs; do
		name=${needs%/needs}
		if grep -qx 'suite = test' "$needs" && grep -qx 'boot = initramfs' "$needs" &&
		   { ! grep -q '^lanes' "$needs" || grep -qE "^lanes =(.* )?($series-)?$lane( |$)" "$needs"; }; then
			echo "${name##*/}"
		fi
	done
}

# try_mutant NAME: prints its line.
try_mutant()
{
	local patch=$mutants/$1.patch tests survives verdict why

	survives=$(head_of "$patch" Survives)
	read -ra tests <<<"$(head_of "$patch" Test)"
	if ! build_mutant "$patch"; then
		echo "failed $1: $why"
		return
	fi
	run_tests "${tests[@]}" || { echo "failed $1: no test ran: see $out/log"; return; }
	if [ -z "$verdict" ] && [ -z "$survives" ]; then
		log "$lane: $1: not by ${tests[*]}; running all"
		# shellcheck disable=SC2046	# names
		run_tests $(lane_tests) || { echo "failed $1: no test ran: see $out/log"; return; }
	fi
	if [ -n "$verdict" ] && [ -n "$survives" ]; then
		echo "failed $1: its head says that it survives, and it is killed by $verdict"
	elif [ -n "$verdict" ]; then
		echo "killed $1 by $verdict"
	elif [ -n "$survives" ]; then
		echo "explained $1: $survives"
	else
		echo "survived $1"
	fi
}

# prepare_lane LANE: a work tree to build its mutants in.
prepare_lane()
{
	local tree=$out/$1/linux

	log "preparing a tree for the mutants of $1"
	mkdir -p "$out/$1"
	[ -e "$tree/.git" ] || worktree add -q --detach "$tree" "$branch"
	git -C "$tree" checkout -q --force --detach "$branch"
	prepare_tree "$tree"
}

# try_lane LANE NAME...: those of these mutants that run there.
try_lane()
{
	local lane=$1 name
	local out=$out/$lane
	local tree=$out/linux

	for name in "${@:2}"; do
		if [ "$(head_of "$mutants/$name.patch" Lane)" = "$lane" ]; then
			log "$lane: $name: $(head_of "$mutants/$name.patch" Rule)"
			try_mutant "$name"
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
for name in "${names[@]}"; do
	[[ $(head_of "$name.patch" Lane) =~ ^(svm|vmx)$ ]] || die "$name.patch: its head lacks the Lane, svm or vmx"
	[ -n "$(head_of "$name.patch" Test)" ] || die "$name.patch: its head lacks the Test"
done

[ -e "$build/lab/l1.cpio" ] || die "the lab is not built: run 'make lab'"
need_packages git
worktree prune
for lane in $(for name in "${names[@]}"; do head_of "$name.patch" Lane; done | sort -u); do
	prepare_lane "$lane"
done
# Side by side, as the lanes have nothing in common.
{
	try_lane svm "${names[@]}" &
	try_lane vmx "${names[@]}" &
	wait
} | tee "$out/results"
count() { grep -c "^$1 " "$out/results" || :; }
echo "$(count killed) killed, $(count explained) explained, $(count survived) survived, $(count failed) failed"
[ "$(count killed)$(count explained)" != 00 ] && [ "$(count survived)$(count failed)" = 00 ]
