#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: runs the KVM selftest of the series. 4 is its own exit status for "cannot run here".
set -eu

# shellcheck source=test/l1/lib.sh
. /lab/lib.sh
progress "the selftest runs"
status=0
/job/exit_stats_test >/out/selftest.txt 2>&1 || status=$?
echo $status >/out/selftest-status
