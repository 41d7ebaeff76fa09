# SPDX-License-Identifier: GPL-2.0
# What of each reason's time KVM spent, and what userspace spent completing the exits, from reasons.csv of write-data.py.
set terminal svg size 1200,500 font "sans-serif,13" background "white"
set datafile separator ","
set style data histograms
set style histogram rowstacked
set style fill solid
set boxwidth 0.7
set ylabel "% of all of both"
set grid y
set xtics rotate by -35 noenhanced
set rmargin 8
stats "reasons.csv" using ($6+$8) skip 1 nooutput
all = STATS_sum
set title "Time in KVM and in userspace, by the reason of the VM-exit"
plot "reasons.csv" using (100.0*$6/all):xtic(stringcolumn(2) eq "" ? stringcolumn(1) : stringcolumn(2)) skip 1 every ::0::11 title "KVM" lc rgb "#e15759", \
	"" using (100.0*$8/all) skip 1 every ::0::11 title "userspace" lc rgb "#f28e2b"
