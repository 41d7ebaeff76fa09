#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the TAP of the selftests, NAME.txt, and their exit status, NAME.status. Each test is one; that a selftest ends
well is one more. Usage: SERIES=... judge.py DIR
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, not_ok, ok, require, skip, verdict

CANNOT_RUN = 4				# of the KVM selftests
SILENT = ("6.1", "statistics")		# says nothing when all is well


def judge_test(selftest, test, path):
    name = f"({selftest}) {test.name}".strip()
    if not test.passed:
        not_ok(name, f"see {path}")
    elif test.skipped is not None:
        skip(name, test.skipped)
    else:
        ok(name)


def check_end(selftest, path, tap, status):
    require(status == 0, f"exit status {status}: see {path}")
    require(tap.tests or (os.environ.get("SERIES"), selftest) == SILENT, f"no test: see {path}")
    require(tap.plan in (None, len(tap.tests)), f"{len(tap.tests)} of {tap.plan} tests: see {path}")


def judge(selftest, path, status_path):
    tap, status = formats.tap(path), formats.number(status_path)
    for test in tap.tests:
        judge_test(selftest, test, path)
    if status == CANNOT_RUN:
        skip(f"({selftest}) ends", f"it cannot run here: {formats.lines(path)[-1]}")
    else:
        verdict(f"({selftest}) ends", check_end, selftest, path, tap, status)


def judge_all(directory):
    found = sorted(directory.glob("*.status"))
    require(found, f"there is no status of one in {directory}")
    for path in found:
        attempt(f"({path.stem}) ends", judge, path.stem, path.with_suffix(".txt"), path)


attempt("the selftests ran", judge_all, given_directory())
