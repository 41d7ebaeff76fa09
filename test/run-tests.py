#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the tests of a suite, "test" or "soak", for each series and lane: prepares what they need, boots L1s side by side,
and prints a line for each verdict, "ok SERIES LANE TEST: NAME", then all that are not ok again, and at last "N passed, N
failed, N skipped". Exit status 1 if any failed. The results are in build/SERIES/test/LANE/GROUP/TEST, how long everything
took in build/test-times.csv.

Usage: [SERIES=...] [LANE=...] [TEST=...] test/run-tests.py test|soak
The variables hold names, several in quotes, and leave all others out. A test of TEST may be of either suite.

A test is a folder of test/tests. Its file "needs" begins with a comment that says what the test proves. Then come lines
"KEY = VALUE", or "KEY.LANE = VALUE" for that lane only:

suite      test, or soak for what takes long
soak       the series on which a test of the suite test is of the suite soak; "others" are all but the home series
runs       per-lane, per-series or once; by default once where boot is none, else per-lane
lanes      where it runs, if not everywhere: words LANE or SERIES-LANE
kernels    on which, if not on each series' own: words as 6.12+deb13, of which build/ then has a folder
boot       what L1 boots: initramfs, debian, debian-kernel (that Debian with a whole patched kernel), or none
group      tests with the same group share one boot of L1
last       why it is the last one of its group
alone      why it runs when nothing else does, at the end
seconds    how long L1 may take for it (default 600)
options    of test/lab/boot-l1.sh
files      what lies beside the job: paths below test/, build/... or, in the kernel's tree, linux/...
programs   of test/programs: they lie beside the job, and in build/programs
selftests  of KVM, paths without .c: they lie beside the job, and in build/SERIES/selftests
prepare    what else must be there: targets of make, or debian

job.sh     runs in L1, with the rest of the folder beside it, and prints verdicts: test/lab/l1/init says how
run.sh     runs on L0 instead, where boot is none: run.sh DIR, with SERIES and LANE set, prints verdicts
judge.py   compares afterwards what is in DIR: judge.py DIR, with SERIES, LANE and KVM_EXIT_STATS_H set, prints verdicts
"""
import collections
import concurrent.futures
import csv
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

top = pathlib.Path(__file__).resolve().parent.parent
build = top / "build"
lab = top / "test/lab"
uapi = build / "exitstat.obj/arch/x86/include/uapi"	# scripts/build-exitstat.sh puts the header there
modules = os.environ.get("MODULES")	# test/run-mutants.sh: instead of the series'
home = (top / "patches/HOME").read_text().strip()
lanes = "svm", "vmx"
keys = "suite soak runs lanes kernels boot group last alone seconds options files programs selftests prepare".split()
choices = {
    "suite": ("test", "soak"),
    "runs": ("per-lane", "per-series", "once"),
    "boot": ("initramfs", "debian", "debian-kernel", "none"),
}

# How many run at the same time, and who waits for a core. An L1 in QEMU sleeps for half of its time, and its time is this
# machine's: without a core at once, its guests do little but take ticks. One in Bochs keeps a core busy, and can wait, as
# its time is its own; one more of these than cores, so that at the end both are busy. What builds and tests here comes
# between them.
cores = os.cpu_count() or 1
slots = {"bochs": threading.Semaphore(cores + 1), "qemu": threading.Semaphore(cores), "L0": threading.Semaphore(1)}
niceness = {"bochs": 10, "qemu": 0, "L0": 5}


class Failed(Exception):
    """Why something could not be done, in one line."""


def die(text):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


class Test:
    def __init__(self, folder):
        self.folder, self.name = folder, folder.name
        self.values = {}
        for number, line in enumerate((folder / "needs").read_text().splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            where = f"{folder / 'needs'}:{number}"
            key, equals, value = (part.strip() for part in line.partition("="))
            name, _, lane = key.partition(".")
            if not equals or name not in keys or lane and lane not in lanes:
                die(f"{where}: '{line}': the keys are {' '.join(keys)}")
            if name in choices and value not in choices[name]:
                die(f"{where}: '{value}': {name} is one of {' '.join(choices[name])}")
            self.values[key] = value
        self.suite, self.boot = (self.values.get(key) for key in ("suite", "boot"))
        if not self.suite or not self.boot:
            die(f"{folder / 'needs'}: suite and boot are missing")
        script = "run.sh" if self.boot == "none" else "job.sh"
        if not os.access(folder / script, os.R_OK):
            die(f"{folder}: with boot = {self.boot} it needs a {script}")

    def value(self, key, lane=None):
        default = {"runs": "once" if self.boot == "none" else "per-lane", "seconds": "600"}.get(key, "")
        return self.values.get(f"{key}.{lane}", self.values.get(key, default))

    def words(self, key, lane=None):
        return self.value(key, lane).split()

    def suite_on(self, series):
        """The suite it belongs to there; SERIES may be None."""
        words = self.words("soak")
        return "soak" if series in words or series and series != home and "others" in words else self.suite

    def places(self, all_series, all_lanes):
        """Where it runs: pairs of a series and a lane, each of which may be None."""
        if self.value("runs") == "once":
            return [(None, None)]
        if self.words("kernels"):
            all_series = [kernel for kernel in self.words("kernels") if kernel.split("+")[0] in all_series]
        if self.value("runs") == "per-series":
            return [(series, None) for series in all_series]
        allowed = self.words("lanes") or lanes
        return [(series, lane) for series in all_series for lane in all_lanes
                if lane in allowed or f"{series}-{lane}" in allowed]


class Output:
    """Verdicts on stdout, progress on stderr, from all threads."""
    verdict = re.compile(r"(ok|not ok|skip) (.*)")

    def __init__(self):
        self.lock = threading.Lock()
        self.count = collections.Counter()
        self.failed = []
        self.times = []

    def print_verdict(self, where, line):
        """Prints LINE, if it is a verdict. Returns whether it is."""
        match = self.verdict.fullmatch(line)
        if not match:
            return False
        with self.lock:
            line = f"{match[1]} {where}: {match[2]}"
            self.count[match[1]] += 1
            if match[1] == "not ok":
                self.failed.append(line)
            print(line, flush=True)
        return True

    def not_ok(self, where, name, why):
        self.print_verdict(where, f"not ok {name}: {' '.join(str(why).split())}")

    def log(self, where, text):
        with self.lock:
            print(f"== {where}: {text.removeprefix('== ')}", file=sys.stderr, flush=True)

    def sum_up(self):
        for line in self.failed:
            print(line)
        print(f"{self.count['ok']} passed, {self.count['not ok']} failed, {self.count['skip']} skipped", flush=True)
        return 1 if self.failed else 0


class Processes:
    """All that is started here, so that it ends with this."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()
        self.stopped = False

    def run(self, kind, where, what, command, environment=None, on_line=None):
        """Runs it. Its stderr is progress of WHERE, and so are the lines of its stdout for which ON_LINE is false.
        Returns its exit status."""
        began = time.monotonic()
        with self.lock:
            if self.stopped:
                raise Failed("interrupted")
            process = subprocess.Popen(
                ["nice", "-n", str(niceness[kind]), *(str(word) for word in command)], text=True, errors="replace",
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
            self.running.add(process)

        def pass_on(stream, on_line):
            for line in stream:
                line = line.rstrip("\n")
                if not on_line or not on_line(line):
                    output.log(where, line)

        reader = threading.Thread(target=pass_on, args=(process.stderr, None), daemon=True)
        reader.start()
        pass_on(process.stdout, on_line)
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with self.lock:
            self.running.discard(process)
        with output.lock:
            output.times.append((began, time.monotonic(), usage.ru_utime + usage.ru_stime, where, what))
        return process.returncode

    def stop(self):
        with self.lock:
            self.stopped = True
            running = list(self.running)
        for number in signal.SIGTERM, signal.SIGKILL:
            for process in running:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + 15
            while self.running and time.monotonic() < end:
                time.sleep(0.1)


output = Output()
processes = Processes()


# In a kernel's tree: its sources, without what its build makes there.
sources = ["(", "-name", "*.[chS]", "-o", "-name", "Makefile*", "-o", "-name", "Kconfig*", ")",
           "!", "-path", "*/generated/*", "!", "-name", "*.mod.c"]


def is_newer(stamp, paths, *which):
    """Is any file of WHICH in PATHS newer than STAMP, or STAMP not there?"""
    paths = [path for path in paths if path.exists()]
    if not stamp.exists():
        return True
    found = subprocess.run(["find", *paths, "-type", "f", "-newer", stamp, *which, "-print", "-quit"],
                           stdout=subprocess.PIPE, check=True)
    return bool(paths and found.stdout)


class Preparations:
    """What the picked tests need, each made once, and when what it needs is there."""

    def __init__(self, units):
        self.pool = concurrent.futures.ThreadPoolExecutor(max_workers=64)
        self.lock = threading.Lock()
        self.futures = {}
        self.targets = collections.defaultdict(set)	# of make, by series
        self.selftests = collections.defaultdict(set)
        self.programs = set()
        self.debian = set()				# series
        self.debian_kernel = any(unit.boot == "debian-kernel" for unit in units)
        for unit in units:
            series = unit.series
            self.targets[series].update(unit.targets())
            self.programs.update(unit.words("programs"))
            self.selftests[series].update(unit.words("selftests"))
            if unit.debian:
                self.debian.add(series)

    def want(self, unit):
        """Starts what UNIT needs. Returns futures."""
        wanted = [self.start(self.make, None, frozenset(["exitstat"]))] if unit.targets() else []
        if unit.series and unit.targets():
            wanted.append(self.start(self.make, unit.series, frozenset(self.targets[unit.series])))
        if unit.words("programs"):
            wanted.append(self.start(self.make_programs))
        if unit.words("selftests"):
            wanted.append(self.start(self.build_selftests, unit.series))
        if unit.kind == "bochs":
            wanted.append(self.start(self.run, None, "Bochs", (lab / "build-bochs.sh",)))
        if unit.debian:
            wanted.append(self.start(self.build_debian))
        return wanted

    def start(self, function, *args):
        with self.lock:
            if (function, args) not in self.futures:
                self.futures[function, args] = self.pool.submit(function, *args)
            return self.futures[function, args]

    def run(self, series, what, command, **environment):
        where = series or "all"
        if series:
            environment["SERIES"] = series
        status = processes.run("L0", where, what, command, environment)
        if status:
            raise Failed(f"{what} failed")

    def make(self, series, targets):
        """make, if anything has changed since the last time."""
        home = build / series if series else build
        inputs, tree = [top / name for name in ("Makefile", "scripts", "patches")], []
        if series:
            self.start(self.make, None, frozenset(["exitstat"])).result()
            inputs += [lab, top / "test/lib.sh", build / "exitstat"]
            tree = [home / "linux" / name for name in ("arch/x86", "include", "virt", "tools/kvm", "Makefile")]
        outputs = {"exitstat": build / "exitstat", "build": home / "modules/origin", "lab": home / "lab/l1.cpio"}
        stale = [target for target in sorted(targets) if not outputs.get(target, home).exists() or
                 is_newer(home / f"made-{target}", inputs) or is_newer(home / f"made-{target}", tree, *sources)]
        if not stale:
            return
        self.run(series, "make " + " ".join(stale), ["make", "-s", "--no-print-directory", "-C", top, *stale])
        for target in stale:
            (home / f"made-{target}").touch()

    def make_programs(self):
        self.start(self.make, None, frozenset(["exitstat"])).result()
        self.run(None, "programs", ["make", "-s", "--no-print-directory", "-C", top / "test/programs", f"O={build / 'programs'}",
                                    f"UAPI={uapi}", *sorted(self.programs)])

    def build_selftests(self, series):
        self.start(self.make, series, frozenset(self.targets[series])).result()
        tests, folder = sorted(self.selftests[series]), build / series / "selftests"
        stamp = folder / "made"
        tree = build / series / "linux/tools/testing/selftests/kvm"
        if not is_newer(stamp, [tree], *sources) and stamp.read_text().split() == tests:
            return
        self.run(series, "selftests", [top / "scripts/build-selftest.sh", *tests])
        stamp.write_text("\n".join(tests))

    def build_debian(self):
        """One for each release, and for all that boot it. Each kernel goes into its root when that series' lab is ready."""
        script = lab / "build-debian.sh"
        pending = {self.start(self.make, series, frozenset(self.targets[series])): series for series in self.debian}
        ready = []
        for future in concurrent.futures.as_completed(pending):
            if future.exception():		# for which its own units wait, too
                continue
            self.run(pending[future], "Debian's modules", [script, "root", pending[future]])
            ready.append(pending[future])
        what = ["kernel"] if self.debian_kernel else []
        if ready:
            self.run(None, "Debian's disk", [script, *what, *sorted(ready)])


class Unit:
    """What runs at once: a test on L0, or a group of tests in one L1."""

    def __init__(self, tests, series, lane):
        self.tests, self.series, self.lane = tests, series, lane
        self.boot = tests[0].boot
        self.name = tests[0].value("group", lane) or tests[0].name
        self.place = " ".join(word for word in (series, lane) if word)
        self.where = self.place and f"{self.place} {self.name}" or self.name
        self.debian = self.boot.startswith("debian") or "debian" in self.words("prepare")
        self.seconds = sum(int(test.value("seconds", lane)) for test in tests)
        self.options = self.words("options")
        if self.boot == "none":
            self.kind = "L0"
        else:
            self.kind = "bochs" if lane == "vmx" or "-b" in self.options else "qemu"
        self.out = build / (series or "") / "test" / (lane or "") / self.name

    def words(self, key):
        return [word for test in self.tests for word in test.words(key, self.lane)]

    def targets(self):
        """What make makes for it."""
        targets = set(self.words("prepare")) - {"debian"}
        if self.boot != "none" or self.debian:
            targets.add("lab")
        elif self.words("selftests"):
            targets.add("build")
        return targets

    def environment(self):
        environment = {"KVM_EXIT_STATS_H": str(uapi / "asm/kvm_exit_stats.h")}
        if self.series:
            environment["SERIES"] = self.series
        if self.lane:
            environment["LANE"] = self.lane
        return environment

    def where_is(self, test):
        """TEST with its place, for a verdict."""
        return self.place and f"{self.place} {test.name}" or test.name

    def run(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        if self.boot == "none":
            self.run_here(self.tests[0])
        else:
            self.run_in_l1()

    def run_here(self, test):
        verdicts = Verdicts(self.where_is(test))
        command = [test.folder / "run.sh", self.out]
        status = processes.run("L0", self.where, "run", command, self.environment(), on_line=verdicts.take)
        if status:
            verdicts.not_ok("run.sh", f"exit status {status}: see {self.out}")
        self.judge(test, self.out, verdicts)

    def run_in_l1(self):
        with tempfile.TemporaryDirectory() as jobs:
            self.stage(pathlib.Path(jobs))
            options = {"initramfs": [], "debian": ["-d"],
                       "debian-kernel": ["-d", "-k", build / self.series / "lab/vmlinuz-patched"]}[self.boot]
            if self.boot == "initramfs" and modules:
                options = ["-m", modules]
            command = [lab / "boot-l1.sh", *options, *self.options, "-t", self.seconds, "-o", self.out, "-j", jobs]
            status = processes.run(self.kind, self.where, f"L1 ({self.kind})", command, self.environment())
        verdicts = Verdicts(self.where)
        if status:
            verdicts.not_ok("its run in L1", f"exit status {status}: see {self.out}")
        verdicts.scan("L1's logs have no splat", [self.out / "l1-dmesg.txt", self.out / "l1-console.log"])
        for test in self.tests:
            self.read_results(test, self.out / test.name)

    def stage(self, jobs):
        """Puts into JOBS what L1 has in /job."""
        (jobs / "order").write_text("".join(f"{test.name}\n" for test in self.tests))
        for test in self.tests:
            folder = jobs / test.name
            shutil.copytree(test.folder, folder, ignore=shutil.ignore_patterns("needs", "judge.py"))
            files = []
            for word in test.words("files", self.lane):
                root = {"linux": build / self.series, "build": top}.get(word.split("/")[0], top / "test")
                files.append(root / word)
            files += [build / "programs" / word for word in test.words("programs", self.lane)]
            files += [build / self.series / "selftests" / word.split("/")[-1] for word in test.words("selftests", self.lane)]
            for file in files:
                if not file.exists():
                    raise Failed(f"{test.folder / 'needs'}: there is no {file}")
                shutil.copy(file, folder)

    def read_results(self, test, folder):
        verdicts = Verdicts(self.where_is(test))
        try:
            status = (folder / "status").read_text().strip()
        except OSError:
            status = "none: it did not come to its end"
        if status != "0":
            verdicts.not_ok("its job in L1", f"exit status {status}: see {folder}")
        try:
            for line in (folder / "verdicts").read_text(errors="replace").splitlines():
                verdicts.take(line)
        except OSError:
            pass
        if status == "0":
            self.judge(test, folder, verdicts)
        logs = sorted(path for pattern in ("*-dmesg.txt", "*-console.log") for path in folder.rglob(pattern))
        if logs:
            verdicts.scan("the logs have no splat", logs)

    def judge(self, test, folder, verdicts):
        script = test.folder / "judge.py"
        if script.exists():
            status = processes.run("L0", self.where, "judge", [script, folder], self.environment(), on_line=verdicts.take)
            if status:
                verdicts.not_ok("its judge", f"exit status {status}: see {folder}")
        if not verdicts.taken:
            verdicts.not_ok("verdicts", f"there are none: see {folder}")


class Verdicts:
    """Those of a test at a place."""

    def __init__(self, where):
        self.where, self.taken = where, 0

    def take(self, line):
        taken = output.print_verdict(self.where, line)
        self.taken += taken
        return taken

    def not_ok(self, name, why):
        self.taken += 1
        output.not_ok(self.where, name, why)

    def scan(self, name, logs):
        found = subprocess.run([lab / "scan-splats.sh", *logs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", check=False)
        if found.returncode:
            output.not_ok(self.where, name, (found.stdout.splitlines() or ["the scan failed"])[0])
        else:
            output.print_verdict(self.where, f"ok {name}")


def pick_words(variable, known):
    """What the environment's VARIABLE names, or all."""
    words = os.environ.get(variable, "").split()
    for word in words:
        if word not in known:
            die(f"{variable}={word}: there is only {' '.join(known)}")
    return [word for word in known if word in words] or list(known)


def known_series():
    """Those of patches/, the newest first."""
    return sorted((path.parent.name for path in (top / "patches").glob("*/series")),
                  key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def pick_units():
    """The tests of the suite, or of TEST, in groups, the longest first."""
    if len(sys.argv) != 2 or sys.argv[1] not in choices["suite"]:
        die(f"usage: [SERIES=...] [LANE=...] [TEST=...] {pathlib.Path(sys.argv[0]).name} {'|'.join(choices['suite'])}")
    all_series, all_lanes = pick_words("SERIES", known_series()), pick_words("LANE", lanes)
    tests = {path.parent.name: Test(path.parent) for path in sorted((top / "test/tests").glob("*/needs"))}
    if os.environ.get("TEST", "").split():
        picked = [tests[name] for name in pick_words("TEST", tests)]
        for test in picked:
            if not test.places(all_series, all_lanes):
                die(f"TEST={test.name}: it runs on {test.value('lanes')} only")
        wanted = choices["suite"]
    else:
        picked, wanted = tests.values(), sys.argv[1:]
    groups = collections.defaultdict(list)
    for test in sorted(picked, key=lambda test: bool(test.value("last"))):
        for place in test.places(all_series, all_lanes):
            if test.suite_on(place[0]) in wanted:
                groups[place, test.value("group", place[1]) or test.name].append(test)
    units = [Unit(group, *place) for (place, _), group in groups.items()]
    return sorted(units, key=lambda unit: -unit.seconds)


def unavailable(series):
    """Why SERIES has no kernel any more, if another one has: what scripts/fetch-kernel.sh says of it."""
    reason = build / str(series) / "unavailable"
    if not reason.exists() or all((build / name / "unavailable").exists() for name in known_series()):
        return None
    return reason.read_text().strip()


def play(unit, preparations):
    """Runs UNIT when it can. Whatever goes wrong is a failure of its tests, but that Debian has its kernel no more."""
    try:
        for future in preparations:
            future.result()
        with slots[unit.kind]:
            unit.run()
    except Exception as error:	# also one of this program's own
        if not processes.stopped:
            why = error if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
            reason = unavailable(unit.series)
            for test in unit.tests:
                if reason:
                    output.print_verdict(unit.where_is(test), f"skip it could not run: {reason}")
                else:
                    output.not_ok(unit.where_is(test), "it could not run", why)


def write_times(began):
    """Into build/test-times.csv, and as a table on stderr."""
    rows = [(f"{start - began:.0f}", f"{end - start:.0f}", f"{cpu:.0f}", where, what)
            for start, end, cpu, where, what in sorted(output.times) if end - start >= 1]
    head = "start", "seconds", "cpu", "where", "what"
    with open(build / "test-times.csv", "w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    for row in [head, *rows]:
        print("{:>6} {:>8} {:>6}  {:24} {}".format(*row), file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} seconds in all", file=sys.stderr)


ending = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def stop(number, _frame):
    for each in ending:
        signal.signal(each, signal.SIG_IGN)
    print("== ending what runs", file=sys.stderr)
    processes.stop()
    os._exit(128 + number)


def main():
    began = time.monotonic()
    units = pick_units()
    # A step's series and lane are set here; MAKEFLAGS, of the make that this runs under, would go before them.
    for name in "SERIES", "LANE", "MAKEFLAGS":
        os.environ.pop(name, None)
    build.mkdir(exist_ok=True)
    for number in ending:
        signal.signal(number, stop)
    preparations = Preparations(units)
    threads = {unit: threading.Thread(target=play, args=(unit, preparations.want(unit)), daemon=True) for unit in units}
    alone = [unit for unit in units if unit.words("alone")]
    together = [unit for unit in units if unit not in alone]
    for batch in [together, *([unit] for unit in alone)]:
        for unit in batch:
            threads[unit].start()
        for unit in batch:
            threads[unit].join()
    write_times(began)
    sys.exit(output.sum_up())


main()
