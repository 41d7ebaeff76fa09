# SPDX-License-Identifier: GPL-2.0
"""Checks of a snapshot that lib.sh's function of that name took: NAME.stats, NAME.exits and NAME.hist."""
import formats
from verdicts import require


def check_sum(directory, name):
    """All slots together are KVM's own count of exits, and the table's total."""
    table = formats.table(directory / f"{name}.stats")
    exits = formats.number(directory / f"{name}.exits")
    slots = table.other.exits + sum(row.exits for row in table.rows.values())
    require(0 < slots == table.total.exits == exits, f"sum of the slots {slots}, total {table.total.exits}, exits {exits}")


def check_means(directory, name):
    """In each row, and in the total, cycles/exit is what it says."""
    for exits, cycles, mean in formats.means(directory / f"{name}.stats"):
        require(mean == (exits and cycles // exits), f"{cycles} cycles by {exits} exits are not {mean}")


def check_hist(directory, name, svm):
    """Reason by reason, the table has what the tracepoint has seen."""
    rows = formats.table(directory / f"{name}.stats").rows
    traced = formats.histogram(directory / f"{name}.hist", svm)
    for reason in sorted({*rows, *traced}):
        counted = rows[reason].exits if reason in rows else 0
        require(counted == traced[reason],
                f"reason {formats.spell(reason, svm)}: counted {counted}, traced {traced[reason]}")


def check_brackets(directory, svm):
    """What the guest read with cpuid lies between the snapshots before and after."""
    before, after = (formats.table(directory / f"{when}.stats").rows for when in ("before", "after"))
    read = {reason: value for (reason, unit), value in formats.leaves(directory / "leaves.txt").values.items()
            if unit == "exits" and reason != "all"}
    require(read, f"no reasons were read: {directory / 'leaves.txt'}")
    for reason, value in read.items():
        low, high = (rows[reason].exits if reason in rows else 0 for rows in (before, after))
        require(low <= value <= high, f"reason {formats.spell(reason, svm)}: read {value}, before {low}, after {high}")
