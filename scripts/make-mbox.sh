#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Writes the whole series, as it is applied in build/SERIES/linux, as mails with all of their files, for a list or for
# whoever has only git am: build/SERIES/series.mbox.
# Usage: make-mbox.sh [-n]

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

no_arguments "$@"
mbox=$build/series.mbox
plan "write the series as mails into $mbox"
demand_whole_branch

format_mails "$branch" >"$mbox.part"
mv "$mbox.part" "$mbox"
log "$(grep -c '^From [0-9a-f]\{40\} ' "$mbox") mails for ${mbox#"$top/"}: git am $mbox"
