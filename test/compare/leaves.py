#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what cpuid printed in a guest (DIR/leaves.txt) with what its host's kernel logged of it
(DIR/leaves-log.txt), value by value, and writes DIR/exits.csv and DIR/totals (exits, cycles). The numbers and names are
as the kernel writes them. Usage: test/compare/leaves.py DIR
"""
import csv

import formats
from verdicts import Wrong, die, given_directory, require


def same_values(directory, read, log):
    """Each value that was read is the one that was logged."""
    for (subject, unit), value in read.values.items():
        was = log.values.get((subject, unit))
        reason = log.numbers.get(subject, subject)
        require(was is not None, f"L1 logged no line for the {unit} of reason {reason}: see {directory}/leaves-log.txt")
        require(was == value, f"reason {reason}: L2 read {value} {unit}, L1 logged {was}: see {directory}")


def complete(directory, read, reasons):
    """Both values of all announced reasons were read, and the totals."""
    path = directory / "leaves.txt"
    require(len(reasons) == read.announced, f"L2 read {len(reasons)} of {read.announced} announced reasons: see {path}")
    for reason in reasons:
        require((reason, "cycles") in read.values, f"L2 read no cycles of reason {reason}: see {path}")
    for unit in "exits", "cycles":
        require(("all", unit) in read.values, f"L2 read no total of the {unit}: see {path}")
    total, exits = read.values["all", "exits"], sum(read.values[reason, "exits"] for reason in reasons)
    require(total >= exits, f"the total of all exits, {total}, is less than their sum, {exits}: see {path}")


def same_names(directory, read, log, reasons):
    """What L1 names "undefined" is what L2 was told is not defined."""
    for reason in reasons:
        require((log.names[reason] == "undefined") == (reason in read.undefined),
                f"reason {log.numbers[reason]}: L1 logged the name {log.names[reason]}: see {directory}/leaves-log.txt")


def write(directory, read, log, reasons):
    rows = [(log.numbers[reason], log.names[reason], read.values[reason, "exits"], read.values[reason, "cycles"])
            for reason in reasons if reason not in read.undefined]
    with open(directory / "exits.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("reason", "name", "exits", "cycles"), *rows])
    totals = f"{read.values['all', 'exits']} {read.values['all', 'cycles']}\n"
    (directory / "totals").write_text(totals, encoding="utf-8")


def check(directory):
    log = formats.logged(directory / "leaves-log.txt")
    read = formats.leaves(directory / "leaves.txt")
    reasons = [subject for subject, unit in read.values if unit == "exits" and subject != "all"]
    same_values(directory, read, log)
    complete(directory, read, reasons)
    same_names(directory, read, log, reasons)
    write(directory, read, log, reasons)


if __name__ == "__main__":
    try:
        check(given_directory())
    except (Wrong, OSError) as error:
        die(error)
