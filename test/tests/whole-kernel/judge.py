#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what L2 read with what the whole patched kernel logged. Usage: judge.py DIR"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import leaves
from verdicts import given_directory, verdict

verdict("cpuid in L2 reads what L1 logs", leaves.check, given_directory())
