#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the data of a report from what job.sh left.

Usage: write-data.py RESULTS OUT. In OUT, as CSV with a line of names:
timeline.csv  a sample a line: time (when it ends) and its length in seconds, the exits and cycles, the exits of each
              reason that occurred, the most frequent first
phases.csv    a phase a line: start, end and length in seconds, exits, cycles
counts.csv    the reasons of each phase: number, name, exits, cycles
reasons.csv   all reasons that are defined or occurred: number, name, defined and enabled as exitstat -l tells, exits and
              cycles of all phases
"""
import collections
import csv
import pathlib
import re
import sys

if len(sys.argv) != 3:
    sys.exit("usage: write-data.py RESULTS OUT")
results, out = map(pathlib.Path, sys.argv[1:])


def write(name, header, rows):
    with open(out / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read(path):
    """exitstat's CSV, as a list of dicts. The last sample may have been interrupted between two lines."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{**row, "time": float(row["time"]), "exits": int(row["exits"]), "cycles": int(row["cycles"])}
                for row in csv.DictReader(file) if row["ns"]]


out.mkdir(parents=True)
samples = collections.defaultdict(list)
for row in read(results / "samples.csv"):
    samples[row["time"], float(row["seconds"])].append(row)
begin = min(time - seconds for time, seconds in samples)

# The phases, from the difference to the counters at the end of the one before.
phases, counts = [], []
total = collections.Counter()
start, before = begin, {}
for path in sorted(results.glob("[0-9]*-*.csv"), key=lambda path: int(path.name.split("-")[0])):
    phase = path.stem.split("-", 1)[1]
    rows = read(path)
    end = rows[0]["time"]
    sums = collections.Counter()
    for row in rows:
        key = row["reason"], row["name"]
        now = row["exits"], row["cycles"]
        exits, cycles = (a - b for a, b in zip(now, before.get(key, (0, 0))))
        before[key] = now
        if exits:
            counts.append((phase, *key, exits, cycles))
        sums.update(exits=exits, cycles=cycles)
    phases.append((phase, f"{start - begin:.3f}", f"{end - begin:.3f}", f"{end - start:.3f}", sums["exits"], sums["cycles"]))
    start = end
counts.sort(key=lambda row: (list(phase[0] for phase in phases).index(row[0]), -row[3]))
write("phases.csv", ["phase", "start", "end", "seconds", "exits", "cycles"], phases)
write("counts.csv", ["phase", "reason", "name", "exits", "cycles"], counts)

# What exitstat lists, ranges and all: the counters tell what occurred.
reasons = {}
for line in (results / "reasons.txt").read_text(encoding="utf-8").splitlines()[1:]:
    number, name, defined, enabled = re.match(r"\s*(\S+)\s+(.*?)\s+(yes|no)\s+(yes|no)\b", line).groups()
    if defined == "yes":
        reasons[number] = ["" if name == "-" else name, defined, enabled]
for (number, name), _ in before.items():
    reasons.setdefault(number, [name, "no", "no"])
rows = [(number, *row, *next((now for key, now in before.items() if key[0] == number), (0, 0)))
        for number, row in reasons.items()]
rows.sort(key=lambda row: -row[4])
write("reasons.csv", ["reason", "name", "defined", "enabled", "exits", "cycles"], [row for row in rows
      if row[2] == "yes" or row[4]])

seen = [row for row in rows if row[4]]
table = []
for (time, seconds), rows in sorted(samples.items()):
    exits = {row["reason"]: row["exits"] for row in rows}
    table.append((f"{time - begin:.3f}", f"{seconds:.3f}", sum(exits.values()), sum(row["cycles"] for row in rows),
                  *(exits.get(row[0], 0) for row in seen)))
write("timeline.csv", ["time", "seconds", "exits", "cycles", *(row[1] or row[0] for row in seen)], table)
