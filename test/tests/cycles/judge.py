#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares the cycles that KVM charged to each exit reason with those that tracing saw from kvm_exit to the end of the
handler, which lies within. Usage: judge.py DIR
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import given_directory, require, verdict

directory = given_directory()


def grown():
    """What each reason got between the two tables, by name."""
    before, after = (formats.table(directory / f"{when}.stats").rows for when in ("before", "after"))
    return {row.name: (row.exits - before[reason].exits, row.cycles - before[reason].cycles) if reason in before
            else (row.exits, row.cycles) for reason, row in after.items()}


def check_cycles():
    charged, traced = grown(), formats.traced(directory / "traced.txt")
    for name, seen in traced.items():
        require(name in charged, f"{name}: traced {seen.exits} exits, none is in debugfs")
        exits, cycles = charged[name]
        require(exits >= seen.exits, f"{name}: {exits} exits, traced {seen.exits}")
        # If the thread is scheduled out, tracing leaves it earlier than KVM does, and returns to it later.
        require(cycles >= seen.cycles, f"{name}: {cycles} cycles in {exits} exits, traced {seen.cycles} in {seen.exits}")


def check_power():
    """The comparison is worth something only where many exits were traced, and of several reasons."""
    traced = formats.traced(directory / "traced.txt")
    often = [name for name, seen in traced.items() if seen.exits >= 50]
    require(len(often) >= 4, f"only {', '.join(often) or 'nothing'} was traced 50 times")


verdict("each reason has at least the cycles that tracing saw", check_cycles)
verdict("many exits were traced", check_power)
