#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Looks for what a kernel in trouble logs. Exit status 0: none in any FILE; 1: some, which are printed, or a
# FILE that is empty or missing, because that is no clean log. Usage: test/lab/scan-splats.sh FILE...

set -euo pipefail

[ $# -ge 1 ] || { echo "usage: ${0##*/} FILE..." >&2; exit 1; }

splats='WARNING: |BUG: |BUG at |kernel BUG|Oops|Kernel panic|Call Trace:|cut here|general protection'
splats+='|unable to handle|divide error|invalid opcode|stack segment:|double fault|traps: .* trap'
splats+='|lockdep|possible (circular|recursive) locking|suspicious RCU usage|inconsistent lock state'
splats+='|sleeping function called|scheduling while atomic|bad unlock balance|held lock freed'
splats+='|KASAN|KCSAN|KMSAN|KFENCE|UBSAN|refcount_t:|list_(add|del) corruption|ODEBUG'
splats+='|soft lockup|hard LOCKUP|Hard LOCKUP|blocked for more than|rcu: INFO|rcu_sched.*stall|self-detected stall'
splats+='|unchecked MSR access|Unhandled|Out of memory:|segfault at|Bad page (state|map)|nobody cared'

status=0
for file in "$@"; do
	if [ ! -s "$file" ]; then
		echo "$file: missing or empty: not a log"
		status=1
	elif grep -aHnE "$splats" "$file"; then
		status=1
	fi
done
exit $status
