# SPDX-License-Identifier: GPL-2.0
"""Reads what the kernel and the tools print, each format in one place.

An exit reason is an int; its name has "_" for each space. What cannot be read raises Wrong, which names the file.
"""
import collections
import json
import pathlib
import re

from verdicts import Wrong, require

Row = collections.namedtuple("Row", "name exits cycles")
Table = collections.namedtuple("Table", "rows other total ledger user")	# rows: {reason: Row}, ledger: {state: State},
										# user: {reason as it is written: (exits, cycles)}
State = collections.namedtuple("State", "times cycles")
Histogram = collections.namedtuple("Histogram", "trigger counts")	# counts: {key: hits}
Leaf = collections.namedtuple("Leaf", "leaf index eax ebx ecx edx")
Leaves = collections.namedtuple("Leaves", "announced values undefined")	# values: {(reason or "all", unit): value}
Log = collections.namedtuple("Log", "values numbers names")		# values: the same; the others by reason
Perf = collections.namedtuple("Perf", "exits us")
Samples = collections.namedtuple("Samples", "seen last vcpus")
Tap = collections.namedtuple("Tap", "plan tests")
Traced = collections.namedtuple("Traced", "exits cycles")
Test = collections.namedtuple("Test", "passed name skipped")		# skipped: why, or None


def read_any(path):
    """The text of a file, which may have none."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error


def read(path):
    """The text of a file, which must have some."""
    text = read_any(path)
    require(text.strip(), f"{path} is empty")
    return text


def lines(path):
    """The lines of a file that are not empty."""
    return [line for line in re.split(r"\r*\n", read(path)) if line.strip()]


def number(path):
    """A file's only number, e.g. of debugfs' exits."""
    text = read(path).strip()
    require(text.isdecimal(), f"{path}: '{text}' is no number")
    return int(text)


def numbers(path):
    """Lines "NAME NUMBER"."""
    return {name: int(value) for name, value in (match(r"(\S+) (\d+)", line, path).groups() for line in lines(path))}


def match(pattern, line, path):
    """What PATTERN finds in a LINE that must be of its form."""
    found = re.fullmatch(pattern, line)
    require(found, f"{path} has an odd line: {line.strip()}")
    return found


def spell(reason, svm):
    """A reason as the kernel writes it."""
    return hex(reason) if svm else str(reason)


# debugfs

# A kernel of ABI version 1 has no ledger, and two columns less.
TABLE_HEADER = r" *reason +name +exits +cycles +cycles/exit( +user_exits +user_cycles)?"
TABLE_ROW = r" *(0x[0-9a-f]+|\d+|-|total) +([^ \d].*?|) +(\d+) +(\d+) +(\d+)(?: +(\d+) +(\d+))?"
LEDGER_HEADER = r" *state +times +cycles"
LEDGER_ROW = r" *([a-z]+) +(\d+) +(\d+)"


def split_table(path, text):
    """The lines of the ledger and those of the exit reasons, without their headers."""
    first = next((i for i, line in enumerate(text) if re.fullmatch(TABLE_HEADER, line)), None)
    require(first is not None, f"{path} has no table")
    require(first == 0 or re.fullmatch(LEDGER_HEADER, text[0]), f"{path} does not begin with a ledger")
    return text[1:first], text[first + 1:]


def parse_table(path, text):
    rows, other, total, user = {}, Row("OTHER", 0, 0), None, {}
    states, reasons = split_table(path, text)
    ledger = {state: State(int(times), int(cycles))
              for state, times, cycles in (match(LEDGER_ROW, line, path).groups() for line in states)}
    for line in reasons:
        reason, name, *numbers_of = match(TABLE_ROW, line, path).groups(default="0")
        exits, cycles, _, *completed = map(int, numbers_of)
        row = Row(name.replace(" ", "_"), exits, cycles)
        user[reason] = tuple(completed)
        if reason == "total":
            total = row
        elif reason == "-":
            other = row
        else:
            rows[int(reason, 0)] = row
    require(total, f"{path} has no total")
    return Table(rows, other, total, ledger, user)


def table(path):
    """exit_stats of a VM or a vCPU."""
    return parse_table(path, lines(path))


def means(path):
    """The rows' exits, cycles and cycles/exit."""
    _, reasons = split_table(path, lines(path))
    return [tuple(map(int, match(TABLE_ROW, line, path).groups()[2:5])) for line in reasons]


def tables(path):
    """What show_tables of the lab's lib.sh prints: {"vm": Table, "vcpu0": Table, ...}."""
    rows = collections.defaultdict(list)
    for line in lines(path):
        who, row = match(r"(vm|vcpu\d+) (.*)", line, path).groups()
        if row:
            rows[who].append(row)
    return {who: parse_table(path, text) for who, text in rows.items()}


# Tracing

def histograms(path):
    """A tracepoint's file hist: a histogram for each of its hist triggers. None may have dropped anything."""
    found, dropped = [], 0
    for line in lines(path):
        if trigger := re.match(r"# trigger info: (.*)", line):
            found.append(Histogram(trigger[1], {}))
        elif entry := re.match(r"\{ \w+: +(\d+) \} hitcount: +(\d+)$", line):
            require(found, f"{path} has no trigger")
            found[-1].counts[int(entry[1])] = int(entry[2])
        elif line.strip().startswith("Dropped:"):
            dropped += 1
            require(line.split()[1] == "0", f"{path}: {line.strip()}")
    require(found and dropped == len(found), f"{path} has {dropped} ends of {len(found)} histograms")
    return found


def exit_reasons(counts, svm):
    """The counts of a histogram by exit_reason: on VMX the lower half of the full reason is the basic one."""
    reasons = collections.Counter()
    for full, hits in counts.items():
        reasons[full if svm else full & 0xffff] += hits
    return reasons


def histogram(path, svm):
    """The only histogram of kvm_exit: {reason: hits}. It never sees OTHER."""
    found = histograms(path)
    require(len(found) == 1, f"{path} has {len(found)} histograms")
    require(found[0].counts, f"the histogram is empty: {path}")
    return exit_reasons(found[0].counts, svm)


def traced(path):
    """What the test cycles sums up of a trace: {name: Traced}."""
    return {name: Traced(*map(int, values)) for name, *values in
            (match(r"(\S+) (\d+) (\d+)", line, path).groups() for line in lines(path))}


# CPUID

def leaf_of(line):
    """A line of cpuid -r."""
    found = re.fullmatch(r" *(0x[0-9a-f]+) (0x[0-9a-f]+): eax=(0x[0-9a-f]+) ebx=(0x[0-9a-f]+) "
                         r"ecx=(0x[0-9a-f]+) edx=(0x[0-9a-f]+) *", line)
    return found and Leaf(*(int(value, 16) for value in found.groups()))


def cpuid(path):
    """All leaves that cpuid -r printed."""
    found = [leaf for leaf in map(leaf_of, lines(path)) if leaf]
    require(found, f"{path} has no leaf")
    return found


def wide(low, high):
    return high << 32 | low


def meaning(leaf):
    """Subject, unit and value of the four leaves that the kernel logs."""
    return {
        0x4ffffffd: (leaf.index, "exits", wide(leaf.eax, leaf.ebx)),
        0x4ffffffc: (leaf.index, "cycles", wide(leaf.ecx, leaf.ebx)),
        0x4fffffff: ("all", "exits", wide(leaf.eax, leaf.ebx)),
        0x4ffffffe: ("all", "cycles", wide(leaf.ecx, leaf.ebx)),
    }.get(leaf.leaf)


def leaves(path):
    """What read-leaves.sh prints."""
    announced = [int(line.split()[0]) for line in lines(path) if re.fullmatch(r"[1-9]\d* reasons", line)]
    require(len(announced) == 1, f"{path} does not say how many reasons")
    values, undefined = {}, set()
    for leaf in cpuid(path):
        if found := meaning(leaf):
            subject, unit, values[found[:2]] = found
            if leaf.edx == 0xffffffff:
                undefined.add(subject)
    return Leaves(announced[0], values, undefined)


def views(path):
    """What read-views.sh prints: {"vcpu0": {reason: (exits, cycles)}, ..., "vm": ...}, in the order of the reads."""
    found, who = {}, None
    for line in lines(path):
        if line in ("vm", "vcpu0", "vcpu1"):
            who = line
            found[who] = {}
        elif leaf := leaf_of(line):
            require(who and leaf.leaf == (0x4ffffffa if who == "vm" else 0x4ffffff9),
                    f"{path} has an odd line: {line.strip()}")
            found[who][leaf.index] = wide(leaf.eax, leaf.ebx), wide(leaf.ecx, leaf.edx)
    return found


def logged(path):
    """What the kernel logged of the reads, the last line of each."""
    log = Log({}, {}, {})
    for line in lines(path):
        found = re.search(r"kvm: exit_stats: vm \S+ vcpu \d+: "
                          r"(?:all reasons|reason (0x[0-9a-f]+|\d+) \((.+)\)): (\d+) (exits|cycles)$", line)
        if not found:
            continue
        text, name, value, unit = found.groups()
        subject = int(text, 0) if text else "all"
        log.values[subject, unit] = int(value)
        if text:
            log.numbers[subject], log.names[subject] = text, name
    return log


class Slots:
    """The defined reasons and their slots in the arrays of KVM's statistics, by the series' header."""

    def __init__(self, header, svm):
        text = read(header)
        ranges = re.search(rf"^#define KVM_EXIT_STATS_{'SVM' if svm else 'VMX'}_RANGES\b(.*?[^\\])\n", text, re.M | re.S)
        other = re.search(r"^#define KVM_EXIT_STATS_SLOT_OTHER\s+(\d+)", text, re.M)
        require(ranges and other, f"{header} does not define the ranges of reasons, or the slot of all others")
        self.ranges = [tuple(int(value, 0) for value in found)
                       for found in re.findall(r"\{ *(\w+), *(\w+), *(\w+) *\}", ranges[1])]
        self.other = int(other[1])
        self.count = self.other + 1

    def slot(self, reason):
        for first, last, slot in self.ranges:
            if first <= reason <= last:
                return slot + reason - first
        raise Wrong(f"reason {reason} ({reason:#x}) is not defined")


# QEMU, which lists arrays from the last element to the first

def answer(path):
    """What a command of QMP returned."""
    try:
        return json.loads(read(path))["return"]
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"{path} is no answer of QMP") from error


def query_stats(path):
    """query-stats of the vCPUs, in the order of their QOM paths: [{name: value or values}]."""
    try:
        vcpus = sorted(answer(path), key=lambda vcpu: vcpu["qom-path"])
        stats = [{stat["name"]: stat["value"] for stat in vcpu["stats"]} for vcpu in vcpus]
    except (KeyError, TypeError) as error:
        raise Wrong(f"{path} is no answer to query-stats") from error
    return [{name: value[::-1] if isinstance(value, list) else value for name, value in vcpu.items()} for vcpu in stats]


def info_stats(path):
    """The arrays of "info stats", which counts elements from 1: {name: values}."""
    text = answer(path)
    require(isinstance(text, str), f"{path} is no answer to info stats")
    arrays = {}
    for name, elements in re.findall(r"^ *(\w+) \(.*?\):((?: +\[\d+\]=\d+)+) *\r?$", text, re.M):
        pairs = re.findall(r"\[(\d+)\]=(\d+)", elements)
        require([int(index) for index, _ in pairs] == list(range(1, len(pairs) + 1)), f"{path}: {name} lacks elements")
        arrays[name] = [int(value) for _, value in reversed(pairs)]
    return arrays


# The tools that count exits

def perf(path):
    """perf kvm stat report: {name: Perf}."""
    found = {}
    for line in lines(path):
        if row := re.fullmatch(r" *(\S.*?) +(\d+) +[\d.]+% +[\d.]+% +[\d.]+us +[\d.]+us +([\d.]+)us +\(.*\) *", line):
            found[row[1].replace(" ", "_")] = Perf(int(row[2]), row[3])
    require(found, f"{path} has no row")
    return found


def samples(path):
    """Lines "seen NAME EXITS", a reason each, and "last NAME 1", a vCPU each, of perf script."""
    seen, last, vcpus = collections.Counter(), collections.Counter(), 0
    for line in lines(path):
        kind, name, exits = match(r"(seen|last) (\S+) (\d+)", line, path).groups()
        (seen if kind == "seen" else last)[name] += int(exits)
        vcpus += kind == "last"
    return Samples(seen, last, vcpus)


def kvm_stat(path):
    """kvm_stat -l -c, among what Python may warn of: the sum of each column."""
    rows = [line.split(",") for line in lines(path) if re.match(r"timestamp,|\d{4}-", line)]
    require(len(rows) > 1 and rows[0][0] == "timestamp", f"{path} has no rows")
    header = rows[0]
    sums = collections.Counter()
    for row in rows:
        if row != header:		# which comes again now and then
            require(len(row) == len(header) and all(map(str.isdecimal, row[1:])),
                    f"{path} has an odd line: {','.join(row)}")
            sums.update(dict(zip(header[1:], map(int, row[1:]))))
    return sums


def kvm_exits(sums):
    """The columns kvm_exit(NAME) of kvm_stat that counted: {name: exits}."""
    return {name[len("kvm_exit("):-1]: exits for name, exits in sums.items() if name.startswith("kvm_exit(") and exits}


def kvmexit(path):
    """bcc's kvmexit, which may have counted nothing: {name: exits}."""
    return {name: int(exits) for name, exits in re.findall(r"^ *([A-Z_]+) +(\d+) *$", read(path), re.M)}


def bpftrace(path):
    """A map of bpftrace: {key: count}."""
    return {int(key): int(count) for key, count in re.findall(r"^@\w*\[(\d+)\]: (\d+)$", read(path), re.M)}


# Selftests

def tap(path):
    """The tests of a selftest. Linux 6.1's of the statistics says nothing, and so has no plan."""
    text = read_any(path)
    plan = re.search(r"^1\.\.(\d+)\b", text, re.M)
    tests = []
    for result, name in re.findall(r"^(ok|not ok) \d+ ?(.*?)\r?$", text, re.M):
        name, skipped, why = re.fullmatch(r"(.*?)\s*(?:(# SKIP)\s*(.*))?", name).groups()
        tests.append(Test(result == "ok", name, why if skipped else None))
    return Tap(int(plan[1]) if plan else None, tests)
