#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what VM-exits a guest takes from boot to reboot, for every series and lane, one after the other, and writes
# the report on it: build/report/report.rst, with pictures (SVG) and the data (CSV) in a directory for each. A copy is kept
# in Documentation/report.
# Usage: make report; KSERIES=... or LANE=... leaves the others out

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

report=$top/build/report
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure SERIES LANE: what test/jobs/report.sh leaves, in build/SERIES/report/LANE; the rest in build/report/SERIES-LANE.
measure()
{
	local name drivers=() emulator=

	export KSERIES=$1 LANE=$2
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"		# again, for this series
	log "report: Linux $kseries, $lane"
	make -s --no-print-directory -C "$top" lab exitstat
	mkdir "$work/$1-$2"
	for name in drivers/{virtio/virtio{,_ring,_mmio},block/virtio_blk,net/{virtio_net,net_failover,tun}} net/core/failover; do
		drivers+=("$work/$1-$2/${name##*/}.ko")
		# Not every kernel has all of them as modules.
		if ! xz -dcf "$(stock_module "$name")" >"${drivers[-1]}" 2>/dev/null; then
			rm "${drivers[-1]}"
			unset 'drivers[-1]'
		else
			strip --strip-debug "${drivers[-1]}"
		fi
	done
	# Bochs's SVM does not survive an L2 with virtio.
	[ "$lane" = svm ] || emulator=-b
	rm -rf "$build/report/$lane"
	"$top/test/run-l1.sh" ${emulator:+"$emulator"} -t 900 -o "$build/report/$lane" "$top/test/jobs/report.sh" "$build/exitstat/exitstat" "${drivers[@]}"
	"$top/test/report/write-data.py" "$build/report/$lane" "$report/$kseries-$lane"
	echo "Linux $(kver)" >"$report/$kseries-$lane/kernel"
	(cd "$report/$kseries-$lane" && for plot in timeline reasons; do gnuplot "$top/test/report/$plot.gnuplot" >"$plot.svg"; done)
}

need_packages gnuplot-nox python3
rm -rf "$report"
mkdir -p "$report"
for series in ${KSERIES:-$(cd "$top/patches" && echo *)}; do
	for lane in ${LANE:-svm vmx}; do
		(measure "$series" "$lane")
	done
done
"$top/test/report/write-report.py" "$report"
log "the report is in build/report: report.rst"
