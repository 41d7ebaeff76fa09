#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the README's commands in a Debian 13 that has git and make, as a new user would: make demo in both lanes, and one test
# of each group and boot on the home series. Leaves the logs in DIR. Usage: run.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

out=$1
clone=$top/build/debian-13		# its scripts install that Debian, away from the one in which modules are built here
user_clone=/root/kvm-exit-stats		# the user's, in there

# in_debian COMMAND...: in the user's clone.
in_debian() { "$clone/scripts/run-in-debian.sh" trixie sh -euc 'cd "$0" && exec "$@"' "$user_clone" "$@"; }

install_debian()
{
	rm -rf "$clone"
	git clone -q "$top" "$clone" &&
		"$clone/scripts/make-debian.sh" trixie git make &&
		root=$clone/build/debian/trixie/root &&
		# As installed from a medium: backports come only if the scripts get them.
		sed -i '/trixie-backports/d' "$root"/etc/apt/sources.list.d/*.list &&
		git clone -q "$top" "$root$user_clone"
}

# demo LANE: with L2's exits at its end.
demo() { in_debian make demo LANE="$1" >"$out/demo-$1.log" 2>&1 && grep -q '^ *all  (0x4FFFFFFF, E)' "$out/demo-$1.log"; }

# run_tests NAME...: none fails, and some pass.
run_tests()
{
	in_debian make test SERIES="$home" TEST="$*" >"$out/tests.log" 2>&1 || :
	tail -n 1 "$out/tests.log"
	grep -q '^[1-9][0-9]* passed, 0 failed, ' "$out/tests.log"
}

need_packages git
need_disk 15
verdict "a Debian 13 with git and make" install_debian
for lane in vmx svm; do
	verdict "make demo in a fresh clone, $lane" demo $lane
done
verdict "make test of one test of each kind" run_tests counters exitstat host tools patches exitstat-unit
