#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what exit_stats, perf kvm stat, kvm_stat and bcc's kvmexit say of the same run of L2, and writes them side by
side into DIR/tools.txt. DIR/closing.txt has of which states perf's time consists. Usage: LANE=... judge.py DIR
"""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, on_svm, require, verdict

FORMAT = "{:<20} {:>10} {:>10} {:>10} {:>10} {:>14} {:>14}\n".format
CLOSING = "{:<20} {:>10} {:>10} {:>10} {:>10} {:>14}\n".format
WAITS = "halted", "preempted", "blocked"
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


def grown(which):
    """What has been added meanwhile to a dict of pairs, which() of a table: {key: (exits or times, ms)}."""
    khz = formats.number(directory / "tsc-khz")
    before, after = (which(formats.table(directory / f"{when}.stats")) for when in ("before", "after"))
    return {key: (exits - before.get(key, (0, 0))[0], (cycles - before.get(key, (0, 0))[1]) / khz)
            for key, (exits, cycles) in after.items()}


def closing():
    """{name: (exits that perf has seen, ms of perf, of KVM, of QEMU)}, and {state: ms} of waiting."""
    kvm = grown(lambda table: {row.name: (row.exits, row.cycles) for row in table.rows.values()})
    user = grown(lambda table: {table.rows[int(reason, 0)].name: pair for reason, pair in table.user.items()
                                if reason not in ("-", "total")})
    rows = {name: (row.exits, row.exits * float(row.us) / 1000, kvm.get(name, (0, 0))[1], user.get(name, (0, 0))[1])
            for name, row in formats.perf(directory / "perf.txt").items()}
    states = grown(lambda table: table.ledger)
    return rows, {state: states[state][1] for state in WAITS}


def left_over(rows, waits):
    """What the states leave of perf's time, and what they would if each exit left what a CPUID does: KVM handles that alone."""
    exits, *times = map(sum, zip(*rows.values()))
    cpuid = rows.get("cpuid" if svm else "CPUID")
    require(cpuid, "no exit by CPUID")
    return times[0] - times[1] - times[2] - sum(waits.values()), (cpuid[1] - cpuid[2] - cpuid[3]) / cpuid[0] * exits


def check_closing():
    rows, waits = closing()
    left, expected = left_over(rows, waits)
    perf_ms = sum(row[1] for row in rows.values())
    require(abs(left - expected) <= perf_ms / 10, f"{left:.1f} ms of {perf_ms:.1f} are left over, should be {expected:.1f}")


def write_closing():
    rows, waits = closing()
    total = tuple(map(sum, zip(*rows.values())))
    left, expected = left_over(rows, waits)
    with open(directory / "closing.txt", "w", encoding="utf-8") as file:
        file.write(CLOSING("reason", "exits", "perf ms", "kvm ms", "vmm ms", "the rest ms"))
        for name, (exits, perf_ms, kvm_ms, user_ms) in [*sorted(rows.items()), ("total", total)]:
            file.write(CLOSING(name, exits, *(f"{ms:.1f}" for ms in (perf_ms, kvm_ms, user_ms, perf_ms - kvm_ms - user_ms))))
        for name, ms in [*((state, -ms) for state, ms in waits.items()), ("left over", left), ("as cpuid's", expected)]:
            file.write(CLOSING(name, "", "", "", "", f"{ms:.1f}"))


# perf counts an exit when the guest is entered again, and before the pause ended the last one was not.
verdict("perf kvm stat counts the same exits, up to the last one", check_tool, perf, 1)
if not svm:		# for SVM's exits kvm_stat has names of its own
    verdict("kvm_stat counts the same exits", check_tool, lambda: formats.kvm_exits(kvm_stat()), 0)
verdict("kvm_stat counts as many exits", check_number)
verdict("perf's time is kvm, vmm, halted, preempted and blocked", check_closing)
attempt("the table of all tools", write_table)
attempt("the table of perf's time", write_closing)
