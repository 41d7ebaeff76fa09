# SPDX-License-Identifier: GPL-2.0
# Where a vCPU's time goes while the guest does one thing after another, from states.csv and phases.csv of write-data.py.
set terminal svg size 1200,500 font "sans-serif,13" background "white"
set datafile separator ","
set lmargin 10
set rmargin 18
set xlabel "seconds since the VM started"
set ylabel "% of the vCPU's time"
set key outside right top Left reverse invert noenhanced
set style fill solid noborder
set title "Where the time of a guest's vCPU goes"
stats "states.csv" using 1 skip 1 nooutput
set xrange [0:STATS_max]
set yrange [0:130]
set ytics 0,20,100
# As columns 3 to 9: guest, kvm, vmm, halted, preempted, blocked, outside
array colours[9] = ["", "", "#59a14f", "#e15759", "#f28e2b", "#d3e4f1", "#4e79a7", "#b07aa1", "#eeeeee"]
plot for [i=9:3:-1] "states.csv" using 1:(sum [j=3:i] column(j)) with filledcurves y1=0 lc rgb colours[i] title columnheader(i), \
	"phases.csv" using 2:(0):(0):(130) skip 1 with vectors nohead lt rgb "#808080" notitle, \
	"phases.csv" using ($2+STATS_max/120):(102):1 skip 1 with labels left rotate by 90 font ",10" noenhanced notitle
