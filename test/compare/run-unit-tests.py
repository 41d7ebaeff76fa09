#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the unit tests beside this, and prints a verdict for each. Exit status 1 if any failed.

Usage: test/compare/run-unit-tests.py
"""
import pathlib
import sys
import unittest

import verdicts


def name(test):
    """Of a test method: "compare: FILE: CLASS: METHOD"."""
    words = [word.removeprefix("test_").removesuffix("Test") for word in test.id().split(" (")[0].split(".")]
    return "compare: " + ": ".join(words).replace("_", " ").lower()


class Verdicts(unittest.TestResult):
    """Prints what became of each test method, and on stderr why it failed."""

    def addSuccess(self, test):
        verdicts.ok(name(test))

    def addError(self, test, err):
        super().addError(test, err)
        print(self.errors[-1][1], file=sys.stderr)
        verdicts.not_ok(name(test), "".join(f"{err[0].__name__}: {err[1]}".splitlines()[:1]))

    def addFailure(self, test, err):
        self.addError(test, err)

    def addSkip(self, test, reason):
        verdicts.skip(name(test), reason)

    def addSubTest(self, test, subtest, err):
        if err:
            self.addError(subtest, err)


tests = unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent))
result = Verdicts()
tests.run(result)
if not result.testsRun:
    verdicts.not_ok("compare: the tests", "there are none")
sys.exit(bool(result.errors) or not result.testsRun)
