#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes DIR/report.rst from what test/report/write-data.py left in the directories SERIES-LANE of DIR.

Usage: write-report.py DIR. All numbers and the names in the text come from that data.
"""
import csv
import pathlib
import sys
import textwrap

report = pathlib.Path(sys.argv[1])
LANES = {"vmx": "kvm_intel in Bochs", "svm": "kvm_amd in QEMU"}


class Run:
    """The data of one series in one lane."""

    def __init__(self, path):
        self.path = path
        self.series, self.lane = path.name.split("-")
        self.title = f"{(path / 'kernel').read_text(encoding='utf-8').strip()}, {LANES[self.lane]}"
        self.phases = self.read("phases", int)
        self.counts = self.read("counts", int)
        self.reasons = self.read("reasons", int)
        self.exits = sum(row["exits"] for row in self.reasons)
        self.cycles = sum(row["cycles"] for row in self.reasons)

    def read(self, name, number):
        with open(self.path / f"{name}.csv", newline="", encoding="utf-8") as file:
            return [{**row, "exits": number(row["exits"]), "cycles": number(row["cycles"]),
                     "label": (row.get("name") or row.get("reason"))} for row in csv.DictReader(file)]

    def phase(self, name):
        return next(row for row in self.phases if row["phase"] == name)

    def of_phase(self, name):
        return [row for row in self.counts if row["phase"] == name]


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 120) + "\n"


def literal(lines):
    return "::\n\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)


def heading(text, line):
    return f"{text}\n{line * len(text)}\n"


def table(rows):
    """The rows of a table like exitstat's."""
    exits = sum(row["exits"] for row in rows)
    cycles = sum(row["cycles"] for row in rows)
    yield f"{'reason':>6}  {'name':20} {'exits':>9} {'exits%':>7} {'cycles':>12} {'cycles%':>7} {'cycles/exit':>11}"
    for row in [*rows, {"reason": "total", "name": "", "exits": exits, "cycles": cycles}]:
        yield (f"{row['reason']:>6}  {row['name']:20} {row['exits']:9} {100 * row['exits'] / exits:7.2f} "
               f"{row['cycles']:12} {100 * row['cycles'] / cycles:7.2f} {row['cycles'] // row['exits']:11}")


def shares(rows, key, number):
    """The first reasons with their shares: "HLT 40%, CPUID 20%"."""
    total = sum(row[key] for row in rows)
    first = sorted(rows, key=lambda row: -row[key])[:number]
    return ", ".join(f"{row['label']} {100 * row[key] / total:.0f}%" for row in first)


def rate(phase):
    return phase["exits"] / float(phase["seconds"])


def names(rows):
    """Reasons in the order of their numbers, in words. Neighbours without a name are a range."""
    rows = sorted(rows, key=lambda row: int(row["reason"], 0))
    parts, i = [], 0
    while i < len(rows):
        row, j = rows[i], i
        if row["name"]:
            parts.append(f"{row['name']} ({row['reason']})")
        else:
            while j + 1 < len(rows) and not rows[j + 1]["name"] and \
                    int(rows[j + 1]["reason"].split("-")[0], 0) == int(rows[j]["reason"], 0) + 1:
                j += 1
            parts.append(row["reason"] if i == j else f"{row['reason']} to {rows[j]['reason']}")
        i = j + 1
    return ", ".join(parts)


def summary(runs):
    yield f"{'':10} {'boot: s':>8} {'exits':>7} {'exits/s':>8}  most frequent"
    for run in runs:
        boot = run.phase("boot")
        yield (f"{run.path.name:10} {float(boot['seconds']):8.1f} {boot['exits']:7} {rate(boot):8.0f}  "
               f"{shares(run.of_phase('boot'), 'exits', 4)}")


def phase_table(run):
    yield f"{'phase':14} {'seconds':>7} {'exits':>7} {'exits/s':>8} {'cycles/exit':>11}  most frequent"
    for phase in run.phases:
        yield (f"{phase['phase']:14} {float(phase['seconds']):7.1f} {phase['exits']:7} {rate(phase):8.0f} "
               f"{phase['cycles'] // phase['exits']:11}  {shares(run.of_phase(phase['phase']), 'exits', 3)}")


def section(run):
    idle = run.phase("idle")
    busy = max(run.phases, key=rate)
    calm = min(run.phases, key=rate)
    seen = [row for row in run.reasons if row["exits"]]
    costly = max((row for row in seen if row["exits"] >= 10), key=lambda row: row["cycles"] / row["exits"])
    frequent, rare = seen[0], [row["label"] for row in seen if row["exits"] == seen[-1]["exits"]]
    yield heading(run.title, "=")
    yield heading("A boot", "-")
    yield paragraph(f"""From its first instruction to the first program's answer the guest takes
        {run.phase('boot')['exits']} VM-exits:""")
    yield literal(table(run.of_phase("boot")))
    yield heading("Over time", "-")
    yield f".. image:: {run.path.name}/timeline.svg\n"
    yield paragraph(f"""The count does not grow at a steady rate. It is lowest in the phase {calm['phase']}
        ({rate(calm):.0f} VM-exits a second) and {rate(busy) / rate(calm):.0f} times that in {busy['phase']}; an idle guest
        takes {rate(idle):.0f} a second, a boot {rate(run.phase('boot')):.0f}. The phases of the picture, one by one:""")
    yield literal(phase_table(run))
    yield heading("By reason", "-")
    yield f".. image:: {run.path.name}/reasons.svg\n"
    yield paragraph(f"""Of {run.exits} VM-exits from the start to the end of the reboot the most are {frequent['label']}
        ({100 * frequent['exits'] / run.exits:.0f}%), the fewest, {seen[-1]['exits']}, {' and '.join(rare)}. The time goes to
        {shares(seen, 'cycles', 4)}. The most costly reason, of those that came ten times at least, is
        {costly['label']}:""")
    yield literal(table(seen))
    yield heading("Never seen", "-")
    yield paragraph(f"""Enabled in KVM (it has a handler), and never seen here:
        {names([row for row in run.reasons if row['enabled'] == 'yes' and not row['exits']])}.""")
    yield paragraph(f"""Defined by the vendor, and not enabled in KVM (it has no handler; some, such as a failed VM-entry, end the
        guest or are handled on the way):
        {names([row for row in run.reasons if row['enabled'] == 'no' and row['defined'] == 'yes'])}.""")


runs = [Run(path) for path in sorted(report.glob("*-*"))]
pages = [
    ".. SPDX-License-Identifier: GPL-2.0\n",
    "=" * 40 + "\nWhat VM-exits does a Linux guest take?\n" + "=" * 40 + "\n",
    paragraph("""How many VM-exits the boot of a Linux guest takes, what it does later that costs more, which reasons are
        frequent, which take the time, and which never come. ``make report`` measured all numbers of this page and drew
        its pictures, and repeats that."""),
    ".. contents::\n   :local:\n   :depth: 1\n",
    heading("In short", "="),
    literal(summary(runs)),
    paragraph("""The counts are what a hypervisor would see from this guest. The cycles are not what its CPU would take,
        since the lab emulates the CPU: in Bochs (vmx) **a cycle is an instruction**, and a second 50 million of them. In
        QEMU (svm) cycles are ticks of the TSC of the machine that emulates, during which it executes many of its own
        instructions for one of the guest's: compare them with each other only."""),
    paragraph("""What costs more than the rest, and why: *disk* and *network*, because every request touches registers of
        virtio's devices (EPT_MISCONFIG; npf on SVM) and its interrupt the APIC's (MSR_WRITE; msr). A *timer* is a write
        to the APIC, and the wait a HLT. A *fork* takes almost no exit for itself, but the C library of a new program
        asks with CPUID what the CPU can do. A busy loop takes the exits of timer ticks only, the guest's and the
        hypervisor's."""),
    heading("How it was run", "="),
    paragraph("""The guest (L2) has Debian's stock kernel of the series' version, one vCPU, 256 MB, a virtio disk and a
        virtio network card, with the busybox shell as its first program: no systemd, no other services. The kernel is
        not compressed, and a few self-tests are left out (test/l1/fast-boot). Its hypervisor (L1) is the same kernel with
        the patched KVM, on one CPU, and QEMU. There exitstat samples the guest's counters four times a second. Between
        two phases the guest is paused and its counters are read. A phase begins and ends with I/O exits, because its
        command and the answer go through an emulated serial port."""),
    paragraph("""The phases: *boot*; *drivers*, virtio's modules are loaded; *idle*, a sleep; *disk-read* and *disk-write*, 64 KiB
        at a time, without the page cache; *network-ping*, a packet every 10 ms to the hypervisor and back; *network-send*, a
        TCP stream; *cpu-load*, a busy loop; *timer*, sleeps of 1 ms; *fork*, a new program again and again; *memory*,
        48 MiB are written for the first time; *memory-again*, the same memory, written again and again; *reboot*, from
        the command to the first program's answer."""),
    paragraph("""test/jobs/report.sh is what ran. Each directory beside this page has the data as CSV: timeline.csv (the
        samples), phases.csv, counts.csv (the reasons of each phase) and reasons.csv."""),
]
for run in runs:
    pages.extend(section(run))
(report / "report.rst").write_text("\n".join(pages), encoding="utf-8")
