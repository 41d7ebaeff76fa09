#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what a VM-exit costs with exit_stats and, on Debian's own modules, with tracers that count exits. Writes
DIR/cost.csv and DIR/table.txt. Usage: LANE=... judge.py DIR
"""
import csv
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, on_svm, require, verdict

KINDS = "unpatched", "patched", "hist", "bpftrace", "perf"
TRACERS = KINDS[2:]
directory, svm = given_directory(), on_svm()
CPUID, CPUID_NAME = (0x72, "cpuid") if svm else (10, "CPUID")


def bench(kind):
    """The cost of each exit: {name: ticks}."""
    path = directory / f"bench-{kind}.csv"
    return {name: int(ticks) for name, ticks in (formats.match(r"([^,]*),[^,]*,(\d+)", line, path).groups()
                                                 for line in formats.lines(path))}


def hist():
    return formats.histogram(directory / "hist.txt", svm)[CPUID]


def check_hist():
    require(hist() > 0, "it counted none")


def check_bpftrace():
    exits = formats.bpftrace(directory / "bpftrace.txt").get(CPUID)
    require(exits == hist(), f"{exits}, not {hist()}")


def check_perf():
    row = formats.perf(directory / "perf.txt").get(CPUID_NAME)
    require(row and row.exits == hist(), f"{row and row.exits}, not {hist()}")


def check_cost(costs, name, tracer):
    missing = [kind for kind in KINDS if name not in costs[kind]]
    require(not missing, f"no cost with {', '.join(missing)}")
    ours, other = (costs[kind][name] - costs["unpatched"][name] for kind in ("patched", tracer))
    require(ours < other, f"{ours}, and {other}")


def write(costs, names):
    with open(directory / "cost.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("exit", *KINDS), *((name, *(costs[kind][name] for kind in KINDS))
                                                                             for name in names)])
    with open(directory / "table.txt", "w", encoding="utf-8") as file:
        file.write("{:<28} {:>10} {:>15} {:>15} {:>15} {:>15}\n".format("exit", *KINDS))
        for name in names:
            stock = costs["unpatched"][name]
            cells = (f"{costs[kind][name]:7} ({costs[kind][name] - stock:+5})" for kind in KINDS[1:])
            file.write(f"{name:<28} {stock:10} {' '.join(cells)}\n")


def judge_costs():
    costs = {kind: bench(kind) for kind in KINDS}
    for name in costs["unpatched"]:
        for tracer in TRACERS:
            verdict(f"{name}: ours costs less than {tracer}", check_cost, costs, name, tracer)
    write(costs, [name for name in costs["unpatched"] if all(name in costs[kind] for kind in KINDS)])


for each in KINDS:
    verdict(f"the guest loop ran: {each}", bench, each)
verdict("the histogram counted its CPUID exits", check_hist)
verdict("so did the BPF program", check_bpftrace)
verdict("so did perf kvm stat", check_perf)
attempt("the table of costs", judge_costs)
