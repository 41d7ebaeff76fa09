#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what job.sh left of an L2 with one vCPU: the ledger in debugfs, in QEMU's query-stats and in L2 itself, with the
TSC and what KVM, the scheduler, tracing and L2's kernel know. Writes DIR/table.txt. Usage: LANE=... judge.py DIR
"""
import functools
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import attempt, given_directory, on_svm, require, verdict

STATES = "wall guest kvm vmm halted preempted blocked outside".split()
# What each phase is for: the state that has most of L2's time, or one that has its share, of L2's own command.
MOST = {"busy": "guest", "idle": "halted", "fork": "guest"}
SHARE = {"timer": ("halted", 0.2), "device": ("vmm", 0.25), "shared": ("preempted", 0.3), "shared-device": ("vmm", 0.15),
         "paged": ("blocked", 0.2)}
directory = given_directory()


@functools.cache
def tables(when):
    path = directory / f"{when}.stats"
    found = formats.tables(path)
    require(sorted(found) == ["vcpu0", "vm"], f"{path} has tables of {', '.join(sorted(found))}")
    for who, table in found.items():
        require(list(table.ledger or ()) == STATES, f"{path}: {who} has no such ledger")
    return found


@functools.cache
def tsc_khz():
    leaf, = formats.cpuid(directory / "abi.txt")
    return leaf.ecx


def ms(cycles):
    return cycles / tsc_khz()


@functools.cache
def spent(phase):
    """The ms that the vCPU spent in each state during the phase."""
    before, after = (tables(f"{phase}-{when}")["vcpu0"].ledger for when in ("before", "after"))
    return {state: ms(after[state].cycles - before[state].cycles) for state in STATES}


@functools.cache
def seen(phase):
    """The ms that L2 saw in each state while its command ran, which is within the phase."""
    rows = (re.fullmatch(r".*,(\d+),\d+,,,,(\w+)", line) for line in formats.lines(directory / f"{phase}.csv"))
    found = {row[2]: ms(int(row[1])) for row in rows if row}
    require(list(found) == STATES[1:], f"{phase}.csv has states {', '.join(found)}")
    return found


def grown(phase, name):
    """By how much the numbers of a file have grown."""
    def read(path):
        return map(int, formats.match(r"\d+( \d+)*", " ".join(formats.lines(path)), path)[0].split())
    before, after = (read(directory / f"{phase}-{when}.{name}") for when in ("before", "after"))
    return [new - old for old, new in zip(before, after, strict=True)]


def halted(phase):
    return sum(grown(phase, "halted")) / 1e6


def on_cpu(phase):
    return grown(phase, "thread")[0] / 1e6


def waited(phase):
    """Runnable and without a CPU, also while halted or in QEMU."""
    return grown(phase, "thread")[1] / 1e6


def guest_time(phase):
    return grown(phase, "thread")[2] * 10


def steal(phase):
    return grown(phase, "steal")[0] * 10


@functools.cache
def notes():
    """{NAME: (TSC, cycles from KVM_RUN's returns to its next calls)}"""
    path = directory / "notes.txt"
    first, *rest = formats.lines(path)
    kept, written = formats.match(r"(\d+)/(\d+)", first, path).groups()
    require(kept == written, f"{path}: the trace has {kept} of {written} events")
    return {name: (int(tsc), int(vmm)) for tsc, name, vmm in
            (formats.match(r"(\d+) (\S+) (\d+) \d+", line, path).groups() for line in rest)}


def traced(phase):
    return ms(notes()[f"{phase}-after-begins"][1] - notes()[f"{phase}-before-begins"][1])


def between(phase):
    """At least and at most as many ms lie between two readings of the table."""
    tsc = {name: notes()[f"{phase}-{name}"][0] for name in ("before-begins", "before-ends", "after-begins", "after-ends")}
    return ms(tsc["after-begins"] - tsc["before-ends"]), ms(tsc["after-ends"] - tsc["before-begins"])


def check_sums(phase):
    """Of a paused VM only "outside", and thus "wall", go on."""
    for who, table in tables(f"{phase}-after").items():
        wall, *others = (state.cycles for state in table.ledger.values())
        require(wall == sum(others), f"{who}: the states have {sum(others)} cycles, wall {wall}")
        handled = table.ledger["kvm"]
        require(handled == table.total[1:], f"{who}: kvm has {handled}, the exits' total is {table.total[1:]}")
        *rows, total = table.user.values()
        rows = tuple(map(sum, zip(*rows)))
        require(rows == total, f"{who}: the sum of what userspace completed is {rows}, the total {total}")
        vmm = table.ledger["vmm"].cycles
        require(vmm == total[1], f"{who}: vmm has {vmm} cycles, its reasons have {total[1]}")
    vm, vcpu = (tables(f"{phase}-after")[who].ledger for who in ("vm", "vcpu0"))
    for state in STATES[1:-1]:
        require(vm[state] == vcpu[state], f"{state}: the vCPU has {vcpu[state]}, the VM {vm[state]}")


def check_query():
    queried, = formats.query_stats(directory / "query-stats.json")
    for state in STATES[1:-1]:
        shown = tables("end")["vcpu0"].ledger[state].cycles
        require(shown == queried.get(f"{state}_cycles"), f"{state}: debugfs has {shown}, query-stats {queried.get(f'{state}_cycles')}")
    wall = sum(queried[f"{state}_cycles"] for state in STATES[1:])
    require(wall == queried["wall_cycles"], f"the states have {wall} cycles, wall {queried['wall_cycles']}")


def check_within(name, value, least, most, why):
    require(least <= value <= most, f"{name} has {value:.2f} ms, should be in {least:.2f}..{most:.2f}: {why}")


def check_wall(phase):
    check_within("wall", spent(phase)["wall"], *between(phase), "the TSC before and after reading it")


def check_halted(phase):
    """KVM's times begin a bit later and end a bit sooner."""
    check_within("halted", spent(phase)["halted"], halted(phase), 1.05 * halted(phase) + 2, "KVM's times")


def check_vmm(phase):
    """The tracepoints are closer to userspace than the ledger, which has KVM_RUN's begin and end in an emulator, too."""
    check_within("vmm", spent(phase)["vmm"], traced(phase), 1.4 * traced(phase) + 2, "traced")


def check_preempted(phase):
    """The thread also waits for a CPU when it is woken from a halt, and in QEMU."""
    least = waited(phase) / 2 if phase == "shared" else 0
    check_within("preempted", spent(phase)["preempted"], least, waited(phase) + 1, "the scheduler's run_delay")


def check_steal(phase):
    """L2 reads its ticks a bit before it is paused, and has steal time of the kinds that run_delay has, too."""
    least = steal(phase) / 2 if phase == "shared" else 0
    check_within("preempted", spent(phase)["preempted"], least, steal(phase) + 100, "the guest's own steal time")


def check_on_cpu(phase):
    """On a CPU it is all the time in the guest and in KVM, and some time in QEMU."""
    time = spent(phase)
    least = time["guest"] + time["kvm"]
    check_within("the scheduler", on_cpu(phase), 0.99 * least - 1, 1.01 * (least + time["vmm"] + time["halted"] + time["outside"]) + 1,
                 "guest + kvm, and those with vmm, halted and outside")


def check_guest_time(phase):
    """In ticks, i.e. not exact: worth something only where there are many, and where none is lost, as QEMU's on a busy
    machine are.
    """
    check_within("guest", spent(phase)["guest"], 0.75 * guest_time(phase) - 40, 1.25 * guest_time(phase) + 40,
                 "guest time in /proc")


def check_seen(phase):
    for state, time in seen(phase).items():
        require(time <= spent(phase)[state], f"{state}: L2 saw {time:.2f} ms, the host {spent(phase)[state]:.2f} ms")


def check_most(phase):
    most = max(seen(phase), key=seen(phase).get)
    require(most == MOST[phase], f"{most} has {seen(phase)[most]:.1f} ms, {MOST[phase]} {seen(phase)[MOST[phase]]:.1f} ms")


def check_share(phase):
    state, least = SHARE[phase]
    share = seen(phase)[state] / sum(seen(phase).values())
    require(share >= least, f"{state} has {share:.1%}")


def write_table(phases):
    """A row for each phase: the ledger's ms, each beside what its witness has."""
    head = ("wall", "TSC", "halted", "KVM's", "vmm", "traced", "preempted", "run_delay", "steal", "guest+kvm", "on CPU", "guest",
            "/proc")
    rows = [f"{'ms':14}" + "".join(f"{name:>10}" for name in head)]
    for phase in phases:
        time = spent(phase)
        numbers = (time["wall"], sum(between(phase)) / 2, time["halted"], halted(phase), time["vmm"], traced(phase),
                   time["preempted"], waited(phase), steal(phase), time["guest"] + time["kvm"], on_cpu(phase), time["guest"],
                   guest_time(phase))
        rows.append(f"{phase:14}" + "".join(f"{number:10.1f}" for number in numbers))
    (directory / "table.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def judge_phase(phase):
    verdict(f"{phase}: the states add up", check_sums, phase)
    verdict(f"{phase}: wall is the TSC's", check_wall, phase)
    verdict(f"{phase}: halted is what KVM has waited and polled", check_halted, phase)
    verdict(f"{phase}: vmm is what tracing saw outside of KVM_RUN", check_vmm, phase)
    verdict(f"{phase}: preempted is within what the scheduler has", check_preempted, phase)
    verdict(f"{phase}: preempted is within the guest's steal time", check_steal, phase)
    verdict(f"{phase}: guest and kvm are on a CPU", check_on_cpu, phase)
    verdict(f"{phase}: L2 sees no more than its host", check_seen, phase)
    if MOST.get(phase) == "guest" and not on_svm():
        verdict(f"{phase}: guest is its thread's guest time", check_guest_time, phase)
    if phase in MOST:
        verdict(f"{phase}: L2 sees that most is {MOST[phase]}", check_most, phase)
    if phase in SHARE:
        verdict(f"{phase}: L2 sees that {SHARE[phase][0]} has its share", check_share, phase)


def judge_all():
    phases = formats.lines(directory / "phases")
    for phase in phases:
        judge_phase(phase)
    verdict("query-stats has the same", check_query)
    attempt("the table of witnesses", write_table, phases)


attempt("L2 went through its phases", judge_all)
