#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what job.sh left of an L2 with one vCPU: the ledger in debugfs and in QEMU's query-stats, KVM's own times, and
those of the scheduler. Usage: judge.py DIR
"""
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import given_directory, require, verdict

STATES = "wall guest kvm vmm halted preempted blocked outside".split()
PHASES = "busy idle device shared".split()
directory = given_directory()


@functools.cache
def tables(when):
    path = directory / f"{when}.stats"
    found = formats.tables(path)
    require(sorted(found) == ["vcpu0", "vm"], f"{path} has tables of {', '.join(sorted(found))}")
    return found


@functools.cache
def tsc_khz():
    leaf, = formats.cpuid(directory / "abi.txt")
    return leaf.ecx


def ms(cycles):
    return cycles / tsc_khz()


def spent(phase):
    """The ms that the vCPU spent in each state during the phase."""
    before, after = (tables(f"{phase}-{when}")["vcpu0"].ledger for when in ("before", "after"))
    return {state: ms(after[state].cycles - before[state].cycles) for state in STATES}


def grown(phase, name, line):
    """By how many ms a number of that file has grown that is in ns."""
    before, after = (formats.lines(directory / f"{phase}-{when}.{name}") for when in ("before", "after"))
    return [(int(new) - int(old)) / 1e6 for old, new in zip(" ".join(before).split(), " ".join(after).split())][line]


def check_sums(when):
    """Of a paused VM only "outside", and thus "wall", go on."""
    for who, table in tables(when).items():
        require(list(table.ledger) == STATES, f"{who}: the states are {', '.join(table.ledger)}")
        wall, *others = (state.cycles for state in table.ledger.values())
        require(wall == sum(others), f"{who}: the states have {sum(others)} cycles, wall {wall}")
        handled = table.ledger["kvm"]
        require(handled == table.total[1:], f"{who}: kvm has {handled}, the exits' total is {table.total[1:]}")
        *rows, total = table.user.values()
        rows = tuple(map(sum, zip(*rows)))
        require(rows == total, f"{who}: the sum of what userspace completed is {rows}, the total {total}")
        vmm = table.ledger["vmm"].cycles
        require(vmm == total[1], f"{who}: vmm has {vmm} cycles, its reasons have {total[1]}")
    vm, vcpu = (tables(when)[who].ledger for who in ("vm", "vcpu0"))
    for state in STATES[1:-1]:
        require(vm[state] == vcpu[state], f"{state}: the vCPU has {vcpu[state]}, the VM {vm[state]}")


def check_query():
    queried, = formats.query_stats(directory / "query-stats.json")
    for state in STATES[1:-1]:
        shown = tables("end")["vcpu0"].ledger[state].cycles
        require(shown == queried.get(f"{state}_cycles"), f"{state}: debugfs has {shown}, query-stats {queried.get(f'{state}_cycles')}")
    wall = sum(queried[f"{state}_cycles"] for state in STATES[1:])
    require(wall == queried["wall_cycles"], f"the states have {wall} cycles, wall {queried['wall_cycles']}")


def run(phase):
    """The same without the time for which L2 was paused."""
    return {state: time for state, time in spent(phase).items() if state not in ("wall", "outside")}


def check_most(phase, state):
    times = run(phase)
    most = max(times, key=times.get)
    require(most == state, f"{most} has {times[most]:.1f} ms, {state} {times[state]:.1f} ms")


def check_shared():
    """Of two tasks on a CPU each has half, more or less."""
    share = run("shared")["preempted"] / sum(run("shared").values())
    require(share > 0.3, f"preempted has {share:.1%}")


def check_device():
    """An emulator takes long for the guest's own instructions as well."""
    busy, device = (run(phase)["vmm"] / sum(run(phase).values()) for phase in ("busy", "device"))
    require(device > 0.1 and device > 5 * busy, f"vmm has {device:.1%}, {busy:.1%} when busy")


def check_near(name, value, other_name, other, slack):
    require(abs(value - other) <= slack, f"{name} has {value:.2f} ms, {other_name} {other:.2f} ms")


def check_halted(phase):
    """KVM's times begin a bit later and end a bit sooner."""
    halted, known = spent(phase)["halted"], sum(grown(phase, "halted", line) for line in range(3))
    check_near("halted", halted, "KVM's times", known, halted / 20 + 1)
    require(halted >= known, f"halted has {halted:.2f} ms, KVM's times {known:.2f} ms")


def check_preempted(phase):
    check_near("preempted", spent(phase)["preempted"], "the scheduler", grown(phase, "schedstat", 1), spent(phase)["preempted"] / 4)


for phase in PHASES:
    verdict(f"{phase}: the states add up", check_sums, f"{phase}-after")
verdict("query-stats has the same", check_query)
for phase, state in {"busy": "guest", "idle": "halted"}.items():
    verdict(f"{phase}: most is {state}", check_most, phase, state)
verdict("shared: preempted has its share", check_shared)
verdict("device: vmm has its share", check_device)
verdict("halted is what KVM has waited and polled", check_halted, "idle")
verdict("preempted is what the scheduler has", check_preempted, "shared")
