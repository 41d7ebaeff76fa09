#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In L1: boots L2, in which the leaves are read.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
boot_l2
read_leaves
end_l2
