#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what counts VM-exits, reason by reason, on the workloads of job.sh: exit_stats, a histogram of the tracepoint
kvm_exit, perf kvm stat, KVM's own statistics, and the guest's own number. All must be equal, but for what
Documentation/numbers.rst says. Writes DIR/table.txt. Usage: LANE=... judge.py DIR
"""
import collections
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, on_svm, require, verdict

FORMAT = "{:<10} {:<20} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n".format
directory, svm = given_directory(), on_svm()
# KVM's statistics that count the exits of one reason.
OWN = dict(zip(("irq_exits", "irq_window_exits", "io_exits", "halt_exits", "hypercalls"),
               ("interrupt", "vintr", "io", "hlt", "hypercall") if svm else
               ("EXTERNAL_INTERRUPT", "INTERRUPT_WINDOW", "IO_INSTRUCTION", "HLT", "VMCALL")))


def difference(read, before, after):
    """What a file has more after a workload than before it, by key."""
    change = collections.Counter(read(after))
    change.subtract(read(before))
    return change


class Workload:
    """What each witness has counted from one pause to the next, {name: exits}."""

    def __init__(self, name, before, known):
        self.name, self.before = name, before
        self.number, self.witness, *self.reasons = [int(known[0]), *known[1:]] if known else [0, None]

    def path(self, kind, name=None):
        return directory / f"{name or self.name}.{kind}"

    def rows(self, when):
        return formats.table(self.path("stats", when)).rows

    @functools.cached_property
    def names(self):
        """The names of the reasons that occurred up to now."""
        return {reason: row.name for when in (self.before, self.name) for reason, row in self.rows(when).items()}

    @functools.cached_property
    def exit_stats(self):
        return self.by_name(difference(lambda when: {reason: row.exits for reason, row in self.rows(when).items()},
                                       self.before, self.name))

    def by_name(self, reasons):
        named = collections.Counter()
        for reason, exits in reasons.items():
            named[self.names.get(reason, formats.spell(reason, svm))] += exits
        return named

    def traced(self, of_program):
        """By a histogram of the tracepoint: the one of all exits, or the one of those in the guest's program."""
        def read(when):
            path = self.path("hist", when)
            found = [each for each in formats.histograms(path) if ("guest_rip" in each.trigger) == of_program]
            require(len(found) == 1, f"{path} has {len(found)} histograms of {'the program' if of_program else 'all exits'}")
            return formats.exit_reasons(found[0].counts, svm)
        return self.by_name(difference(read, self.before, self.name))

    @functools.cached_property
    def hist(self):
        return self.traced(of_program=False)

    @functools.cached_property
    def msr(self):
        """Accesses to the one MSR, by whether they are writes."""
        def read(when):
            path = self.path("msr", when)
            found = formats.histograms(path)
            require(len(found) == 1, f"{path} has {len(found)} histograms")
            return found[0].counts
        return difference(read, self.before, self.name)

    @functools.cached_property
    def samples(self):
        """Of perf's own samples: those seen of each reason, and the last of each vCPU."""
        return formats.samples(self.path("samples"))

    @functools.cached_property
    def perf(self):
        return collections.Counter({name: row.exits for name, row in formats.perf(self.path("perf")).items()})

    @functools.cached_property
    def exits(self):
        return formats.number(self.path("exits")) - formats.number(self.path("exits", self.before))

    @functools.cached_property
    def own(self):
        return difference(lambda when: formats.numbers(self.path("kvm", when)), self.before, self.name)

    def check_same(self, counted, expected):
        for name in sorted({*counted, *expected}):
            require(counted[name] == expected[name], f"{name}: {counted[name]}, not {expected[name]}")

    def check_hist(self):
        self.check_same(self.hist, self.exit_stats)

    def check_samples(self):
        self.check_same(self.samples.seen, self.exit_stats)

    def check_perf(self):
        expected = self.exit_stats.copy()
        expected.subtract(self.samples.last)
        self.check_same(self.perf, expected)
        require(1 <= self.samples.vcpus <= 2, f"{self.samples.vcpus} vCPUs")

    def check_exits(self):
        exits = sum(self.exit_stats.values())
        require(0 < exits == self.exits, f"{self.exits}, not {exits}")

    def check_own(self):
        for stat, name in OWN.items():
            require(self.own[stat] == self.exit_stats[name], f"{stat}: {self.own[stat]}, not {self.exit_stats[name]}")

    def check_guest(self):
        if self.witness == "program":
            program = self.traced(of_program=True)
            found = sum(program[reason] for reason in self.reasons)
        else:
            found = self.msr[self.witness == "write"]
        require(found == self.number, f"{found}, not {self.number}")

    def judge(self):
        verdict(f"{self.name}: the tracepoint has seen the same exits, reason by reason", self.check_hist)
        verdict(f"{self.name}: perf has recorded the same exits, reason by reason", self.check_samples)
        verdict(f"{self.name}: perf kvm stat counts all but the last exit of each vCPU", self.check_perf)
        verdict(f"{self.name}: KVM has counted as many exits", self.check_exits)
        verdict(f"{self.name}: KVM has counted as many of the reasons that it counts", self.check_own)
        if self.number:
            verdict(f"{self.name}: the guest has caused as many", self.check_guest)

    def add_rows(self, table):
        witnesses = self.exit_stats, self.hist, self.samples.seen, self.perf
        own = {name: self.own[stat] for stat, name in OWN.items()}
        rows = [(name, *(witness[name] for witness in witnesses), own.get(name, "-"),
                 self.number if name in self.reasons else "-")
                for name in {*self.exit_stats, *self.hist, *self.samples.seen}]
        rows = [row for row in rows if any(row[1:4])]
        rows.append(("total", *(sum(witness.values()) for witness in witnesses), self.exits, "-"))
        table.extend(FORMAT(self.name, *row) for row in sorted(rows, key=lambda row: (-row[1], row[0])))


def judge_all():
    """DIR/workloads has lines "NAME [N WITNESS REASON...]", each measured from the end of the one before."""
    path = directory / "workloads"
    words = [formats.match(r"\S+ *(\d+ (read|write|program)( \S+)+)?", line, path)[0].split() for line in formats.lines(path)]
    require(len(words) > 1, f"{path} has no workload")
    table = [FORMAT("workload", "reason", "exit_stats", "hist", "perf's", "perf kvm", "KVM's own", "guest's N")]
    for before, (name, *known) in zip(words, words[1:]):
        workload = Workload(name, before[0], known)
        workload.judge()
        attempt(f"{name}: its rows of the table", workload.add_rows, table)
    (directory / "table.txt").write_text("".join(table), encoding="utf-8")


attempt("the workloads ran", judge_all)
