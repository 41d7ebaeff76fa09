#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what exit_stats, perf kvm stat, kvm_stat and bcc's kvmexit say of the same run of L2, and writes them side by
side into DIR/tools.txt. Usage: LANE=... judge.py DIR
"""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, on_svm, require, verdict

FORMAT = "{:<20} {:>10} {:>10} {:>10} {:>10} {:>14} {:>14}\n".format
directory, svm = given_directory(), on_svm()


def exit_stats():
    """What it has counted meanwhile: {name: (exits, cycles)}."""
    exits, cycles = collections.Counter(), collections.Counter()
    for when, sign in ("before", -1), ("after", 1):
        for row in formats.table(directory / f"{when}.stats").rows.values():
            exits[row.name] += sign * row.exits
            cycles[row.name] += sign * row.cycles
    found = {name: (exits[name], cycles[name]) for name in exits if exits[name]}
    require(found, f"nothing was counted: see {directory}")
    return found


def perf():
    return {name: row.exits for name, row in formats.perf(directory / "perf.txt").items()}


def kvm_stat():
    return formats.kvm_stat(directory / "kvm_stat.csv")


def check_tool(exits_of, most):
    """A tool's counts of the reasons differ in so many exits at most."""
    exits, counted = {name: exits for name, (exits, _) in exit_stats().items()}, exits_of()
    pairs = {name: (counted.get(name, 0), exits.get(name, 0)) for name in sorted({*counted, *exits})}
    differences = sum(abs(is_ - should) for is_, should in pairs.values())
    require(differences <= most, f"{differences} exits differ, {most} may: " +
            ", ".join(f"{name} {is_}, not {should}" for name, (is_, should) in pairs.items() if is_ != should))


def check_number():
    sums, exits = kvm_stat(), sum(exits for exits, _ in exit_stats().values())
    require(sums["kvm_exit"] == exits, f"{sums['kvm_exit']}, not {exits}")


def write_table():
    khz, perf_rows = formats.number(directory / "tsc-khz"), formats.perf(directory / "perf.txt")
    stat_exits = formats.kvm_exits(kvm_stat())
    bcc_exits = {} if svm else formats.kvmexit(directory / "kvmexit.txt")
    with open(directory / "tools.txt", "w", encoding="utf-8") as file:
        file.write(FORMAT("reason", "exit_stats", "perf", "kvm_stat", "kvmexit", "exit_stats us", "perf us"))
        for name, (exits, cycles) in sorted(exit_stats().items()):
            seen = perf_rows.get(name, formats.Perf("-", "-"))
            file.write(FORMAT(name, exits, seen.exits, stat_exits.get(name, "-"), bcc_exits.get(name, "-"),
                              f"{cycles / exits * 1000 / khz:.2f}", seen.us))


# perf counts an exit when the guest is entered again, and before the pause ended the last one was not.
verdict("perf kvm stat counts the same exits, up to the last one", check_tool, perf, 1)
if not svm:		# for SVM's exits kvm_stat has names of its own
    verdict("kvm_stat counts the same exits", check_tool, lambda: formats.kvm_exits(kvm_stat()), 0)
verdict("kvm_stat counts as many exits", check_number)
attempt("the table of all tools", write_table)
