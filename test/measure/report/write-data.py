#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the data of a report from what job.sh left.

Usage: write-data.py RESULTS OUT. In OUT, as CSV with a line of names:
timeline.csv  a sample a line: time (when it ends) and its length in seconds, the exits and cycles, the exits of each
              reason that occurred, the most frequent first
states.csv    the same samples: of the vCPU's time, the percentage that it spent in each state
phases.csv    a phase a line: start, end and length in seconds, exits, cycles, and those percentages
counts.csv    the reasons of each phase: number, name, exits, cycles, exits that userspace completed, cycles that took
reasons.csv   all reasons that are defined or occurred: number, name, defined and enabled as exitstat -l tells, exits and
              cycles of all phases, exits that userspace completed, cycles that took
"""
import collections
import csv
import pathlib
import re
import sys

if len(sys.argv) != 3:
    sys.exit("usage: write-data.py RESULTS OUT")
results, out = map(pathlib.Path, sys.argv[1:])


STATES = "guest kvm vmm halted preempted blocked outside".split()
NUMBERS = "exits", "cycles", "user_exits", "user_cycles"


def write(name, header, rows):
    with open(out / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read(path):
    """exitstat's CSV, as a list of dicts. The last sample may have been interrupted between two lines."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{**row, "time": float(row["time"]), **{name: int(row[name] or 0) for name in NUMBERS}}
                for row in csv.DictReader(file) if row["state"] is not None]


def shares(cycles):
    """Of a dict of the states' cycles."""
    total = sum(cycles[state] for state in STATES)
    return [f"{100 * cycles[state] / total:.2f}" if total else "0" for state in STATES]


out.mkdir(parents=True)
samples, states = collections.defaultdict(list), collections.defaultdict(collections.Counter)
for row in read(results / "samples.csv"):
    when = row["time"], float(row["seconds"])
    if row["state"]:
        states[when][row["state"]] = row["cycles"]
    else:
        samples[when].append(row)
begin = min(time - seconds for time, seconds in samples)
write("states.csv", ["time", "seconds", *STATES],
      [(f"{time - begin:.3f}", f"{seconds:.3f}", *shares(cycles)) for (time, seconds), cycles in sorted(states.items())])

# The phases, from the difference to the counters at the end of the one before.
phases, counts = [], []
start, before = begin, {}
for path in sorted(results.glob("[0-9]*-*.csv"), key=lambda path: int(path.name.split("-")[0])):
    phase = path.stem.split("-", 1)[1]
    rows = read(path)
    end = rows[0]["time"]
    sums, spent = collections.Counter(), collections.Counter()
    for row in rows:
        key = row["reason"], row["name"], row["state"]
        now = [row[name] for name in NUMBERS]
        more = [a - b for a, b in zip(now, before.get(key, [0] * len(NUMBERS)))]
        before[key] = now
        if row["state"]:
            spent[row["state"]] = more[1]
            continue
        if more[0]:
            counts.append((phase, *key[:2], *more))
        sums.update(exits=more[0], cycles=more[1])
    phases.append((phase, f"{start - begin:.3f}", f"{end - begin:.3f}", f"{end - start:.3f}", sums["exits"], sums["cycles"],
                   *shares(spent)))
    start = end
before = {key[:2]: now for key, now in before.items() if not key[2]}
counts.sort(key=lambda row: (list(phase[0] for phase in phases).index(row[0]), -row[3]))
write("phases.csv", ["phase", "start", "end", "seconds", "exits", "cycles", *STATES], phases)
write("counts.csv", ["phase", "reason", "name", *NUMBERS], counts)

# What exitstat lists, ranges and all: the counters tell what occurred.
reasons = {}
for line in (results / "reasons.txt").read_text(encoding="utf-8").splitlines()[1:]:
    number, name, defined, enabled = re.match(r"\s*(\S+)\s+(.*?)\s+(yes|no)\s+(yes|no)\b", line).groups()
    if defined == "yes":
        reasons[number] = ["" if name == "-" else name, defined, enabled]
for (number, name), _ in before.items():
    reasons.setdefault(number, [name, "no", "no"])
rows = [(number, *row, *next((now for key, now in before.items() if key[0] == number), [0] * len(NUMBERS)))
        for number, row in reasons.items()]
rows.sort(key=lambda row: -row[4])
write("reasons.csv", ["reason", "name", "defined", "enabled", *NUMBERS], [row for row in rows
      if row[2] == "yes" or row[4]])

seen = [row for row in rows if row[4]]
table = []
for (time, seconds), rows in sorted(samples.items()):
    exits = {row["reason"]: row["exits"] for row in rows}
    table.append((f"{time - begin:.3f}", f"{seconds:.3f}", sum(exits.values()), sum(row["cycles"] for row in rows),
                  *(exits.get(row[0], 0) for row in seen)))
write("timeline.csv", ["time", "seconds", "exits", "cycles", *(row[1] or row[0] for row in seen)], table)
