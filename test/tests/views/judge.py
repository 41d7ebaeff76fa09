#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares what job.sh left of an L2 with two vCPUs: debugfs, QEMU's statistics and the leaves, number by number.

Usage: LANE=... KVM_EXIT_STATS_H=HEADER judge.py DIR, HEADER being the series' uapi/asm/kvm_exit_stats.h
"""
import functools
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "compare"))
import formats
from verdicts import given_directory, on_svm, require, verdict

VCPUS = "vcpu0", "vcpu1"
ALL = *VCPUS, "vm"
directory, svm = given_directory(), on_svm()


# A view is {who: Array}, an Array the pairs (exits, cycles) of all slots.

@functools.cache
def slots():
    header = os.environ.get("KVM_EXIT_STATS_H")
    require(header, "KVM_EXIT_STATS_H is not set")
    return formats.Slots(header, svm)


@functools.cache
def tables(when):
    path = directory / f"{when}.stats"
    found = formats.tables(path)
    require(sorted(found) == sorted(ALL), f"{path} has tables of {', '.join(sorted(found))}")
    return found


def table_array(table):
    """A table lacks what is zero."""
    pairs = [(0, 0)] * slots().count
    for reason, row in table.rows.items():
        pairs[slots().slot(reason)] = row.exits, row.cycles
    pairs[slots().other] = table.other.exits, table.other.cycles
    return pairs


@functools.cache
def debugfs(when):
    return {who: table_array(table) for who, table in tables(when).items()}


def statistics_array(stats, path):
    """The two arrays of KVM's statistics."""
    for name in "exit_counts", "exit_cycles":
        require(name in stats, f"{path} has no {name}")
        require(len(stats[name]) == slots().count, f"{path} has {len(stats[name])} {name}, not {slots().count}")
    return list(zip(stats["exit_counts"], stats["exit_cycles"]))


@functools.cache
def query():
    path = directory / "query-stats.json"
    found = formats.query_stats(path)
    require(len(found) == len(VCPUS), f"{path} has {len(found)} vCPUs")
    return dict(zip(VCPUS, found))


def query_array(who):
    return statistics_array(query()[who], directory / "query-stats.json")


def info_array():
    """What info stats shows unless told otherwise: the first vCPU."""
    path = directory / "info-stats.json"
    return statistics_array(formats.info_stats(path), path)


@functools.cache
def leaves():
    path = directory / "views.txt"
    found = formats.views(path)
    require(found.get("vm"), f"{path} has no leaf of the VM")
    return {who: {slots().slot(reason): pair for reason, pair in found.get(who, {}).items()} for who in ALL}


def same(who, name, array, other_name, other):
    """Two arrays, element by element."""
    for slot, (pair, other_pair) in enumerate(zip(array, other)):
        require(pair == other_pair, f"{who}, slot {slot}: {name} has {pair}, {other_name} has {other_pair}")


def check_query():
    for who in VCPUS:
        same(who, "query-stats", query_array(who), "debugfs", debugfs("after")[who])


def check_info():
    same("vcpu0", "info stats", info_array(), "query-stats", query_array("vcpu0"))


def add(pairs):
    return tuple(map(sum, zip(*pairs)))


def total(who):
    return tuple(tables("after")[who].total[1:])


def check_sums():
    """All slots together are the total and KVM's own count of exits, and the vCPUs together the VM."""
    arrays = debugfs("after")
    for who in ALL:
        require(add(arrays[who]) == total(who), f"{who}: the rows' sum is {add(arrays[who])}, the total {total(who)}")
    for slot, pairs in enumerate(zip(*(arrays[who] for who in ALL))):
        require(add(pairs[:-1]) == pairs[-1], f"slot {slot}: the vCPUs have {add(pairs[:-1])}, the VM {pairs[-1]}")
    for who in VCPUS:
        exits = query()[who].get("exits")
        require(total(who)[0] == exits, f"{who}: total {total(who)[0]}, KVM's exits {exits}")
    exits = formats.number(directory / "exits")
    require(total("vm")[0] == exits, f"total {total('vm')[0]}, KVM's exits {exits}")


def check_leaf(who, slot):
    """It was read between the two pauses. Whether nothing happened between them: then there is one answer."""
    before, after = debugfs("before")[who][slot], debugfs("after")[who][slot]
    require(slot in leaves()[who], f"{who}: slot {slot} was not read")
    read = leaves()[who][slot]
    require(all(low <= value <= high for low, value, high in zip(before, read, after)),
            f"{who}: slot {slot}: read {read}, before {before}, after {after}")
    return before == after


def check_leaves():
    """What came up after L2 was told what to read is not among the VM's."""
    quiet = sum(check_leaf(who, slot) for who in ALL for slot in leaves()["vm"])
    require(quiet >= 10, f"only {quiet} numbers were the same before and after")


def check_last_read():
    """Nothing executed CPUID after it."""
    slot, read = list(leaves()["vm"].items())[-1]
    shown = debugfs("after")["vm"][slot][0]
    require(read[0] == shown, f"read {read[0]}, debugfs has {shown}")


verdict("query-stats has what debugfs shows", check_query)
verdict("info stats has what query-stats has", check_info)
verdict("all slots are KVM's exits, both vCPUs are the VM", check_sums)
verdict("the leaves have what debugfs shows, exactly where nothing happened between two pauses", check_leaves)
verdict("the last read of CPUID's reason is debugfs' count", check_last_read)
