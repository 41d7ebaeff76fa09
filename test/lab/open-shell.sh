#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A console in L1, with the patched KVM loaded, on this terminal. Its first lines say what to type there: "l2" boots L2 on
# the same terminal, and "exit" ends L2 and L1. Usage: [LANE=svm] make shell, which builds what it needs

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

[ -t 0 ] || die "this needs a terminal"
log "a console in L1, in half a minute"
exec "$top/test/lab/boot-l1.sh" -i
