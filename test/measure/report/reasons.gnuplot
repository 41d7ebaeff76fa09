# SPDX-License-Identifier: GPL-2.0
# Which reasons are frequent and which take the time, from reasons.csv of write-data.py.
set terminal svg size 1200,500 font "sans-serif,13" background "white"
set datafile separator ","
set style data histograms
set style histogram clustered gap 1
set style fill solid
set ylabel "% of all"
set grid y
set xtics rotate by -35 noenhanced
set rmargin 8
stats "reasons.csv" using 5 skip 1 nooutput
exits = STATS_sum
stats "reasons.csv" using 6 skip 1 nooutput
cycles = STATS_sum
set title "VM-exits, and cycles that KVM spent on them, by reason"
plot "reasons.csv" using (100.0*$5/exits):xtic(stringcolumn(2) eq "" ? stringcolumn(1) : stringcolumn(2)) skip 1 every ::0::11 title "exits", \
	"" using (100.0*$6/cycles) skip 1 every ::0::11 title "cycles"
