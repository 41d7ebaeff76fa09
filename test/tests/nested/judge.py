#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what L1 counts of L2, and what L2 counts of L3, with the tracepoints and the leaves. DIR/l2 has L2's results,
as DIR has L1's; its verdicts are printed, too. Usage: LANE=... judge.py DIR
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import checks
import formats
import leaves
from verdicts import attempt, given_directory, on_svm, require, verdict


def pass_on(path):
    """Prints the verdicts of a job, at least one."""
    for line in formats.lines(path):
        require(line.startswith(("ok ", "not ok ", "skip ")), f"{path} has an odd line: {line}")
        print(line, flush=True)


l1, svm = given_directory(), on_svm()
l2 = l1 / "l2"
for when in "during", "after":
    verdict(f"sum of L2's slots is KVM's exits, {when} L3's run", checks.check_sum, l1, when)
    verdict(f"L1's debugfs agrees with the tracepoint, {when} L3's run", checks.check_hist, l1, when, svm)
for when in "before", "after":
    verdict(f"sum of L3's slots is KVM's exits, {when} the reads", checks.check_sum, l2, when)
    verdict(f"L2's debugfs agrees with the tracepoint, {when} the reads", checks.check_hist, l2, when, svm)
verdict("L2 counts what L1 reflects, reason by reason", checks.check_hist, l2, "reflected", svm)
verdict("cpuid in L3 reads what L2 logs", leaves.check, l2)
verdict("cpuid in L3 reads between the snapshots", checks.check_brackets, l2, svm)
attempt("L2's verdicts", pass_on, l2 / "verdicts")
