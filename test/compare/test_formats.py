# SPDX-License-Identifier: GPL-2.0
"""Reads a fixture of each format, and what is wrong with it."""
import pathlib
import re
import tempfile
import unittest

import formats
from verdicts import Wrong

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


class FormatTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = pathlib.Path(scratch.name) / "file"

    def written(self, text):
        self.path.write_text(text, encoding="utf-8")
        return self.path

    def changed(self, fixture, pattern, new):
        """The fixture with its first match of PATTERN replaced."""
        text, count = re.subn(pattern, new, (FIXTURES / fixture).read_text(encoding="utf-8"), count=1, flags=re.M)
        self.assertEqual(count, 1, f"{pattern} is not in {fixture}")
        return self.written(text)

    def wrong(self, why, read, *args):
        """Reading says WHY it cannot, where PATH is the file."""
        with self.assertRaises(Wrong) as caught:
            read(*args)
        self.assertEqual(str(caught.exception).replace(str(self.path), "PATH"), why)


class FilesTest(FormatTest):
    def test_a_missing_file_is_wrong(self):
        for read in formats.read, formats.number, formats.table, formats.tap, formats.query_stats:
            with self.subTest(read=read.__name__):
                self.wrong("PATH: No such file or directory", read, self.path)

    def test_an_empty_file_is_wrong(self):
        self.wrong("PATH is empty", formats.read, self.written(" \n\n"))

    def test_bytes_that_are_no_text_do_not_stop_it(self):
        self.path.write_bytes(b"\xff\n1 reasons\r\r\n")
        self.assertEqual(formats.lines(self.path), ["\ufffd", "1 reasons"])

    def test_a_number(self):
        self.assertEqual(formats.number(FIXTURES / "views/exits"), 12696)
        self.wrong("PATH: '-1' is no number", formats.number, self.written("-1\n"))
        self.wrong("PATH: '1 2' is no number", formats.number, self.written("1 2\n"))

    def test_named_numbers(self):
        self.assertEqual(formats.numbers(FIXTURES / "witnesses/mmio.kvm")["io_exits"], 842)
        self.wrong("PATH has an odd line: io_exits", formats.numbers, self.written("io_exits \n"))


class TableTest(FormatTest):
    def test_a_table_of_vmx(self):
        table = formats.table(FIXTURES / "counters/after.stats")
        self.assertEqual(table.rows[48], ("EPT_VIOLATION", 1946, 15765942))
        self.assertEqual(len(table.rows), 14)
        self.assertEqual(table.total, ("", 17683, 50815065))
        self.assertEqual(table.other, ("OTHER", 0, 0))

    def test_a_table_of_svm(self):
        table = formats.table(FIXTURES / "witnesses/mmio.stats")
        self.assertEqual(table.rows[0x4e], ("PF_excp", 3, 3000))
        self.assertEqual(table.rows[0x400], ("npf", 1897, 1897000))

    def test_a_table_with_other_exits_and_without_names(self):
        table = formats.table(self.changed("counters/after.stats", "^ +1  EXTERNAL_INTERRUPT",
                                           "         -  OTHER    3    9    3\n    1  -"))
        self.assertEqual(table.other, ("OTHER", 3, 9))
        self.assertEqual(table.rows[1].name, "-")

    def test_means(self):
        self.assertEqual(formats.means(FIXTURES / "cycles/before.stats")[0], (1, 4030598, 4030598))
        self.wrong("PATH has an odd line: 10 CPUID 1 2", formats.means,
                   self.written("reason name exits cycles cycles/exit\n10 CPUID 1 2\n"))

    def test_a_broken_table(self):
        self.wrong("PATH has no total", formats.table, self.changed("counters/after.stats", "^ +total.*\n", ""))
        self.wrong("PATH has an odd line: 48  EPT_VIOLATION  1946", formats.table,
                   self.changed("counters/after.stats", "^ +48 .*", " 48  EPT_VIOLATION  1946"))
        self.wrong("PATH has no table", formats.table,
                   self.changed("counters/after.stats", "^ +reason .*", " reason  name  exits"))

    def test_the_tables_of_a_vm(self):
        tables = formats.tables(FIXTURES / "views/after.stats")
        self.assertEqual(sorted(tables), ["vcpu0", "vcpu1", "vm"])
        self.assertEqual(tables["vcpu1"].rows[0x89], ("wbinvd", 1, 175032))
        self.assertNotIn(0x89, tables["vcpu0"].rows)
        self.assertEqual(tables["vm"].total.exits, 12696)
        self.wrong("PATH has an odd line: vcpu  total", formats.tables, self.written("vcpu  total\n"))

    def test_a_table_with_a_ledger(self):
        table = formats.table(FIXTURES / "ledger.stats")
        self.assertEqual(table.ledger["halted"], (64, 7644481702))
        self.assertEqual(table.ledger["wall"].cycles, sum(state.cycles for name, state in table.ledger.items() if name != "wall"))
        self.assertEqual(table.ledger["vmm"].cycles, table.user["total"][1])
        self.assertEqual((table.rows[0x7b].exits, table.user["0x7b"][0]), (19687, 19624))
        self.wrong("PATH has an odd line: halted  0", formats.table,
                   self.changed("ledger.stats", "^ +halted .*", " halted  0"))
        self.wrong("PATH does not begin with a ledger", formats.table,
                   self.changed("ledger.stats", "^ +state .*\n", ""))


class HistogramTest(FormatTest):
    def test_a_histogram_of_vmx(self):
        seen = formats.histogram(FIXTURES / "counters/after.hist", svm=False)
        self.assertEqual(seen[48], 1946)
        self.assertEqual(sum(seen.values()), 17683)

    def test_the_lower_half_of_the_full_reason_on_vmx(self):
        path = self.changed("counters/after.hist", "exit_reason: +29 ", f"exit_reason: {0x8000030:10} ")
        self.assertEqual(formats.histogram(path, svm=False)[48], 1947)

    def test_a_histogram_of_svm(self):
        path = self.changed("nested/l2/after.hist", "exit_reason: +55 ", f"exit_reason: {0xffffffff:10} ")
        seen = formats.histogram(path, svm=True)
        self.assertEqual((seen[0x400], seen[0xffffffff]), (16005, 1))

    def test_a_broken_histogram(self):
        for pattern, new, why in (
                (r"^\{.*\n(\{.*\n)*", "", "the histogram is empty: PATH"),
                ("Dropped: 0", "Dropped: 7", "PATH: Dropped: 7"),
                (" +Dropped: 0", "", "PATH has 0 ends of 1 histograms"),
                ("^# trigger info:.*", "", "PATH has no trigger"),
                (r"^# trigger(.*\n)*", "", "PATH has 0 ends of 0 histograms")):
            with self.subTest(why=why):
                self.wrong(why, formats.histogram, self.changed("counters/after.hist", pattern, new), False)
        self.wrong(f"{FIXTURES}/witnesses/mmio.hist has 2 histograms", formats.histogram, FIXTURES / "witnesses/mmio.hist", True)

    def test_two_histograms_of_a_tracepoint(self):
        of_all, of_program = formats.histograms(FIXTURES / "witnesses/mmio.hist")
        self.assertEqual((of_all.counts[1024], of_program.counts[1024]), (1897, 990))
        self.assertNotIn("guest_rip", of_all.trigger)
        self.assertIn("if guest_rip >= 0x5e570000", of_program.trigger)

    def test_a_histogram_by_another_key(self):
        self.assertEqual(formats.histograms(FIXTURES / "witnesses/wrmsr.msr")[0].counts, {0: 1004, 1: 1003})

    def test_sums_of_a_trace(self):
        traced = formats.traced(FIXTURES / "cycles/traced.txt")
        self.assertEqual(traced["cpuid"], (569, 30736394))
        self.wrong("PATH has an odd line: cpuid 1", formats.traced, self.written("cpuid 1\n"))


class CpuidTest(FormatTest):
    def test_a_leaf(self):
        line = "   0x4ffffffd 0xfffffffc: eax=0x00000001 ebx=0x00000002 ecx=0x00000003 edx=0xffffffff"
        self.assertEqual(formats.leaf_of(line), (0x4ffffffd, 0xfffffffc, 1, 2, 3, 0xffffffff))
        for broken in line + " 0x1", line.replace("edx", "edi"), "# cpuid -1 -r -l 0x4FFFFFFD -s 1":
            self.assertIsNone(formats.leaf_of(broken))

    def test_all_leaves(self):
        self.assertEqual(len(formats.cpuid(FIXTURES / "counters/leaves.txt")), 34)
        self.wrong("PATH has no leaf", formats.cpuid, self.written("CPU:\n"))

    def test_the_values_of_the_leaves(self):
        read = formats.leaves(self.written(
            "1 reasons\n"
            "   0x4ffffffd 0x23: eax=0x00000001 ebx=0x00000002 ecx=0x00000000 edx=0x00000000\n"
            "   0x4ffffffc 0x23: eax=0x00000000 ebx=0x00000003 ecx=0x00000004 edx=0x00000000\n"
            "   0x4ffffffb 0x00: eax=0x00000001 ebx=0x00000001 ecx=0x00000001 edx=0x00000001\n"
            "   0x4fffffff 0x00: eax=0x00000005 ebx=0x00000006 ecx=0x00000000 edx=0x00000000\n"
            "   0x4ffffffe 0x00: eax=0x00000000 ebx=0x00000007 ecx=0x00000008 edx=0x00000000\n"))
        self.assertEqual(read, (1, {(0x23, "exits"): 2 << 32 | 1, (0x23, "cycles"): 3 << 32 | 4,
                                    ("all", "exits"): 6 << 32 | 5, ("all", "cycles"): 7 << 32 | 8}, set()))

    def test_real_leaves(self):
        read = formats.leaves(FIXTURES / "counters/leaves.txt")
        self.assertEqual((read.announced, read.undefined), (16, {35}))
        self.assertEqual(read.values[48, "cycles"], 15765942)

    def test_leaves_that_were_not_announced(self):
        why = "PATH does not say how many reasons"
        self.wrong(why, formats.leaves, self.changed("counters/leaves.txt", "^16 reasons", ""))
        self.wrong(why, formats.leaves, self.changed("counters/leaves.txt", "^16 reasons", "0 reasons"))

    def test_views(self):
        views = formats.views(FIXTURES / "views/views.txt")
        self.assertEqual(list(views), ["vcpu0", "vcpu1", "vm"])
        self.assertEqual(views["vm"][0x400], (0x317, 0x77f48380))
        self.assertEqual(list(views["vm"])[-1], 0x72)

    def test_wide_values_of_views(self):
        views = formats.views(self.written(
            "vcpu0\n   0x4ffffff9 0x01: eax=0x00000001 ebx=0x00000002 ecx=0x00000003 edx=0x00000004\n"))
        self.assertEqual(views, {"vcpu0": {1: (2 << 32 | 1, 4 << 32 | 3)}})

    def test_a_leaf_of_another_view(self):
        leaf = "0x4ffffff9 0x01: eax=0x00000001 ebx=0x00000000 ecx=0x00000003 edx=0x00000000"
        for text in leaf, f"vm\n{leaf}", f"vcpu0\n{leaf.replace('f9', 'fa')}":
            with self.subTest(text=text):
                self.wrong(f"PATH has an odd line: {text.splitlines()[-1]}", formats.views, self.written(text + "\n"))


class LogTest(FormatTest):
    def test_the_log_of_vmx(self):
        log = formats.logged(FIXTURES / "counters/leaves-log.txt")
        self.assertEqual(log.values[48, "cycles"], 15765942)
        self.assertEqual(log.values["all", "exits"], 16038)
        self.assertEqual((log.numbers[48], log.names[48]), ("48", "EPT_VIOLATION"))
        self.assertEqual(log.names[35], "undefined")

    def test_the_log_of_svm(self):
        log = formats.logged(FIXTURES / "host/leaves-log.txt")
        self.assertEqual((log.numbers[0x400], log.names[0x400]), ("0x400", "npf"))

    def test_the_last_line_of_a_value_counts(self):
        line = "[1.0] kvm: exit_stats: vm 1-11 vcpu 0: reason 0x4e (PF excp): {} exits\n"
        log = formats.logged(self.written("[0.9] kvm: other\n" + line.format(1) + line.format(2)))
        self.assertEqual(log, ({(0x4e, "exits"): 2}, {0x4e: "0x4e"}, {0x4e: "PF excp"}))


class SlotsTest(FormatTest):
    header = FIXTURES / "kvm_exit_stats.h"

    def test_slots_of_vmx(self):
        slots = formats.Slots(self.header, svm=False)
        self.assertEqual([slots.slot(reason) for reason in (0, 34, 36, 79)], [0, 34, 36, 79])
        self.assertEqual((slots.other, slots.count), (175, 176))
        for reason in 35, 71, 80, 0x400:
            with self.subTest(reason=reason):
                self.wrong(f"reason {reason} ({hex(reason)}) is not defined", slots.slot, reason)

    def test_slots_of_svm(self):
        slots = formats.Slots(self.header, svm=True)
        self.assertEqual([slots.slot(reason) for reason in (0, 0xa6, 0x400, 0x403, 0xfffffffc, 0xffffffff)],
                         [0, 166, 167, 170, 171, 174])

    def test_a_header_without_ranges(self):
        why = "PATH does not define the ranges of reasons, or the slot of all others"
        self.wrong(why, formats.Slots, self.changed("kvm_exit_stats.h", "VMX_RANGES", "VMX"), False)
        self.wrong(why, formats.Slots, self.changed("kvm_exit_stats.h", "SLOT_OTHER\t", "LAST\t"), False)


class QemuTest(FormatTest):
    def test_query_stats(self):
        first, second = formats.query_stats(FIXTURES / "views/query-stats.json")
        self.assertEqual((first["exits"], second["exits"]), (7446, 5250))
        self.assertEqual((first["exit_counts"][167], second["exit_counts"][167]), (728, 63))
        self.assertEqual(first["exit_cycles"][0], 176748)
        self.assertEqual(len(first["exit_cycles"]), 176)

    def test_info_stats(self):
        arrays = formats.info_stats(FIXTURES / "views/info-stats.json")
        self.assertEqual((arrays["exit_counts"][167], arrays["exit_cycles"][0]), (728, 176748))
        self.assertEqual(len(arrays["exit_counts"]), 176)

    def test_broken_answers(self):
        for text in "{", '{"error": {}}', "[]", "3":
            with self.subTest(text=text):
                self.wrong("PATH is no answer of QMP", formats.query_stats, self.written(text))
        for text in '{"return": [{"stats": []}]}', '{"return": [{"qom-path": ""}]}', '{"return": 3}':
            with self.subTest(text=text):
                self.wrong("PATH is no answer to query-stats", formats.query_stats, self.written(text))
        self.wrong("PATH is no answer to info stats", formats.info_stats, self.written('{"return": {}}'))
        self.wrong("PATH: exit_cycles lacks elements", formats.info_stats,
                   self.changed("views/info-stats.json", r" \[9\]=\d+", ""))


class ToolsTest(FormatTest):
    def test_perf(self):
        rows = formats.perf(FIXTURES / "tools/perf.txt")
        self.assertEqual(rows["hlt"], (11, "90901.74"))
        self.assertEqual(sum(row.exits for row in rows.values()), 5159)
        self.assertIn("PF_excp", formats.perf(FIXTURES / "witnesses/cpuid.perf"))
        self.wrong("PATH has no row", formats.perf, self.written("\nAnalyze events for all VMs, all VCPUs:\n"))

    def test_samples(self):
        samples = formats.samples(FIXTURES / "witnesses/cpuid.samples")
        self.assertEqual((samples.seen["PF_excp"], samples.last, samples.vcpus), (2, {"hlt": 2}, 2))
        self.wrong("PATH has an odd line: first hlt 1", formats.samples, self.written("first hlt 1\n"))

    def test_kvm_stat(self):
        sums = formats.kvm_stat(FIXTURES / "tools/kvm_stat.csv")
        self.assertEqual((sums["kvm_exit"], sums["kvm_exit(NPF)"]), (5160, 2))
        self.assertEqual(formats.kvm_exits(sums), {"CPUID": 3499, "HLT": 11, "INTR": 503, "IOIO": 394, "MSR": 641,
                                                   "NPF": 2, "VINTR": 110})

    def test_kvm_stat_with_a_warning_zeros_and_a_second_header(self):
        sums = formats.kvm_stat(self.written("SyntaxWarning: ,\ntimestamp,kvm_exit(A),kvm_exit(B)\n2026-11-26 20:04:24,1,0\n"
                                             "timestamp,kvm_exit(A),kvm_exit(B)\n2026-11-26 20:04:25,2,0\n"))
        self.assertEqual(sums, {"kvm_exit(A)": 3, "kvm_exit(B)": 0})
        self.assertEqual(formats.kvm_exits(sums), {"A": 3})

    def test_a_broken_kvm_stat(self):
        self.wrong("PATH has no rows", formats.kvm_stat, self.written("timestamp,kvm_exit\n"))
        self.wrong("PATH has no rows", formats.kvm_stat, self.written("2026-11-26,1\n2026-11-26,1\n"))
        for row in "2026-11-26,1,2", "2026-11-26,x", "2026-11-26":
            with self.subTest(row=row):
                self.wrong(f"PATH has an odd line: {row}", formats.kvm_stat, self.written(f"timestamp,kvm_exit\n{row}\n"))

    def test_kvmexit(self):
        self.assertEqual(formats.kvmexit(FIXTURES / "kvmexit.txt"), {"EXTERNAL_INTERRUPT": 11, "HLT": 6})
        self.assertEqual(formats.kvmexit(self.written("KVM_EXIT_REASON  COUNT\n")), {})

    def test_bpftrace(self):
        self.assertEqual(formats.bpftrace(FIXTURES / "tracing-cost/bpftrace.txt"), {12: 4, 10: 30003})


class TapTest(FormatTest):
    def test_a_selftest(self):
        plan, tests = formats.tap(FIXTURES / "selftest/default.txt")
        self.assertEqual((plan, len(tests)), (5, 5))
        self.assertEqual(tests[1], (True, "WRMSR to TSC_DEADLINE", None))
        self.assertEqual(tests[3], (True, "", "invalid guest state: KVM doesn't emulate invalid states on SVM"))

    def test_a_failed_and_a_named_skipped_test(self):
        _, tests = formats.tap(self.written("not ok 1 CPUID\r\nok 2 nested guest # SKIP no VMX\n#ok 3 x\n"))
        self.assertEqual(tests, [(False, "CPUID", None), (True, "nested guest", "no VMX")])

    def test_a_selftest_that_says_nothing(self):
        self.assertEqual(formats.tap(self.written("")), (None, []))


if __name__ == "__main__":
    unittest.main()
