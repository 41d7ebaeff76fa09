#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints the hooks of the accounting in KVM's modules, instruction by instruction, and their cache lines.

Usage: hot-path.py KVM MODULES OBJECTS: arch/x86/kvm of the kernel's tree, the modules, and x86.o, vmx.o, svm.o and
base.o (x86.c without the series) with DWARF. show-hot-path.sh makes these.

A hook is a statement in x86.c, vmx.c or svm.c that inlines a function kvm_exit_stats_*(). The instructions are the
modules'; which of them belong to a statement is what the DWARF of the same code says.
"""
import collections
import functools
import math
import pathlib
import re
import subprocess
import sys

if len(sys.argv) != 4:
    sys.exit("usage: hot-path.py KVM MODULES OBJECTS")
kvm, modules, objects = (pathlib.Path(arg).absolute() for arg in sys.argv[1:])

LINE = 64
# A hook ends where this many instructions in a row are of something else: the compiler mixes what stands side by side.
MIXED = 12
# Called in a hook's statement, and the same in a kernel without the series.
STOCK = "kvm_read_l1_tsc"
# Whether accounting is on, or the exit was charged, and thus accounting is off: the compare before a jump.
SWITCH = re.compile(r"cmpb? +\$0x0,(?:(kvm_exit_stats_enabled)\(%rip\)|0x)")
SETS_FLAGS = re.compile("(?!mov|lea|nop|j)")
HOOK = re.compile(r"\bkvm_exit_(stats_\w+|tsc)\(")

Instruction = collections.namedtuple("Instruction", "section address offset text target key")


def run(*command, **kwargs):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **kwargs).stdout


def die(text):
    sys.exit(f"hot-path.py: {text}")


def place(text):
    """What a relocation refers to: a symbol or section, and the distance from it."""
    name, sign, distance = re.match(r"(.+?)(?:([-+])0x(\w+))?$", text).groups()
    return name, int(f"{sign or ''}{distance or 0}", 16)


def disassemble(path):
    """The instructions of each function, its cold part included."""
    # A static branch has three relocations: where it is, where it jumps to, and the key.
    entries = re.findall(r"^[0-9a-f]+ R_\S+ +(\S+)$", run("objdump", "-r", "-j", "__jump_table", path), re.M)
    branches = {place(code): (place(target), place(key)[0]) for code, target, key in zip(*[iter(entries)] * 3)}
    functions = collections.defaultdict(list)
    section, name, start = None, None, 0
    for line in run("objdump", "-d", "-r", "-w", "--no-show-raw-insn", path).splitlines():
        if match := re.match(r"Disassembly of section (\S+):", line):
            section = match[1]
        elif match := re.match(r"([0-9a-f]+) <(.*)>:", line):
            start, name = int(match[1], 16), match[2]
        elif match := re.match(r"\s*([0-9a-f]+):\t([^\t]*)(?:\t[0-9a-f]+: R_\S+\t(\S+))?", line):
            address, text = int(match[1], 16), match[2].strip()
            target = key = None
            if (section, address) in branches:
                target, key = branches[section, address]
            elif re.match(r"j\w+ ", text):
                target = section, int(text.split()[1], 16)
                if match[3]:
                    # The distance is from the jump's end.
                    other, distance = place(match[3])
                    target = other, distance + 4
            elif match[3] and "(%rip)" in text:
                text = re.sub(r"0x0\(%rip\) .*", f"{place(match[3])[0]}(%rip)", text)
            offset = f"{'cold' * name.endswith('.cold')}+{address - start:x}"
            functions[name].append(Instruction(section, address, offset, text, target, key))
    # objtool gives what is between two functions to the second.
    for code in functions.values():
        while len(code) > 1 and re.search("nop|xchg +%ax,%ax", code[-1].text):
            code.pop()
    for name in [name for name in functions if name.endswith(".cold")]:
        functions[name.removesuffix(".cold")] += functions.pop(name)
    return functions


def inlined(path, functions):
    """For each place of an object, from the inside out, the functions and lines that it comes from."""
    chains = collections.defaultdict(list)
    sections = collections.defaultdict(list)
    for code in functions.values():
        for instruction in code:
            sections[instruction.section].append(instruction.address)
    for section, addresses in sections.items():
        lines = iter(run("addr2line", "-a", "-f", "-i", "-j", section, "-e", path,
                         input="\n".join(map(hex, addresses))).splitlines())
        for line in lines:
            if line.startswith("0x"):
                chain = chains[section, int(line, 16)]
            else:
                file, _, number = next(lines).partition(" ")[0].rpartition(":")
                chain.append((line, file, int(number) if number.isdigit() else 0))
    return chains


class Hook:
    """One or more lines of a function's source, and their instructions."""

    def __init__(self, code, function, lines):
        self.code, self.function, self.lines = code, function, lines
        self.source = [code.text[line - 1] for line in lines]
        self.depth = len(re.match(r"\t*", self.source[0])[0])
        above = (line for line in reversed(code.text[:lines[0] - 1]) if line.strip())
        self.block = next(line for line in above if len(re.match(r"\t*", line)[0]) < self.depth).strip(" \t{")
        self.instructions = []
        self.at_exit = not any(re.search("kvm_exit_stats_(init|load|put|(un)?halt|(enter|leave)_run)", line) for line in self.source)
        self.at_every_exit = self.at_exit and self.depth == 1

    def order(self):
        """Roughly as they are executed; last what few exits execute."""
        return not self.at_exit, self.depth, self.instructions[0].section != ".noinstr.text", self.lines

    @functools.cache
    def executed(self, on):
        """Those of the instructions that a usual exit executes, with accounting on or off."""
        mine = set(self.instructions)
        every, usual = (self.code.successors(self.function, state) for state in (None, on))
        entries = {after for i in every if i not in mine for after in every[i] if after in mine}

        def reached(start, graph):
            seen, todo = set(), [(start, 0)]
            while todo:
                i, others = todo.pop()
                if i not in seen and others <= MIXED:
                    seen.add(i)
                    todo += [(after, 0 if after in mine else others + 1) for after in graph[i]]
            return seen

        # Where only a detour through other instructions comes back to the hook, it does not begin.
        back = {a for e in entries for a in reached(e, every) & entries - {e} if e not in reached(a, every)}
        # Of several ways into it, the compiler puts the usual one first.
        first = min(entries - back, key=lambda e: (e.section != self.instructions[0].section, e.address), default=None)
        return reached(first, usual) & mine if first else set()

    def never_without(self, instruction):
        """Whether all ways from the hook to itself, or from the function's begin if no loop is around the hook, have
        the instruction."""
        graph = self.code.successors(self.function, None)
        goal = self.instructions[0]
        seen, todo = {instruction}, [*graph[goal]]
        if self.depth == 1:
            todo.append(self.code.functions[self.function][0])
        while todo:
            i = todo.pop()
            if i == goal:
                return False
            if i not in seen:
                seen.add(i)
                todo += graph[i]
        return True


class Code:
    """A module's code that an object with DWARF explains, and the hooks in it."""

    def __init__(self, name, source, module):
        self.source, self.module = source, module
        self.text = (kvm / source).read_text(encoding="utf-8").splitlines()
        self.functions = disassemble(modules / f"{module}.ko")
        self.hooks = []
        explained = disassemble(objects / f"{name}.o")
        chains = inlined(objects / f"{name}.o", explained)
        for function, code in explained.items():
            self.find_hooks(function, code, [chains[i.section, i.address] for i in code])
        self.hooks.sort(key=Hook.order)

    def find_hooks(self, function, code, chains):
        path = str(kvm / self.source)
        own = [{line for _, file, line in chain if line and file == path} for chain in chains]
        found = set()
        for chain, lines in zip(chains, own):
            if any(HOOK.match(f"{name}(") for name, *_ in chain[:-1]):
                found |= {line for line in lines if HOOK.search(self.text[line - 1])}
        if not found:
            return
        if [i.offset for i in self.functions[function]] != [i.offset for i in code]:
            die(f"{function}() is not as the modules have it: run 'make build'")
        # A condition and what it guards are one hook, and a statement may take several lines.
        groups = []
        found |= {line - 1 for line in found if HOOK.search(self.text[line - 2])}
        for line in sorted(found):
            if groups and line <= groups[-1][-1] + 1:
                groups[-1].append(line)
            else:
                groups.append([line])
            while not re.search(r"[;{}]|^\s*if .*\)$", self.text[groups[-1][-1] - 1]):
                groups[-1].append(groups[-1][-1] + 1)
        for group in groups:
            hook = Hook(self, function, sorted(set(group)))
            for instruction, chain, lines in zip(self.functions[function], chains, own):
                if lines & set(group) and all(name != STOCK for name, *_ in chain):
                    hook.instructions.append(instruction)
                    hook.name = next(name for name, file, line in reversed(chain) if line in group)
            self.hooks.append(hook)

    @functools.cache
    def successors(self, function, on):
        """What may follow each instruction; or, with accounting on or off, what usually does: jumps on a condition are
        for the unusual."""
        code = self.functions[function]
        switches = {i: bool(match[1]) for hook in self.hooks if hook.function == function
                    for i in hook.instructions if (match := SWITCH.match(i.text))}
        known = {(i.section, i.address): i for i in code}
        graph = {}
        switch = None
        for i, following in zip(code, [*code[1:], None]):
            target = known.get(i.target)
            switch = switches.get(i, None if SETS_FLAGS.match(i.text) else switch)
            if on is not None and switch is not None and re.match("jn?e ", i.text):
                after = [target if (on == switch) == i.text.startswith("jne") else following]
            elif i.key and on is None:
                after = [following, target]
            elif re.match("jmp|ret", i.text):
                after = [target]
            else:
                after = [following] if on is not None else [following, target]
            graph[i] = [a for a in after if a]
        return graph


def members(path, struct):
    """Offset, size and name of the members of a struct, and its size and alignment."""
    text = run("pahole", "-C", struct, path)
    found = re.findall(r"^\t+\S.*?(\w+)(?:\[\d+\])*(?: __attribute__\S+)?; +/\* +(\d+) +(\d+) \*/", text, re.M)
    align = re.search(r"^} __attribute__\(\(__aligned__\((\d+)\)\)\)", text, re.M)
    size = int(re.search(r"/\* size: (\d+)", text)[1])
    return [(int(offset), int(length), name) for name, offset, length in found], size, int(align[1]) if align else 8


class Layout:
    """Where the fields of struct kvm_vcpu lie, which is the first member of the vendors' own."""

    def __init__(self, name, struct):
        path = objects / f"{name}.o"
        self.struct = struct
        own, self.size, self.align = members(path, struct)
        vcpu = members(path, "kvm_vcpu")[0]
        self.fields = []
        for offset, size, name in vcpu:
            if name in ("arch", "stat"):
                self.fields += [(offset + inner, length, f"{name}.{field}")
                                for inner, length, field in members(path, f"kvm_vcpu_{name}")[0]]
            else:
                self.fields.append((offset, size, name))
        if struct != "kvm_vcpu":
            self.fields += own[1:]

    def at(self, offset):
        return next((field for field in self.fields if field[0] <= offset < field[0] + field[1]), None)

    def named(self, name):
        return next(field for field in self.fields if field[2] == name)


def memory(text):
    """Displacement and base of an instruction's operand in memory."""
    match = re.search(r"(?:^|[ ,])(0x[0-9a-f]+)\((%\w+)[,)]", text)
    return (int(match[1], 16), match[2]) if match and match[2] != "%rip" else (None, None)


HANDLED, REENTERS = "exit that handle_exit() handles", "exit after which the fastpath re-enters"
OURS = ["arch.exit_tsc", "arch.exit_slot", "arch.exit_charged", "stat.exit_counts", "stat.exit_cycles", "stat.kvm_cycles"]


def vcpu_register(hook, layout):
    """The register that holds the vCPU: the one through which the hook reaches our fields."""
    for i in hook.instructions:
        offset, base = memory(i.text)
        if base and (field := layout.at(offset)) and field[2] in OURS:
            return base
    return None


def show(hook, layout):
    where = f"{hook.name}()" + (f" in {hook.function}()" if hook.name != hook.function else "")
    print(f"\n{where}, {hook.code.source}: on {len(hook.executed(True))}, off {len(hook.executed(False))}")
    if hook.depth > 1:
        print(f"    in: {hook.block}")
    for line in hook.source:
        print("    " + line[hook.depth:].replace("\t", "    "))
    print("    on  off")
    register = vcpu_register(hook, layout)
    for i in hook.instructions:
        text, note = i.text, ""
        if i.target:
            goals = (j.offset for j in hook.code.functions[hook.function] if (j.section, j.address) == i.target)
            text = f"{text.split()[0]} {next(goals, '')}"
        else:
            offset, base = memory(i.text)
            if base and base == register and (field := layout.at(offset)):
                note = field[2]
        marks = "".join(f"{'x' if i in hook.executed(on) else '-':>5}" for on in (True, False))
        print(f"{marks} {i.offset:>9}  {re.sub(' +', ' ', text):<34} {note}".rstrip())


def stock_read():
    """The instructions that read the TSC for last_guest_tsc in a kernel without the series."""
    path = objects / "base.c"
    text = path.read_text(encoding="utf-8").splitlines()
    functions = disassemble(objects / "base.o")
    chains = inlined(objects / "base.o", functions)
    return [i.text for code in functions.values() for i in code
            if any(name == "rdtsc" for name, *_ in chains[i.section, i.address]) and
            any(file == str(path) and "last_guest_tsc = " in text[line - 1]
                for _, file, line in chains[i.section, i.address])]


def ways(vendor):
    """The hooks on the two ways that an exit takes."""
    always = [hook for hook in vendor.hooks if hook.at_every_exit]
    hooks = {HANDLED: always + [hook for hook in generic.hooks if hook.at_every_exit],
             REENTERS: always + [hook for hook in generic.hooks if hook.block.startswith("for (;;)")]}
    for way in hooks.values():
        for name in "begin", "end":
            if sum(f"kvm_exit_stats_{name}(" in line for hook in way for line in hook.source) != 1:
                die(f"{vendor.module}: there is not one hook kvm_exit_stats_{name}() on each way of an exit")
    return hooks.items()


def show_sums(vendor, stock):
    print(f"\n{'all hooks of ' + vendor.module:<42} {'unpatched':>9} {'off':>11} {'on':>11}")
    for title, hooks in ways(vendor):
        for what, kind in ((title, ""), ("  of these RDTSC", "rdtsc")):
            old = sum(text.startswith(kind) for text in stock) if title == HANDLED else 0
            new = [sum(i.text.startswith(kind) for hook in hooks for i in hook.executed(on)) for on in (False, True)]
            print(f"  {what:<40} {old:>9} " + " ".join(f"{number:>4} ({number - old:+4d})" for number in new))


def touched(hooks, layout):
    """The fields that all exits on the way of these hooks touch, in the hooks' functions."""
    fields = set()
    for hook in hooks:
        mine = {i for other in hook.code.hooks for i in other.instructions}
        register = vcpu_register(hook, layout)
        for i in hook.code.functions[hook.function]:
            offset, base = memory(i.text)
            if i not in mine and base and base == register and (field := layout.at(offset)) and hook.never_without(i):
                fields.add(field)
    return fields


def show_lines(vendor, layout):
    """Which cache lines hold our fields, and what else an exit touches in them."""
    ours = [layout.named(name) for name in OURS]
    old = {title: touched(hooks, layout) for title, hooks in ways(vendor)}
    print(f"\nstruct {layout.struct}: {layout.size} bytes, aligned to {layout.align};"
          f" of the accounting: {sum(size for _, size, _ in ours)}")
    print(f"  {'field':<18} {'offset':>6} {'size':>5} {'line':>8}  what a handled exit touches in that line anyway")
    for offset, size, name in ours:
        if size > LINE:
            line = f"{offset // LINE}-{(offset + size - 1) // LINE}"
            what = "(it touches one element)"
        else:
            line = offset // LINE
            what = ", ".join(field[2] for field in sorted(old[HANDLED]) if field[0] // LINE == line) or "nothing"
        print(f"  {name:<18} {offset:>6} {size:>5} {line:>8}  {what}")
    # Without alignment the slab allocator decides where in a line a vCPU starts.
    starts = range(0, LINE, math.gcd(-(-layout.size // layout.align) * layout.align, LINE))
    for title, fields in old.items():
        more = {len({(start + offset) // LINE for offset, size, _ in ours if size <= LINE} -
                    {(start + offset) // LINE for offset, *_ in fields}) + sum(size > LINE for _, size, _ in ours)
                for start in starts}
        print(f"  {title + ', lines more:':<51}  {' or '.join(map(str, sorted(more)))}")


generic = Code("x86", "x86.c", "kvm")
vendors = {Code("vmx", "vmx/vmx.c", "kvm-intel"): Layout("vmx", "vcpu_vmx"),
           Code("svm", "svm/svm.c", "kvm-amd"): Layout("svm", "vcpu_svm")}
for code, layout in [*vendors.items(), (generic, Layout("x86", "kvm_vcpu"))]:
    print(f"\n{code.module}.ko\n{'=' * len(code.module)}===")
    for hook in code.hooks:
        show(hook, layout)
print("\ntogether\n========\n")
stock = stock_read()
print("unpatched, for last_guest_tsc: " + "; ".join(re.sub(" +", " ", text) for text in stock))
for vendor in vendors:
    show_sums(vendor, stock)
for vendor, layout in vendors.items():
    show_lines(vendor, layout)
