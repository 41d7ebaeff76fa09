# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# How a test speaks, on L0 and in L1: a line on stdout for each verdict. test/run-tests.py counts them. Sourced, never run.

ok() { printf 'ok %s\n' "$1"; }
not_ok() { printf 'not ok %s: %s\n' "$1" "$2"; }
skip() { printf 'skip %s: %s\n' "$1" "$2"; }

# verdict NAME COMMAND...: passes when COMMAND does; the last line that it prints says why it does not.
verdict()
{
	local name="$1" why

	shift
	if why=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "$(printf '%s\n' "$why" | tail -n 1)"
	fi
}

# expect NAME WHAT TEST_ARGS...: passes when test(1) does; WHAT says what TEST_ARGS compare.
expect()
{
	local name="$1" what="$2"

	shift 2
	if [ "$@" ]; then
		ok "$name"
	else
		not_ok "$name" "$what ($*)"
	fi
}
