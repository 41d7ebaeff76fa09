#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs the Debian packages that are missing. Usage: need-packages.sh [-n] PACKAGE...

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_packages "$@"
