#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what the leaves, debugfs and the tracepoint say about one L2. Usage: LANE=... judge.py DIR"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import checks
import leaves
from verdicts import given_directory, on_svm, verdict

directory, svm = given_directory(), on_svm()
verdict("cpuid in L2 reads what L1 logs", leaves.check, directory)
for when in "before", "after":
    verdict(f"sum of the slots is KVM's exits, {when} the reads", checks.check_sum, directory, when)
    verdict(f"debugfs' cycles/exit is what it says, {when} the reads", checks.check_means, directory, when)
    verdict(f"debugfs agrees with the tracepoint, {when} the reads", checks.check_hist, directory, when, svm)
verdict("cpuid in L2 reads between the snapshots", checks.check_brackets, directory, svm)
