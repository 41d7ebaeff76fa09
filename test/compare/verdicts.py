# SPDX-License-Identifier: GPL-2.0
"""Prints verdicts, a line each, which the runner counts, and tells a judge what the runner gave it."""
import os
import pathlib
import sys
import traceback


class Wrong(Exception):
    """Why a check fails."""


def require(holds, why):
    """Fails the check with WHY unless it HOLDS."""
    if not holds:
        raise Wrong(why)


def line(text):
    """TEXT as one line."""
    return " ".join(str(text).split())


def ok(name):
    print(f"ok {name}", flush=True)


def not_ok(name, why):
    print(f"not ok {name}: {line(why)}", flush=True)


def skip(name, why):
    print(f"skip {name}: {line(why)}", flush=True)


def attempt(name, check, *args):
    """Fails NAME when CHECK raises anything, and says nothing else. Returns whether it passed."""
    try:
        check(*args)
    except (Wrong, OSError) as why:
        not_ok(name, why)
        return False
    except Exception as error:		# a judge's own fault is a failure, too, and no silence
        traceback.print_exc()
        not_ok(name, f"{type(error).__name__}: {error}")
        return False
    return True


def verdict(name, check, *args):
    """Passes NAME when CHECK raises nothing, fails it otherwise."""
    if attempt(name, check, *args):
        ok(name)


def die(text):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


def given_directory():
    """The job's results, the only argument."""
    if len(sys.argv) != 2:
        die("usage: give the directory with the job's results, and nothing else")
    return pathlib.Path(sys.argv[1])


def on_svm():
    """Whether the lane is svm; it is vmx or svm."""
    lane = os.environ.get("LANE")
    if lane not in ("vmx", "svm"):
        die(f"LANE={lane}: set it to vmx or svm")
    return lane == "svm"
