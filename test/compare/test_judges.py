# SPDX-License-Identifier: GPL-2.0
"""Runs each judge on a fixture in which all is right, and on ones in which one thing is wrong."""
import contextlib
import io
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE / "fixtures"
HEADER = FIXTURES / "kvm_exit_stats.h"
GONE = object()			# in place of a file


class JudgeTest(unittest.TestCase):
    """Its subclasses say which judge they run, on which fixture, in which lane."""
    maxDiff = None
    judge = fixture = None
    lane = "svm"

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def run_judge(self, judge, directory, **environment):
        """Its stdout and stderr; in this process, for speed."""
        path = str(HERE.parent / f"tests/{judge}/judge.py")
        environment = {"LANE": self.lane, "KVM_EXIT_STATS_H": str(HEADER), **environment}
        with (mock.patch.dict(os.environ, environment), mock.patch("sys.argv", [path, str(directory)]),
              contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr):
            runpy.run_path(path, run_name="__main__")
        return stdout.getvalue(), stderr.getvalue()

    def run_program(self, *command, **environment):
        run = subprocess.run(command, env={**os.environ, **environment}, text=True, capture_output=True, check=False)
        return run.returncode, run.stdout, run.stderr

    def copy(self, *changes):
        """The fixture with CHANGES: (file, pattern, replacement of its only match), or (file, GONE)."""
        directory = self.scratch / "DIR"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(FIXTURES / self.fixture, directory)
        for name, pattern, *new in changes:
            path = directory / name
            if pattern is GONE:
                path.unlink()
                continue
            text, count = re.subn(pattern, new[0], path.read_text(encoding="utf-8"), flags=re.M)
            self.assertEqual(count, 1, f"{pattern} in {name}")
            path.write_text(text, encoding="utf-8")
        return directory

    def verdicts(self, *changes, **environment):
        """What the judge prints of the fixture with CHANGES."""
        directory = self.copy(*changes)
        stdout, stderr = self.run_judge(self.judge, directory, **environment)
        self.assertEqual(stderr, "")
        return stdout.replace(f"{directory}/", "").replace(str(directory), "DIR").splitlines()

    def passes(self, *names):
        self.assertEqual(self.verdicts(), [f"ok {name}" for name in names])

    def fails(self, changes, *expected, **environment):
        """With CHANGES, the lines that are not ok are these."""
        if isinstance(changes[0], str):
            changes = [changes]
        lines = self.verdicts(*changes, **environment)
        self.assertEqual([line for line in lines if not line.startswith("ok ")], list(expected))


class AnyJudgeTest(JudgeTest):
    """What holds for all judges."""
    judges = sorted(path.parent.name for path in HERE.parent.glob("tests/*/judge.py"))

    def test_nothing_to_judge_is_not_ok(self):
        for judge in self.judges:
            with self.subTest(judge=judge):
                stdout, stderr = self.run_judge(judge, self.scratch / "none")
                self.assertEqual(stderr, "")
                self.assertRegex(stdout, r"\A(not ok .*\n)+\Z")

    def test_empty_and_broken_files_are_not_ok(self):
        for judge in self.judges:
            for path in (FIXTURES / judge).rglob("*"):
                for text in "", "odd\n\xff\n":
                    if path.is_dir() or path.name in ("title", "start.msr", "cpuid.msr", "sleep.msr"):	# not compared
                        continue
                    with self.subTest(path=path, text=text):
                        self.judge, self.fixture = judge, judge
                        self.lane = "vmx" if judge in ("counters", "tracing-cost") else "svm"
                        name = path.relative_to(FIXTURES / judge)
                        lines = self.verdicts((name, r"\A(?s:.)*\Z", text))
                        self.assertIn("not ok", "\n".join(lines))

    def test_without_a_lane_or_a_directory(self):
        for lane, args, why in (("", ["x"], "judge.py: LANE=: set it to vmx or svm\n"),
                                ("arm", ["x"], "judge.py: LANE=arm: set it to vmx or svm\n"),
                                ("svm", [], "judge.py: usage: give the directory with the job's results, and nothing else\n")):
            with self.subTest(why=why):
                run = self.run_program(HERE.parent / "tests/counters/judge.py", *args, LANE=lane)
                self.assertEqual(run, (1, "", why))


class CountersTest(JudgeTest):
    judge = fixture = "counters"
    lane = "vmx"

    def test_counters(self):
        self.passes("cpuid in L2 reads what L1 logs",
                    "sum of the slots is KVM's exits, before the reads",
                    "debugfs' cycles/exit is what it says, before the reads",
                    "debugfs agrees with the tracepoint, before the reads",
                    "sum of the slots is KVM's exits, after the reads",
                    "debugfs' cycles/exit is what it says, after the reads",
                    "debugfs agrees with the tracepoint, after the reads",
                    "cpuid in L2 reads between the snapshots")

    def test_sum(self):
        name = "not ok sum of the slots is KVM's exits, after the reads: "
        self.fails(("after.exits", "17683", "17684"), name + "sum of the slots 17683, total 17683, exits 17684")
        self.fails(("after.stats", "( total +)17683", r"\g<1>17682"), name + "sum of the slots 17683, total 17682, exits 17683")
        self.fails(("after.stats", "^( +total)", r" - OTHER 1 1 1\n\1"),
                   name + "sum of the slots 17684, total 17683, exits 17683")
        self.fails([("before.exits", r"\d+", "0"), ("before.stats", r"(?s)cycles/exit\n.*", "cycles/exit\ntotal  0 0 0\n"),
                    ("before.hist", r"(?s)^\{.*\}.*Dropped", "{ exit_reason: 1 } hitcount: 0\nDropped")],
                   "not ok sum of the slots is KVM's exits, before the reads: sum of the slots 0, total 0, exits 0")

    def test_other_exits_are_in_the_sum_and_not_in_the_histogram(self):
        self.fails([("after.stats", "^( +total +)17683", r" - OTHER 1 1 1\n\g<1>17684"), ("after.exits", "17683", "17684")])

    def test_means(self):
        self.fails(("after.stats", r"^( +48 .*) \d+$", r"\1 1"),
                   "not ok debugfs' cycles/exit is what it says, after the reads: 15765942 cycles by 1946 exits are not 1")

    def test_hist(self):
        name = "not ok debugfs agrees with the tracepoint, after the reads: "
        self.fails(("after.hist", "(exit_reason: +48 .*)1946", r"\g<1>1947"), name + "reason 48: counted 1946, traced 1947")
        self.fails(("after.hist", "^.*exit_reason: +48 .*\n", ""), name + "reason 48: counted 1946, traced 0")
        self.fails(("after.hist", "exit_reason: +55 ", "exit_reason: 56 "), name + "reason 55: counted 2, traced 0")
        self.fails(("after.hist", r"^(\{ exit_reason: +55 .*)", r"\1\n{ exit_reason: 56 } hitcount: 1"),
                   name + "reason 56: counted 0, traced 1")
        self.fails(("after.hist", "Dropped: 0", "Dropped: 2"), name + "after.hist: Dropped: 2")

    def test_brackets(self):
        name = "not ok cpuid in L2 reads between the snapshots: "
        self.fails([("leaves.txt", "(fd 0x0a: eax=)0x00000589", r"\g<1>0x00001261"),
                    ("leaves-log.txt", r"CPUID\): 1417 exits", "CPUID): 4705 exits"),
                    ("leaves.txt", "(ff 0x00: eax=)0x0000", r"\g<1>0x0001"), ("leaves-log.txt", "16038", "81574")],
                   name + "reason 10: read 4705, before 844, after 4704")
        self.fails([("leaves.txt", "0x30: eax=0x0000079a", "0x30: eax=0x00000799"),
                    ("leaves-log.txt", "EPT_VIOLATION.: 1946", "EPT_VIOLATION): 1945")],
                   name + "reason 48: read 1945, before 1946, after 1946")
        self.fails([("leaves.txt", "(fd 0x08: eax=)0x00000000", r"\g<1>0x00000001"),
                    ("leaves-log.txt", r"reason 8 (.*) 0 exits", r"reason 8 \1 1 exits")],
                   name + "reason 8: read 1, before 0, after 0")

    def test_no_reasons_were_read(self):
        lines = self.verdicts(("leaves.txt", r"(?s)^# cpuid -1 -r -l 0x4FFFFFFD -s 1\n.*# cpuid -1 -r -l 0x4FFFFFFF", ""))
        self.assertIn("not ok cpuid in L2 reads between the snapshots: no reasons were read: leaves.txt", lines)

    def test_the_lane(self):
        self.lane = "svm"
        self.fails([(f"{when}.hist", "exit_reason: +48 ", "exit_reason: 65584 ") for when in ("before", "after")],
                   *(f"not ok debugfs agrees with the tracepoint, {when} the reads: reason 0x30: counted 1946, traced 0"
                     for when in ("before", "after")))
        self.lane = "vmx"
        self.fails([(f"{when}.hist", "exit_reason: +48 ", "exit_reason: 65584 ") for when in ("before", "after")])


class CyclesTest(JudgeTest):
    judge = fixture = "cycles"

    def test_cycles(self):
        self.passes("each reason has at least the cycles that tracing saw", "many exits were traced")

    def test_too_few_are_charged(self):
        name = "not ok each reason has at least the cycles that tracing saw: "
        self.fails(("traced.txt", "(?<=cpuid 569 )[0-9]+", "90000000"),
                   name + "cpuid: 43481126 cycles in 569 exits, traced 90000000 in 569")
        self.fails(("traced.txt", "cpuid 569", "cpuid 570"), name + "cpuid: 569 exits, traced 570")
        self.fails(("traced.txt", "cpuid", "rdtsc"), name + "rdtsc: traced 569 exits, none is in debugfs")

    def test_too_few_are_traced(self):
        self.fails([("traced.txt", rf"(?<={name} ){exits} ", "1 ") for name, exits in (("io", 1158), ("msr", 116))],
                   "not ok many exits were traced: only interrupt, cpuid was traced 50 times")


class LeavesTest(JudgeTest):
    judge = fixture = "host"

    def test_leaves(self):
        self.passes("cpuid in L2 reads what L1 logs")

    def test_what_is_written(self):
        directory = self.copy()
        self.assertEqual(self.run_program(HERE / "leaves.py", directory), (0, "", ""))
        rows = (directory / "exits.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual((len(rows), rows[:2]), (14, ["reason,name,exits,cycles", "0x0,read_cr0,1,4224870"]))
        self.assertEqual(rows[-1], "0x400,npf,797,277969900")
        self.assertEqual((directory / "totals").read_text(encoding="utf-8"), "4935 671403226\n")

    def test_undefined_reasons_are_not_written(self):
        self.fixture = "counters"
        directory = self.copy()
        self.run_program(HERE / "leaves.py", directory)
        rows = (directory / "exits.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(rows), 1 + 15)
        self.assertIn("8,NMI_WINDOW,0,0", rows)

    def test_leaves_by_hand(self):
        directory = self.copy(("leaves-log.txt", GONE))
        self.assertEqual(self.run_program(HERE / "leaves.py", directory),
                         (1, "", f"leaves.py: {directory}/leaves-log.txt: No such file or directory\n"))

    def wrong(self, why, *changes):
        with self.subTest(why=why):
            self.fails(changes, f"not ok cpuid in L2 reads what L1 logs: {why}")

    def test_what_was_read_is_not_what_was_logged(self):
        self.wrong("reason 0x400: L2 read 797 exits, L1 logged 798: see DIR", ("leaves-log.txt", "797 exits", "798 exits"))
        self.wrong("reason 0x400: L2 read 277969901 cycles, L1 logged 277969900: see DIR",
                   ("leaves.txt", "ecx=0x10917bec", "ecx=0x10917bed"))
        self.wrong("reason 0x78: L2 read 4294967304 exits, L1 logged 8: see DIR",
                   ("leaves.txt", "eax=0x00000008 ebx=0x00000000", "eax=0x00000008 ebx=0x00000001"))
        self.wrong("reason all: L2 read 4935 exits, L1 logged 4936: see DIR", ("leaves-log.txt", "4935", "4936"))
        self.wrong("reason all: L2 read 671403226 cycles, L1 logged 1: see DIR", ("leaves-log.txt", "671403226", "1"))

    def test_undefined_is_named_so(self):
        self.fixture, self.lane = "counters", "vmx"
        self.wrong("reason 35: L1 logged the name -: see leaves-log.txt",
                   ("leaves-log.txt", r"reason 35 \(undefined\): 0 exits", "reason 35 (-): 0 exits"),
                   ("leaves-log.txt", r"reason 35 \(undefined\): 0 cycles", "reason 35 (-): 0 cycles"))

    def test_what_was_read_was_not_logged(self):
        self.wrong("L1 logged no line for the cycles of reason 0x78: see leaves-log.txt",
                   ("leaves-log.txt", r"^.*hlt\): 1090284 cycles\n", ""))
        self.wrong("L1 logged no line for the exits of reason all: see leaves-log.txt",
                   ("leaves-log.txt", r"^.*all reasons: \d+ exits\n", ""))

    def test_not_all_was_read(self):
        self.wrong("L2 read 13 of 14 announced reasons: see leaves.txt", ("leaves.txt", "^13 reasons", "14 reasons"))
        self.wrong("L2 read 12 of 13 announced reasons: see leaves.txt", ("leaves.txt", "^ +0x4ffffffd 0x78: .*", ""))
        self.wrong("L2 read no cycles of reason 120: see leaves.txt", ("leaves.txt", "^ +0x4ffffffc 0x78: .*", ""))
        self.wrong("L2 read no total of the exits: see leaves.txt", ("leaves.txt", "^ +0x4fffffff .*", ""))
        self.wrong("L2 read no total of the cycles: see leaves.txt", ("leaves.txt", "^ +0x4ffffffe .*", ""))
        self.wrong("leaves.txt does not say how many reasons", ("leaves.txt", "^13 reasons", "reasons"))

    def test_the_total_is_less_than_the_sum(self):
        self.wrong("the total of all exits, 4541, is less than their sum, 4542: see leaves.txt",
                   ("leaves.txt", "eax=0x00001347", "eax=0x000011bd"), ("leaves-log.txt", "4935", "4541"))
        self.fails([("leaves.txt", "eax=0x00001347", "eax=0x000011be"), ("leaves-log.txt", "4935", "4542")])


class LedgerTest(JudgeTest):
    judge = fixture = "ledger"
    lane = "vmx"
    phases = (("busy", "guest is its thread's guest time", "L2 sees that most is guest"),
              ("device", "L2 sees that vmm has its share"), ("shared", "L2 sees that preempted has its share"))

    def names(self):
        for phase, *more in self.phases:
            for name in ("the states add up", "wall is the TSC's", "halted is what KVM has waited and polled",
                         "vmm is what tracing saw outside of KVM_RUN", "preempted is within what the scheduler has",
                         "preempted is within the guest's steal time", "guest and kvm are on a CPU",
                         "L2 sees no more than its host", *more):
                yield f"{phase}: {name}"
        yield "query-stats has the same"

    def test_all(self):
        self.passes(*self.names())
        rows = (self.scratch / "DIR/table.txt").read_text(encoding="utf-8").splitlines()
        self.assertEqual([row.split()[:3] for row in rows], [
            ["ms", "wall", "TSC"], ["busy", "1047.9", "1053.5"], ["device", "2819.3", "2829.8"], ["shared", "2515.4", "2508.0"]])

    def test_svm(self):
        self.lane = "svm"
        self.passes(*(name for name in self.names() if "guest time" not in name))

    def breaks(self, name, *changes):
        """With CHANGES this verdict, at least, is not ok."""
        lines = self.verdicts(*changes)
        self.assertTrue([line for line in lines if line.startswith(f"not ok {name}: ")], "\n".join(lines))

    def adds(self, name, file, line, numbers, field=0):
        """The verdict fails with each of NUMBERS added to a field of a line of FILE."""
        text = (FIXTURES / "ledger" / file).read_text(encoding="utf-8").splitlines()[line].split()
        for number in numbers:
            with self.subTest(name=name, number=number):
                fields = [*text[:field], str(int(text[field]) + number), *text[field + 1:]]
                self.breaks(name, (file, "^" + r"\s+".join(map(re.escape, text)) + "$", " ".join(fields)))

    def test_states(self):
        name = "busy: the states add up"
        for line in range(1, 9):
            self.adds(name, "busy-after.stats", line, (-1, 1), field=3)	# the VM
        self.adds(name, "busy-after.stats", 21, (-1, 1), field=7)	# what userspace took for I/O
        self.breaks(name, ("busy-after.stats", r"^vcpu0 +blocked.*\n", ""))

    def test_wall(self):
        for line, number in ((1, 200_000_000), (2, -200_000_000), (3, 200_000_000), (4, -200_000_000)):
            self.adds("busy: wall is the TSC's", "notes.txt", line, [number])
        self.breaks("busy: wall is the TSC's", ("notes.txt", r"\A64244/", "64243/"))

    def test_halted(self):
        self.adds("device: halted is what KVM has waited and polled", "device-after.halted", 0, (-3_000_000, 1_000_000))

    def test_vmm(self):
        self.adds("device: vmm is what tracing saw outside of KVM_RUN", "notes.txt", 7, (-600_000_000, 600_000_000), field=2)

    def test_preempted(self):
        self.adds("shared: preempted is within what the scheduler has", "shared-after.thread", 0,
                  (-300_000_000, 1_000_000_000), field=1)
        self.adds("shared: preempted is within the guest's steal time", "shared-after.steal", 0, (-40, 100))

    def test_on_cpu(self):
        self.adds("busy: guest and kvm are on a CPU", "busy-after.thread", 0, (-100_000_000, 200_000_000))
        self.adds("busy: guest is its thread's guest time", "busy-after.thread", 1, (-20, 40))

    def test_what_l2_sees(self):
        for state in "guest", "preempted":
            self.breaks("busy: L2 sees no more than its host", ("busy.csv", rf"\d+(,\d+,,,,{state})$", r"9000000000\1"))
        self.breaks("busy: L2 sees no more than its host", ("busy.csv", r".*,blocked\n", ""))
        self.breaks("busy: L2 sees that most is guest", ("busy.csv", r"\d+(,\d+,,,,guest)$", r"30000000\1"))
        self.breaks("device: L2 sees that vmm has its share", ("device.csv", r"\d+(,\d+,,,,vmm)$", r"30000000\1"))
        self.breaks("shared: L2 sees that preempted has its share", ("shared.csv", r"\d+(,\d+,,,,preempted)$", r"30000000\1"))

    def test_query_stats(self):
        for state in "guest", "kvm", "vmm", "halted", "preempted", "blocked", "wall":
            self.breaks("query-stats has the same", ("query-stats.json", rf'("{state}_cycles", "value": )', r"\g<1>1"))


class NestedTest(JudgeTest):
    judge = fixture = "nested"

    def test_nested(self):
        self.passes("sum of L2's slots is KVM's exits, during L3's run",
                    "L1's debugfs agrees with the tracepoint, during L3's run",
                    "sum of L2's slots is KVM's exits, after L3's run",
                    "L1's debugfs agrees with the tracepoint, after L3's run",
                    "sum of L3's slots is KVM's exits, before the reads",
                    "L2's debugfs agrees with the tracepoint, before the reads",
                    "sum of L3's slots is KVM's exits, after the reads",
                    "L2's debugfs agrees with the tracepoint, after the reads",
                    "L2 counts what L1 reflects, reason by reason",
                    "cpuid in L3 reads what L2 logs",
                    "cpuid in L3 reads between the snapshots",
                    "L3 finds no leaves when L2 hides them",
                    "L2 still finds its own, of another session than L3's")

    def test_each_file_has_its_verdict(self):
        for name, verdict in (("during.exits", "sum of L2's slots is KVM's exits, during L3's run"),
                              ("during.hist", "L1's debugfs agrees with the tracepoint, during L3's run"),
                              ("after.exits", "sum of L2's slots is KVM's exits, after L3's run"),
                              ("after.hist", "L1's debugfs agrees with the tracepoint, after L3's run"),
                              ("l2/before.exits", "sum of L3's slots is KVM's exits, before the reads"),
                              ("l2/before.hist", "L2's debugfs agrees with the tracepoint, before the reads"),
                              ("l2/after.exits", "sum of L3's slots is KVM's exits, after the reads"),
                              ("l2/after.hist", "L2's debugfs agrees with the tracepoint, after the reads"),
                              ("l2/reflected.hist", "L2 counts what L1 reflects, reason by reason"),
                              ("l2/leaves-log.txt", "cpuid in L3 reads what L2 logs"),
                              ("l2/verdicts", "L2's verdicts")):
            with self.subTest(name=name):
                self.fails((name, GONE), f"not ok {verdict}: {name}: No such file or directory")

    def test_a_reason_is_not_reflected(self):
        self.fails(("l2/reflected.hist", "(exit_reason: +1024 .*)16005", r"\g<1>16004"),
                   "not ok L2 counts what L1 reflects, reason by reason: reason 0x400: counted 16005, traced 16004")

    def test_brackets_of_l3(self):
        self.fails([("l2/leaves.txt", "(fd 0x400: eax=)0x0000....", r"\g<1>0x00003e86"),
                    ("l2/leaves-log.txt", r"npf\): \d+ exits", "npf): 16006 exits")],
                   "not ok cpuid in L3 reads between the snapshots: reason 0x400: read 16006, before 15953, after 16005")

    def test_l2_has_verdicts_of_its_own(self):
        self.fails(("l2/verdicts", "^ok L3 (.*)", r"not ok L3 \1: exit status (0 -eq 4)"),
                   "not ok L3 finds no leaves when L2 hides them: exit status (0 -eq 4)")
        self.fails(("l2/verdicts", "^ok L3 ", "L3 "),
                   "not ok L2's verdicts: l2/verdicts has an odd line: L3 finds no leaves when L2 hides them")


class SelftestTest(JudgeTest):
    judge = fixture = "selftest"

    def test_selftest(self):
        self.assertEqual(self.verdicts(), [
            "ok (default) CPUID", "ok (default) WRMSR to TSC_DEADLINE", "ok (default) WRMSR to the x2APIC's ICR",
            "skip (default): invalid guest state: KVM doesn't emulate invalid states on SVM", "ok (default) exit_stats=N",
            "ok (default) ends", "ok (statistics) vm0", "ok (statistics) vm1", "ok (statistics) vm2", "ok (statistics) vm3",
            "ok (statistics) ends"])

    def fails_beside_the_skip(self, changes, *expected):
        self.fails([changes, ("default.txt", "^ok 4 .*", "ok 4 x")], *expected)

    def test_a_test_fails(self):
        self.fails_beside_the_skip(("default.txt", "^ok 1 CPUID", "not ok 1 CPUID"), "not ok (default) CPUID: see default.txt")
        self.fails_beside_the_skip(("default.txt", "^ok 1 CPUID", "not ok 1 CPUID # SKIP no"),
                                   "not ok (default) CPUID: see default.txt")

    def test_it_ends_in_another_way(self):
        self.fails_beside_the_skip(("default.status", "0", "254"), "not ok (default) ends: exit status 254: see default.txt")
        self.fails_beside_the_skip(("default.txt", "^ok 5 .*", ""), "not ok (default) ends: 4 of 5 tests: see default.txt")
        self.fails_beside_the_skip(("default.status", "0", "4"),
                                   "skip (default) ends: it cannot run here: "
                                   "# Totals: pass:4 fail:0 xfail:0 xpass:0 skip:1 error:0")
        self.fails_beside_the_skip(("default.status", "0", "x"), "not ok (default) ends: default.status: 'x' is no number")

    def test_no_output(self):
        self.fails_beside_the_skip(("statistics.txt", GONE),
                                   "not ok (statistics) ends: statistics.txt: No such file or directory")

    def test_no_test(self):
        changes = ("statistics.txt", r"\A(?s:.)*\Z", ""), ("default.txt", "^ok 4 .*", "ok 4 x")
        self.fails(changes, "not ok (statistics) ends: no test: see statistics.txt", SERIES="6.12")
        self.fails(changes, SERIES="6.1")
        changes = ("default.txt", r"\A(?s:.)*\Z", ""),
        self.fails(changes, "not ok (default) ends: no test: see default.txt", SERIES="6.1")

    def test_no_selftest(self):
        self.assertEqual(self.verdicts(("default.status", GONE), ("statistics.status", GONE)),
                         ["not ok the selftests ran: there is no status of one in DIR"])


class ViewsTest(JudgeTest):
    judge = fixture = "views"
    query = "not ok query-stats has what debugfs shows: "
    info = "not ok info stats has what query-stats has: "
    sums = "not ok all slots are KVM's exits, both vCPUs are the VM: "
    leaves = "not ok the leaves have what debugfs shows, exactly where nothing happened between two pauses: "
    last = "not ok the last read of CPUID's reason is debugfs' count: "

    def test_views(self):
        self.passes("query-stats has what debugfs shows",
                    "info stats has what query-stats has",
                    "all slots are KVM's exits, both vCPUs are the VM",
                    "the leaves have what debugfs shows, exactly where nothing happened between two pauses",
                    "the last read of CPUID's reason is debugfs' count")

    def test_query_stats(self):
        self.fails(("query-stats.json", " 63, ", " 64, "), self.query + "vcpu1, slot 167: query-stats has (64, 1503117980), "
                   "debugfs has (63, 1503117980)")
        self.fails(("query-stats.json", " 1503117980, ", " 1503117981, "),
                   self.query + "vcpu1, slot 167: query-stats has (63, 1503117981), debugfs has (63, 1503117980)")
        self.fails(("query-stats.json", " 63, 0, ", " 63, "), self.query + "query-stats.json has 175 exit_counts, not 176")
        self.fails(("query-stats.json", r' \{"name": "exit_counts"[^}]*\},(?=.*device\[0\])(?!.*"exit_counts")', ""),
                   self.query + "query-stats.json has no exit_counts", self.info + "query-stats.json has no exit_counts")

    def test_query_stats_of_one_vcpu(self):
        why = "query-stats.json has 1 vCPUs"
        self.fails(("query-stats.json", r'\{"provider"[^{}]*(\{[^{}]*\},? ?)*\], "qom-path": "[^"]*\[2\]"\}, ', ""),
                   self.query + why, self.info + why, self.sums + why)

    def test_info_stats(self):
        self.fails(("info-stats.json", r"\[9\]=728", "[9]=729"),
                   self.info + "vcpu0, slot 167: info stats has (729, 509395172), query-stats has (728, 509395172)")
        self.fails(("info-stats.json", "exit_counts", "exit_count"), self.info + "info-stats.json has no exit_counts")
        self.fails(("info-stats.json", r" \[176\]=176748", ""), self.info + "info-stats.json has 175 exit_cycles, not 176")

    def test_sums(self):
        for change, why in ((("exits", "12696", "12697"), "total 12696, KVM's exits 12697"),
                            (("after.stats", "^(vm +total +)12696", r"\g<1>12697"),
                             "vm: the rows' sum is (12696, 6854777112), the total (12697, 6854777112)"),
                            (("after.stats", "^(vm +total +12696 +)6854777112", r"\g<1>6854777113"),
                             "vm: the rows' sum is (12696, 6854777112), the total (12696, 6854777113)"),
                            (("after.stats", "^(vcpu0 +total +)7446", r"\g<1>7447"),
                             "vcpu0: the rows' sum is (7446, 3079308492), the total (7447, 3079308492)"),
                            (("query-stats.json", '("name": "exits", "value": )7446', r"\g<1>7447"),
                             "vcpu0: total 7446, KVM's exits 7447"),
                            (("query-stats.json", '("name": "exits", "value": )5250', r"\g<1>5251"),
                             "vcpu1: total 5250, KVM's exits 5251")):
            with self.subTest(why=why):
                self.fails(change, self.sums + why)

    def test_exits_in_another_slot_of_the_vm(self):
        self.fails([("after.stats", "^vm( +)0x81", r"vm\g<1>0x82"), ("views.txt", "^.*0x4ffffffa 0x81.*\n", "")],
                   self.sums + "slot 129: the vCPUs have (26, 35815156), the VM (0, 0)")

    def test_other_exits_are_in_the_last_slot(self):
        self.fails([("after.stats", "^(vm) ( +total +)12696", r"\1 - OTHER 3 0 0\n\1\g<2>12699"), ("exits", "12696", "12699"),
                    ("after.stats", "^(vcpu1) ( +total +)5250", r"\1 - OTHER 3 0 0\n\1\g<2>5253"),
                    ("query-stats.json", '("exit_counts", "value": .)0(?!.*exit_counts.*exit_counts)(?=.*5250)', r"\g<1>3"),
                    ("query-stats.json", '("name": "exits", "value": )5250', r"\g<1>5253")])

    def test_leaves(self):
        for leaf, was, new, why in (
                ("0x4ffffff9 0x89", "eax=0x00000001", "eax=0x00000002",
                 "vcpu1: slot 137: read (2, 175032), before (1, 175032), after (1, 175032)"),
                ("0x4ffffffa 0x400", "ecx=0x77f48380", "ecx=0x77f4837f",
                 "vm: slot 167: read (791, 2012513151), before (791, 2012513152), after (791, 2012513152)")):
            with self.subTest(why=why):
                self.fails(("views.txt", f"^( +{leaf}: .*edx=0x00000000)$(?!(?s:.)*{leaf}:)",
                            lambda match, was=was, new=new: match[0].replace(was, new)), self.leaves + why)

    def test_a_leaf_was_not_read(self):
        self.fails(("views.txt", "^ +0x4ffffff9 0x04: eax=0x00000005.*\n", ""), self.leaves + "vcpu0: slot 4 was not read")

    def test_a_reason_that_came_up_later(self):
        self.fails(("views.txt", "^ +0x4ffffffa 0x89: .*\n", ""))

    def test_few_quiet_leaves(self):
        changes = [("views.txt", f"^ +0x4ffffffa {reason}: .*\n", "") for reason in
                   "0x37 0x65 0x7b 0x89 0x400".split()]		# 12 of 4 reasons are left
        changes += [("before.stats", rf"^(vcpu{vcpu} +0x4 .*)[1-9]\d{{5,}}( +\d+)$", r"\g<1>1\2") for vcpu in (0, 1)]
        self.fails(changes)
        self.fails([*changes, ("before.stats", r"^(vm +0x4 .*)[1-9]\d{5,}( +\d+)$", r"\g<1>1\2")],
                   self.leaves + "only 9 numbers were the same before and after")

    def test_no_leaves(self):
        why = "views.txt has no leaf of the VM"
        self.fails(("views.txt", r"^vm\n(?s:.)*", ""), self.leaves + why, self.last + why)

    def test_the_last_read(self):
        self.fails(("views.txt", "^( +0x4ffffffa 0x72: eax=0x00000a7)f", r"\g<1>e"), self.last + "read 2686, debugfs has 2687")

    def test_a_table_is_missing(self):
        why = "after.stats has tables of vcpu0, vm"
        self.fails(("after.stats", r"^vcpu1 (?s:.)*", ""), self.query + why, self.sums + why, self.leaves + why, self.last + why)

    def test_no_header(self):
        lines = self.verdicts(KVM_EXIT_STATS_H="none")
        self.assertEqual(lines[0], self.query + "none: No such file or directory")
        self.assertEqual(len([line for line in lines if line.startswith("not ok")]), 5)

    def test_a_header_that_nobody_named(self):
        self.assertEqual(self.verdicts(KVM_EXIT_STATS_H="")[0], self.query + "KVM_EXIT_STATS_H is not set")

    def test_the_other_vendor_has_other_slots(self):
        self.lane = "vmx"
        self.assertIn("reason 96 (0x60) is not defined", self.verdicts()[0])


class ToolsTest(JudgeTest):
    judge = fixture = "tools"
    perf = "not ok perf kvm stat counts the same exits, up to the last one: "
    closes = "perf's time is kvm, vmm, halted, preempted and blocked"

    def table(self, *changes):
        self.verdicts(*changes)
        return (self.scratch / "DIR/tools.txt").read_text(encoding="utf-8").splitlines()

    def test_tools(self):
        self.passes("perf kvm stat counts the same exits, up to the last one", "kvm_stat counts as many exits", self.closes)

    def test_the_table(self):
        header, *rows = self.table()
        self.assertEqual(header.split(), "reason exit_stats perf kvm_stat kvmexit exit_stats us perf us".split())
        self.assertEqual([row.split() for row in rows], [
            "cpuid 3499 3499 - - 97.17 69.17".split(), "hlt 11 11 - - 77.70 90901.74".split(),
            "interrupt 503 502 - - 242.67 737.91".split(), "io 394 394 - - 43.65 321.72".split(),
            "msr 641 641 - - 199.05 228.34".split(), "npf 2 2 - - 888.76 857.97".split(),
            "vintr 110 110 - - 56.38 62.93".split()])
        self.assertEqual(header.index("exit_stats us") + 13, rows[0].index("97.17") + 5)

    def test_perf(self):
        self.fails(("perf.txt", "interrupt        502", "interrupt        503"))
        self.fails(("perf.txt", "interrupt        502", "interrupt        501"),
                   self.perf + "2 exits differ, 1 may: interrupt 501, not 503")
        self.fails(("perf.txt", "interrupt        502", "interrupt        505"),
                   self.perf + "2 exits differ, 1 may: interrupt 505, not 503")
        self.fails(("perf.txt", "^ +npf ", " npf, too "), self.perf + "5 exits differ, 1 may: interrupt 502, not 503, "
                   "npf 0, not 2, npf,_too 2, not 0")

    def test_as_many_exits(self):
        self.fails(("kvm_stat.csv", "1530,2228,2228", "1530,2228,2227"), "not ok kvm_stat counts as many exits: 5159, not 5160")

    def test_nothing_was_counted(self):
        lines = self.verdicts(("before.stats", r"\A(?s:.*)\Z", (FIXTURES / "tools/after.stats").read_text(encoding="utf-8")))
        self.assertEqual(lines[0], self.perf + "nothing was counted: see DIR")

    def test_no_tsc(self):
        self.fails(("tsc-khz", GONE), *(f"not ok {name}: tsc-khz: No such file or directory"
                                        for name in (self.closes, "the table of all tools", "the table of perf's time")))

    def test_closing(self):
        self.verdicts()
        rows = [row.split() for row in (self.scratch / "DIR/closing.txt").read_text(encoding="utf-8").splitlines()]
        self.assertIn("io 394 126.8 17.2 94.7 14.9".split(), rows)
        self.assertEqual([row[0] for row in rows[-5:]], ["halted", "preempted", "blocked", "left", "as"])
        self.assertAlmostEqual(sum(float(row[-1]) for row in rows[-6:-2]), float(rows[-2][-1]), delta=0.2)
        for state, cycles in ("halted", 1), ("vmm", 9 * 10**9), ("preempted", 9 * 10**9):
            lines = self.verdicts(("after.stats", rf"^( +{state} +\d+ +)\d+", rf"\g<1>{cycles}"),
                                  ("after.stats", r"^( +0x7b.* )\d+$", rf"\g<1>{cycles}" if state == "vmm" else r"\g<0>"))
            self.assertIn(f"not ok {self.closes}: ", "\n".join(lines))

    def copy(self, *changes):
        directory = super().copy(*changes)
        if self.lane == "vmx":
            self.make_vmx(directory)
        return directory

    def make_vmx(self, directory):
        """The same by VMX's names, which are kvm_stat's, too; and kvmexit runs."""
        for theirs, svm, vmx in (("CPUID", "cpuid", "CPUID"), ("HLT", "hlt", "HLT"), ("INTR", "interrupt", "EXTERNAL_INTERRUPT"),
                                 ("IOIO", "io", "IO_INSTRUCTION"), ("MSR", "msr", "MSR_READ"), ("NPF", "npf", "EPT_VIOLATION"),
                                 ("VINTR", "vintr", "INTERRUPT_WINDOW")):
            for path in directory.iterdir():
                text = path.read_text(encoding="utf-8").replace(f"kvm_exit({theirs})", f"kvm_exit({vmx})")
                path.write_text(re.sub(rf"(?<= ){svm}(?= )", vmx, text), encoding="utf-8")
        shutil.copy(FIXTURES / "kvmexit.txt", directory)

    def test_vmx(self):
        self.lane = "vmx"
        self.passes("perf kvm stat counts the same exits, up to the last one", "kvm_stat counts the same exits",
                    "kvm_stat counts as many exits", self.closes)
        self.fails(("kvm_stat.csv", "2228,1530,2,140", "2228,1530,3,139"), "not ok kvm_stat counts the same exits: "
                   "2 exits differ, 0 may: EXTERNAL_INTERRUPT 502, not 503, HLT 12, not 11")
        self.fails(("kvm_stat.csv", "kvm_cpuid", "kvm_exit(X)"), "not ok kvm_stat counts the same exits: "
                   "3499 exits differ, 0 may: X 3499, not 0")

    def test_the_table_of_vmx(self):
        self.lane = "vmx"
        rows = [row.split() for row in self.table()]
        self.assertIn("HLT 11 11 11 6 77.70 90901.74".split(), rows)
        self.assertIn("IO_INSTRUCTION 394 394 394 - 43.65 321.72".split(), rows)


class WitnessesTest(JudgeTest):
    judge = fixture = "witnesses"
    hist = "not ok mmio: the tracepoint has seen the same exits, reason by reason: "
    samples = "not ok mmio: perf has recorded the same exits, reason by reason: "
    perf = "not ok mmio: perf kvm stat counts all but the last exit of each vCPU: "
    exits = "not ok mmio: KVM has counted as many exits: "
    own = "not ok mmio: KVM has counted as many of the reasons that it counts: "
    guest = "not ok mmio: the guest has caused as many: "
    vmx = {"PF excp": (0x4e, 0, "EXCEPTION_NMI"), "interrupt": (0x60, 1, "EXTERNAL_INTERRUPT"),
           "vintr": (0x64, 7, "INTERRUPT_WINDOW"), "cpuid": (0x72, 10, "CPUID"), "hlt": (0x78, 12, "HLT"),
           "io": (0x7b, 30, "IO_INSTRUCTION"), "msr": (0x7c, 31, "MSR_READ"), "hypercall": (0x81, 18, "VMCALL"),
           "npf": (0x400, 48, "EPT_VIOLATION")}

    def copy(self, *changes):
        directory = super().copy(*changes)
        if self.lane == "vmx":
            for path in directory.iterdir():
                path.write_text(self.as_vmx(path.read_text(encoding="utf-8")), encoding="utf-8")
        return directory

    def as_vmx(self, text):
        """The same exits by the numbers and names of VMX."""
        def of_number(match):
            return f"exit_reason: {next(new for old, new, _ in self.vmx.values() if old == int(match[1])):10} "
        text = re.sub(r"exit_reason: +(\d+) ", of_number, text)
        for name, (old, new, new_name) in self.vmx.items():
            text = re.sub(rf"^( +){hex(old)}( )", rf"\g<1>{new}\2", text, flags=re.M)
            text = re.sub(rf"(?<= ){name.replace(' ', '[ _]')}(?=[ \n])", new_name, text)
        return text

    def names(self):
        for name in "cpuid", "mmio", "rdmsr", "wrmsr", "sleep":
            for verdict in (self.hist, self.samples, self.perf, self.exits, self.own, self.guest):
                if (name, verdict) != ("sleep", self.guest):
                    yield verdict.removeprefix("not ok ").removesuffix(": ").replace("mmio", name)

    def test_svm(self):
        self.passes(*self.names())
        rows = (self.scratch / "DIR/table.txt").read_text(encoding="utf-8").splitlines()
        self.assertEqual(rows[0],
                         "workload   reason               exit_stats       hist     perf's   perf kvm  KVM's own  guest's N")
        self.assertIn("mmio       total                      1244       1244       1244       1242       1244          -", rows)
        self.assertIn("mmio       npf                        1100       1100       1100       1100          -       1000", rows)
        self.assertIn("cpuid      PF_excp                       2          2          2          2          -          -", rows)
        self.assertEqual([row.split()[1] for row in rows if row.startswith("sleep")],
                         ["total", "msr", "hlt", "interrupt", "io", "cpuid"])

    def test_vmx(self):
        self.lane = "vmx"
        self.passes(*self.names())

    def more(self, name, kind, pattern, new):
        """A change of the workload's file, and the same of all later ones, that the difference is this workload's only."""
        later = ["cpuid", "mmio", "rdmsr", "wrmsr", "sleep"]
        return [(f"{each}.{kind}", pattern, new) for each in later[later.index(name):]]

    def test_hist(self):
        changes = self.more("mmio", "hist", r"(exit_reason: +78 \} hitcount: +)3", r"\g<1>4")
        self.fails(changes, self.hist + "PF_excp: 1, not 0")
        changes = self.more("mmio", "hist", r"(exit_reason: +129 \} hitcount: +)4", r"\g<1>3")
        self.fails(changes, self.hist + "hypercall: 3, not 4")
        self.fails([(f"{name}.hist", "exit_reason:        129 ", "exit_reason:        130 ")
                    for name in ("mmio", "rdmsr", "wrmsr", "sleep")], self.hist + "0x82: 4, not 0")
        lines = self.verdicts(("mmio.hist", r"(\A(?s:.)*?)Dropped: 0", r"\1Dropped: 5"))
        self.assertIn(self.hist + "mmio.hist: Dropped: 5", lines)

    def test_samples(self):
        self.fails(("mmio.samples", "^seen vintr 2", "seen vintr 3"), self.samples + "vintr: 3, not 2")
        self.fails(("mmio.samples", "^seen vintr 2\n", ""), self.samples + "vintr: 0, not 2")
        self.fails(("mmio.samples", "^seen vintr 2", "seen vintr 2\nseen x 1"), self.samples + "x: 1, not 0")

    def test_perf(self):
        self.fails(("mmio.perf", "  io         21", "  io         22"), self.perf + "io: 22, not 21")
        self.fails(("mmio.samples", "^last io 1", "last none 1"), self.perf + "io: 21, not 22")
        self.fails([("mmio.samples", "^last hlt 1\nlast io 1\n", ""), ("mmio.perf", "  io         21", "  io         22"),
                    ("mmio.perf", "hlt          8", "hlt          9")], self.perf + "0 vCPUs")
        self.fails([("mmio.samples", "^last io 1", "last io 1\nlast io 1"), ("mmio.perf", "  io         21", "  io         20")],
                   self.perf + "3 vCPUs")

    def test_exits(self):
        self.fails(self.more("mmio", "exits", r"(\d+)", lambda match: str(int(match[1]) + 1)), self.exits + "1245, not 1244")

    def test_no_exits(self):
        changes = [(f"sleep.{kind}", r"\A(?s:.)*\Z", (FIXTURES / f"witnesses/wrmsr.{kind}").read_text(encoding="utf-8"))
                   for kind in ("stats", "exits", "hist", "kvm")]
        self.assertIn("not ok sleep: KVM has counted as many exits: 0, not 0", self.verdicts(*changes))

    def test_own(self):
        for stat, was, name in (("irq_exits", 10, "interrupt"), ("irq_window_exits", 2, "vintr"), ("io_exits", 22, "io"),
                                ("halt_exits", 9, "hlt"), ("hypercalls", 4, "hypercall")):
            with self.subTest(stat=stat):
                self.fails(self.more("mmio", "kvm", rf"(?<={stat} )(\d+)", lambda match: str(int(match[1]) + 1)),
                           f"{self.own}{stat}: {was + 1}, not {was}")

    def test_the_guest(self):
        self.fails(("workloads", "^mmio 1000", "mmio 1001"), self.guest + "1000, not 1001")
        self.fails(("workloads", "npf io", "npf"), self.guest + "990, not 1000")
        self.fails(("workloads", "^rdmsr 1000 read", "rdmsr 1000 write"), self.guest.replace("mmio", "rdmsr") + "1, not 1000")
        self.fails(("workloads", "^wrmsr 1000 write", "wrmsr 1000 read"), self.guest.replace("mmio", "wrmsr") + "3, not 1000")

    def test_no_histogram_of_the_program(self):
        self.fails(("mmio.hist", r"(?s)Dropped: 0\n.*Dropped: 0", "Dropped: 0"),
                   self.guest + "mmio.hist has 0 histograms of the program")
        lines = self.verdicts(("mmio.hist", r"(?s)\A.*Dropped: 0\n(?=.*Dropped: 0)", ""))
        self.assertIn(self.hist + "mmio.hist has 0 histograms of all exits", lines)
        self.assertIn("not ok mmio: its rows of the table: mmio.hist has 0 histograms of all exits", lines)

    def test_no_histogram_of_the_msr(self):
        self.fails(("wrmsr.msr", r"\A((?s:.)*)\Z", r"\1\n\1"),
                   self.guest.replace("mmio", "wrmsr") + "wrmsr.msr has 2 histograms")

    def test_one_workload(self):
        self.assertEqual(len(self.verdicts(("workloads", r"^mmio(?s:.)*", ""))), 6)

    def test_the_other_workloads_go_on(self):
        lines = self.verdicts(("mmio.perf", GONE))
        self.assertEqual([line for line in lines if not line.startswith("ok ")],
                         [self.perf + "mmio.perf: No such file or directory",
                          "not ok mmio: its rows of the table: mmio.perf: No such file or directory"])
        self.assertEqual(len(lines), len(list(self.names())) + 1)

    def test_no_workload(self):
        self.assertEqual(self.verdicts(("workloads", r"\A(?s:.)*\Z", "start\n")),
                         ["not ok the workloads ran: workloads has no workload"])
        self.assertEqual(self.verdicts(("workloads", "^mmio 1000", "mmio many"))[-1],
                         "not ok the workloads ran: workloads has an odd line: mmio many program npf io")


class TracingCostTest(JudgeTest):
    judge = fixture = "tracing-cost"
    lane = "vmx"

    def test_tracing_cost(self):
        exits = "CPUID", "MSR_WRITE fastpath", "PIO in userspace"
        self.passes(*(f"the guest loop ran: {kind}" for kind in ("unpatched", "patched", "hist", "bpftrace", "perf")),
                    "the histogram counted its CPUID exits", "so did the BPF program", "so did perf kvm stat",
                    *(f"{name}: ours costs less than {tracer}" for name in exits for tracer in ("hist", "bpftrace", "perf")))
        directory = self.scratch / "DIR"
        self.assertEqual((directory / "cost.csv").read_text(encoding="utf-8").splitlines()[:2],
                         ["exit,unpatched,patched,hist,bpftrace,perf", "CPUID,1178,1187,1750,1930,2450"])
        self.assertEqual(
            (directory / "table.txt").read_text(encoding="utf-8").splitlines()[1],
            "CPUID                              1178    1187 (   +9)    1750 ( +572)    1930 ( +752)    2450 (+1272)")

    def test_counts(self):
        self.fails(("hist.txt", "(exit_reason: +10 .*)30003", r"\g<1>30002"),
                   "not ok so did the BPF program: 30003, not 30002", "not ok so did perf kvm stat: 30003, not 30002")
        self.fails(("bpftrace.txt", "30003", "30004"), "not ok so did the BPF program: 30004, not 30003")
        self.fails(("bpftrace.txt", "^@.10.*", ""), "not ok so did the BPF program: None, not 30003")
        self.fails(("perf.txt", "CPUID      30003", "CPUID      30004"), "not ok so did perf kvm stat: 30004, not 30003")
        self.fails(("perf.txt", "CPUID", "HLT"), "not ok so did perf kvm stat: None, not 30003")
        self.fails(("hist.txt", "^.*exit_reason: +10 .*\n", ""), "not ok the histogram counted its CPUID exits: it counted none",
                   "not ok so did the BPF program: 30003, not 0", "not ok so did perf kvm stat: 30003, not 0")

    def test_svm(self):
        self.lane = "svm"
        self.fails([("hist.txt", "exit_reason:         10 ", "exit_reason: 114 "), ("bpftrace.txt", "@.10.", "@[114]"),
                    ("perf.txt", "CPUID", "cpuid")])

    def test_costs(self):
        self.fails(("bench-patched.csv", "1187", "1750"), "not ok CPUID: ours costs less than hist: 572, and 572")
        self.fails(("bench-perf.csv", "1660", "420"), "not ok MSR_WRITE fastpath: ours costs less than perf: 18, and 18")
        self.fails(("bench-bpftrace.csv", "10100", "9000"), "not ok PIO in userspace: ours costs less than bpftrace: 72, and 0")

    def test_a_missing_row(self):
        lines = self.verdicts(("bench-hist.csv", "^CPUID.*\n", ""))
        self.assertIn("not ok CPUID: ours costs less than perf: no cost with hist", lines)


class ScalingTest(JudgeTest):
    judge = fixture = "scaling"

    def test_scaling(self):
        self.passes(*(f"{vcpus} vCPUs: accounting adds less than a tenth to an exit" for vcpus in (1, 2, 4, 8)))
        directory = self.scratch / "DIR"
        self.assertEqual((directory / "sum.csv").read_text(encoding="utf-8").splitlines()[1],
                         "2,34517,34409,34641,36743,49846,41147")
        rows = (directory / "table.txt").read_text(encoding="utf-8").splitlines()
        self.assertTrue(rows[0].startswith("Linux 6.12.117 on SVM"))
        self.assertEqual(rows[4], "    2      34517   34409 (-0.3%)   34641 (+0.4%)      36743     49846     41147")

    def test_a_tenth(self):
        for kind, ns, why in (("on", 37900, None), ("on", 37969, "34517 ns unpatched, 37969 on"), ("off", 99999, None)):
            with self.subTest(ns=ns):
                self.fails([(f"patched-{turn}/runs.csv", rf"(?s)^{kind},2,\d+(.*^{kind},2,)\d+", rf"{kind},2,{ns}\g<1>{ns}")
                            for turn in (1, 2)],
                           *([f"not ok 2 vCPUs: accounting adds less than a tenth to an exit: {why}"] if why else []))

    def test_runs_are_missing(self):
        self.fails([("unpatched-1/runs.csv", GONE), ("unpatched-2/runs.csv", GONE)],
                   *(f"not ok {vcpus} vCPUs: accounting adds less than a tenth to an exit: no run unpatched"
                     for vcpus in (1, 2, 4, 8)))


if __name__ == "__main__":
    unittest.main()
