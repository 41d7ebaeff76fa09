# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# A stand-in with what exitstat's unit tests use of the verdicts' library: to be replaced in the merge.

ok() { echo "ok $1"; }
not_ok() { echo "not ok $1: $2"; }

# verdict NAME COMMAND...: passes when COMMAND does; the end of its output says why it does not.
verdict()
{
	# shellcheck disable=SC3043	# dash and bash have local
	local name="$1" output

	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "$(printf '%s\n' "$output" | tail -n 1)"
	fi
}
