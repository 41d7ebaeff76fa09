# SPDX-License-Identifier: GPL-2.0
# The exits of a guest over time, from timeline.csv and phases.csv of write-data.py.
set terminal svg size 1200,800 font "sans-serif,13" background "white"
set datafile separator ","
set multiplot
set lmargin 10
set rmargin 28
set xlabel "seconds since the VM started"
set grid y
set key outside right top Left reverse noenhanced
stats "timeline.csv" using 1 skip 1 nooutput
end = STATS_max
stats "timeline.csv" using 3 skip 1 nooutput
all = STATS_sum
stats "timeline.csv" using ($3/$2) skip 1 nooutput
most = STATS_max
columns = words(system("head -n 1 timeline.csv | tr ' ,' '_ '"))
last = columns < 11 ? columns : 11	# those of seven reasons
set xrange [0:end]

set origin 0,0.62
set size 1,0.38
set title "VM-exits since the VM started"
set format y "%.0f"
set yrange [0:all*1.8]
plot "phases.csv" using 2:(0):(0):(all*1.8) skip 1 with vectors nohead lt rgb "#c0c0c0" notitle, \
	"phases.csv" using ($2+end/120):(all*1.03):1 skip 1 with labels left rotate by 90 font ",10" noenhanced notitle, \
	"timeline.csv" using 1:3 skip 1 smooth cumulative with lines lw 2 lt rgb "black" title "all"

set origin 0,0
set size 1,0.62
set title "VM-exits per second"
set logscale y
set yrange [1:most*1.5]	# 0 is at the bottom
plot "phases.csv" using 2:(1):(0):(most*1.5) skip 1 with vectors nohead lt rgb "#c0c0c0" notitle, \
	"timeline.csv" using 1:($3/$2) skip 1 with lines lw 2 lt rgb "black" title "all", \
	for [i=5:last] "timeline.csv" using 1:(column(i) > 0 ? column(i)/$2 : 1) with lines lt i-4 title columnheader(i)
