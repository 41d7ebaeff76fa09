#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what a CPUID exit costs 1 to 8 vCPUs with Debian's own modules and with ours, accounting off and on: in all of
DIR/*/runs.csv the least nanoseconds, and the most exits per second. Writes DIR/sum.csv, and DIR/table.txt below the line
DIR/title. Usage: judge.py DIR
"""
import csv
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, require, verdict

KINDS = "unpatched", "off", "on"
VCPUS = 1, 2, 4, 8
directory = given_directory()


def read_runs():
    """The least nanoseconds and the most exits per second: {(kind, vCPUs): number} each."""
    ns, rate = {}, {}
    for path in directory.glob("*/runs.csv"):
        for line in formats.lines(path):
            kind, *values = formats.match(r"(\w+),(\d+),(\d+),(\d+),(\d+)", line, path).groups()
            vcpus, each_ns, each_rate, _ = map(int, values)
            ns[kind, vcpus] = min(each_ns, ns.get((kind, vcpus), each_ns))
            rate[kind, vcpus] = max(each_rate, rate.get((kind, vcpus), 0))
    return ns, rate


def check_cost(ns, vcpus):
    """Other work on this machine moves the numbers by hundredths."""
    missing = [kind for kind in KINDS if not ns.get((kind, vcpus))]
    require(not missing, f"no run {', '.join(missing)}")
    unpatched, _, on = (ns[kind, vcpus] for kind in KINDS)
    require(on < 1.1 * unpatched, f"{unpatched} ns unpatched, {on} on")


def table(title, rows):
    yield title
    yield f"{'':5}  {'ns of a CPUID exit and back':<41}  exits per second of all vCPUs\n"
    yield f"{'vCPUs':>5}  {'unpatched':>9} {'off':>15} {'on':>15}  {'unpatched':>9} {'off':>9} {'on':>9}\n"
    for vcpus, stock, *others in rows:
        cells = (f"{ns} ({100 * ns / stock - 100:+.1f}%)" for ns in others[:2])
        yield f"{vcpus:5}  {stock:9} {next(cells):>15} {next(cells):>15}  {others[2]:9} {others[3]:9} {others[4]:9}\n"


def write(ns, rate):
    rows = [(vcpus, *(ns[kind, vcpus] for kind in KINDS), *(rate[kind, vcpus] for kind in KINDS)) for vcpus in VCPUS
            if all(ns.get((kind, vcpus)) for kind in KINDS)]
    with open(directory / "sum.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    (directory / "table.txt").write_text("".join(table(formats.read(directory / "title"), rows)), encoding="utf-8")


def judge():
    ns, rate = read_runs()
    for vcpus in VCPUS:
        verdict(f"{vcpus} vCPUs: accounting adds less than a tenth to an exit", check_cost, ns, vcpus)
    write(ns, rate)


attempt("the table of all runs", judge)
