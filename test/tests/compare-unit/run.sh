#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The unit tests of what compares numbers, a verdict each. Usage: test/tests/compare-unit/run.sh
set -eu
exec "$(dirname "$0")/../../compare/run-unit-tests.py"
