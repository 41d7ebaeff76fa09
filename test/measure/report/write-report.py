#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints a page, reStructuredText that a person writes, with its tables filled from data.

Usage: write-report.py PAGE DIR. DIR has what write-data.py made, in a directory SERIES-LANE for each run.
In PAGE, a table stands between ".. data: 6.12-vmx/phases", or "summary", and ".. end". One without data in DIR stays.
"""
import csv
import pathlib
import re
import sys
import textwrap

STATES = "guest kvm vmm halted preempted blocked outside".split()
NUMBERS = "exits", "cycles", "user_exits", "user_cycles"
LANES = {"vmx": "kvm_intel in Bochs", "svm": "kvm_amd in QEMU"}


class Run:
    """The data of one series in one lane."""

    def __init__(self, path):
        self.name = path.name
        self.kernel = (path / "kernel").read_text(encoding="utf-8").strip()
        self.phases, self.counts, self.reasons = (
            read(path / f"{name}.csv") for name in ("phases", "counts", "reasons"))

    def of_phase(self, name):
        return [row for row in self.counts if row["phase"] == name]


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{**row, **{name: int(row[name]) for name in NUMBERS if name in row}} for row in csv.DictReader(file)]


def paragraph(text):
    return textwrap.wrap(text, 120)


def literal(lines):
    return ["::", "", *(f"    {line}".rstrip() for line in lines)]


def most_frequent(rows, number):
    """The first reasons with their shares: "HLT 40%, CPUID 20%"."""
    exits = sum(row["exits"] for row in rows)
    first = sorted(rows, key=lambda row: -row["exits"])[:number]
    return ", ".join(f"{row['name'] or row['reason']} {100 * row['exits'] / exits:.0f}%" for row in first)


def summary(runs):
    yield f"{'':10} {'boot: s':>8} {'exits':>7} {'exits/s':>8}  most frequent"
    for run in runs:
        boot = next(row for row in run.phases if row["phase"] == "boot")
        seconds, exits = float(boot["seconds"]), boot["exits"]
        yield f"{run.name:10} {seconds:8.1f} {exits:7} {exits / seconds:8.0f}  {most_frequent(run.of_phase('boot'), 4)}"


def phases(run):
    yield f"{'phase':14} {'seconds':>7} {'exits':>7} {'exits/s':>8} {'cycles/exit':>11}  most frequent"
    for row in run.phases:
        seconds, exits = float(row["seconds"]), row["exits"]
        yield (f"{row['phase']:14} {seconds:7.1f} {exits:7} {exits / seconds:8.0f} {row['cycles'] // exits:11}  "
               f"{most_frequent(run.of_phase(row['phase']), 3)}")


def states(run):
    yield f"{'phase':14} {'seconds':>7}" + "".join(f"{state:>10}" for state in STATES)
    for row in run.phases:
        yield f"{row['phase']:14} {float(row['seconds']):7.1f}" + "".join(f"{float(row[state]):9.1f}%" for state in STATES)


def by_reason(rows):
    """As exitstat does it."""
    total = {name: sum(row[name] for row in rows) for name in NUMBERS}
    exits, cycles = total["exits"], total["cycles"]
    yield (f"{'reason':>6}  {'name':20} {'exits':>9} {'exits%':>7} {'cycles':>12} {'cycles%':>7} {'cycles/exit':>11} "
           f"{'to-user':>8} {'cycles/user':>11}")
    for row in [*rows, {"reason": "total", "name": "", **total}]:
        user = row["user_cycles"] // row["user_exits"] if row["user_exits"] else "-"
        yield (f"{row['reason']:>6}  {row['name']:20} {row['exits']:9} {100 * row['exits'] / exits:7.2f} "
               f"{row['cycles']:12} {100 * row['cycles'] / cycles:7.2f} {row['cycles'] // row['exits']:11} "
               f"{row['user_exits']:8} {user:>11}")


def names(rows):
    """Reasons in the order of their numbers, in words. Neighbours without a name are a range."""
    parts, last = [], None
    for row in sorted(rows, key=lambda row: int(row["reason"], 0)):
        number = int(row["reason"], 0)
        if row["name"]:
            parts.append(f"{row['name']} ({row['reason']})")
        elif last == number - 1:
            parts[-1] = f"{parts[-1].split()[0]} to {row['reason']}"
        else:
            parts.append(row["reason"])
        last = None if row["name"] else number
    return ", ".join(parts) + "."


TABLES = {
    "kernel": lambda run: [f"{run.kernel}, {LANES[run.name.split('-')[1]]}"],
    "boot": lambda run: literal(by_reason(run.of_phase("boot"))),
    "phases": lambda run: literal(phases(run)),
    "states": lambda run: literal(states(run)),
    "reasons": lambda run: literal(by_reason([row for row in run.reasons if row["exits"]])),
    "never-seen": lambda run: paragraph(names(
        [row for row in run.reasons if row["enabled"] == "yes" and not row["exits"]])),
    "not-enabled": lambda run: paragraph(names(
        [row for row in run.reasons if row["enabled"] == "no" and row["defined"] == "yes"])),
}


def fill(match, runs):
    name, _, table = match[2].partition("/")
    if name == "summary":
        lines = literal(summary(runs.values())) if runs else None
    elif table not in TABLES:
        sys.exit(f"write-report.py: there is no table '{match[2]}'")
    else:
        lines = TABLES[table](runs[name]) if name in runs else None
    return match[0] if lines is None else "\n".join([match[1], "", *lines, "", match[3]])


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: write-report.py PAGE DIR")
    page, directory = map(pathlib.Path, sys.argv[1:])
    runs = {path.name: Run(path) for path in sorted(directory.glob("*-*"))}
    place = re.compile(r"^(\.\. data: (\S+))\n.*?^(\.\. end)$", re.M | re.S)
    print(place.sub(lambda match: fill(match, runs), page.read_text(encoding="utf-8")), end="")


main()
