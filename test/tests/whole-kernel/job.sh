#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In L1, a Debian that runs the whole patched kernel of "make kernel-deb": it says so, and an L2 reads its exits.
set -eu

# shellcheck source=test/lab/l1/lib.sh
. /lab/lib.sh
uname -r >/out/release
expect "uname -r shows the series" "release" "$(grep -c -- '^[0-9.]*-kvm-exit-stats$' /out/release)" -eq 1
modprobe "$(kvm_vendor)"
expect "its kvm is patched" "exit_stats" "$(cat /sys/module/kvm/parameters/exit_stats)" = Y
make -C /root/kvm-exit-stats status >/out/status
expect "status tells so" "lines" "$(grep -cx 'kvm  *patched' /out/status)" -eq 1
boot_l2
read_leaves
end_l2
