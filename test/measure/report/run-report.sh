#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what VM-exits a guest takes from boot to reboot. For each series and lane, build/report/SERIES-LANE has the
# data (CSV) and the pictures (SVG); build/report/report.rst is Documentation/report/report.rst with their tables.
# Usage: make report, for all series and lanes; SERIES=... or LANE=... leaves the others out

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"

# Without one of both this runs itself, for one series and lane at a time.
if [ -z "${SERIES:-}" ] || [ -z "${LANE:-}" ]; then
	for series in ${SERIES:-$(all_series)}; do
		for lane in ${LANE:-svm vmx}; do
			SERIES=$series LANE=$lane "$0"
		done
	done
	exit
fi

log "report: Linux $series, $lane"
need_packages gnuplot-nox python3
make -s --no-print-directory -C "$top" lab exitstat
here=$top/test/measure/report
results=$build/report/$lane		# what job.sh leaves
report=$top/build/report
data=$report/$series-$lane
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for name in drivers/virtio/virtio{,_ring,_mmio} drivers/block/virtio_blk drivers/net/{virtio_net,net_failover,tun} \
	net/core/failover; do
	driver=$work/${name##*/}.ko
	# Not every kernel has all of them as modules.
	if xz -dcf "$(stock_module "$name")" >"$driver" 2>/dev/null; then
		strip --strip-debug "$driver"
	else
		rm "$driver"
	fi
done
emulator=(-b)
# Bochs's SVM does not survive an L2 with virtio.
[ "$lane" = vmx ] || emulator=()
rm -rf "$results" "$data"
"$top/test/lab/boot-l1.sh" "${emulator[@]}" -t 900 -o "$results" "$here/job.sh" "$top/build/exitstat" "$work"/*.ko

"$here/write-data.py" "$results" "$data"
echo "Linux $(kver)" >"$data/kernel"
for plot in timeline reasons states userspace; do
	(cd "$data" && gnuplot "$here/$plot.gnuplot" >$plot.svg)
done
"$here/write-report.py" "$top/Documentation/report/report.rst" "$report" >"$report/report.rst"
log "the report is build/report/report.rst"
