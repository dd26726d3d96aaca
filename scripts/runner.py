# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs checks, and kselftest programs in a test VM, and counts how everything ended."""

import collections
import pathlib
import re
import subprocess
import sys

import ktap

TOP = pathlib.Path(__file__).resolve().parent.parent


# What must be built before tests can run
FOR_SELFTESTS = [
    ("library", ["make", "-C", "userlib", "all", "lib32"]),
    ("tools build", ["make", "-C", "tools", "all"]),
    ("naming service builds", ["make", "-C", "tools/named", "all"]),
    ("selftests build", ["scripts/build-selftests"]),
]


# Before a command: it has what CPU time the VM beside it leaves. Those CPUs wait for each other,
# and become many times slower when they must also wait for others.
BESIDE_VM = ["chrt", "--idle", "0"]


class Tally:
    """How many passed, failed and were skipped, and the names of the latter two."""

    def __init__(self):
        self.counts = {ktap.PASSED: 0, ktap.FAILED: 0, ktap.SKIPPED: 0}
        self.bad = []

    def add(self, outcome, name):
        self.counts[outcome] += 1
        if outcome != ktap.PASSED:
            self.bad.append(f"{outcome}: {name}")

    def merge(self, other):
        for outcome, count in other.counts.items():
            self.counts[outcome] += count
        self.bad += other.bad

    def good(self):
        return self.counts[ktap.PASSED] > 0 and not self.bad

    def __str__(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())


    def finish(self, directory):
        """Names what was not good, prints the counts last and leaves them in the file
        summary; returns the exit status."""
        for what in self.bad:
            print(what)
        (directory / "summary").write_text(f"{self}\n")
        print(self, flush=True)
        return 0 if self.good() else 1


def run_check(tally, directory, check, environment=None):
    """Runs a check, a name and a command, and adds it to the tally as one test."""
    name, command = check
    log = directory / (name.replace(" ", "-").replace(",", "").replace("'", "") + ".log")
    try:
        good = subprocess.run(["scripts/quietly", name, log.relative_to(TOP), *command],
                              check=False, env=environment).returncode == 0
    finally:
        sys.stdout.flush()
    tally.add(ktap.PASSED if good else ktap.FAILED, name)
    return good


def show_all(line):
    print(line, flush=True)


class ShowResults:
    """Of many programs only how each one ended, and which of its cases did not pass, with
    what these had to say."""

    def __init__(self):
        self.said = collections.deque(maxlen=12)

    def __call__(self, line):
        if line.startswith("# not ok"):
            show_all("\n".join([*self.said, line]))
        elif line.startswith(("ok", "not ok")) or "# SKIP" in line:
            show_all(line)
        if not line.startswith("# #") or re.match(r"# #\s+RUN", line):
            self.said.clear()
        else:
            self.said.append(line)


# These run once more with every payload of who waits in pinned pages, which otherwise only
# large ones are (parameter pin_min)
PINNED = ["storm", "race", "moment", "fate", "rpc", "signal", "client_death", "server_death",
          "stall", "peek", "deadline", "removal", "recv_loses_nothing", "send_leaves_nothing",
          "order", "quota", "rights", "compat32"]
ALL_PINNED = ["--parameter", "pin_min=1"]


def needs_fault_injection(program):
    """Whether a program makes the kernel fail, as only the kernel of the debug tier can."""
    return program.startswith("fail_")


def is_short(program):
    """Whether a program belongs to the short suite: what the module does with its kernel, and
    how its queues compare with that kernel's own. The others try the tools, at length."""
    return program not in ("named", "examples.sh") and not program.startswith("tool_")


def programs_in(directory):
    """The programs of an installed kselftest directory."""
    listed = (directory / "kselftest-list.txt").read_text().split()
    return [name.removeprefix("kipc:") for name in listed]


def add_report(tally, report, label, show):
    """Adds the judgements on a VM."""
    for line in report.read_text().splitlines():
        outcome = ktap.PASSED if line.startswith("ok ") else ktap.FAILED
        what = f"{label}VM: " + line.split("ok ", 1)[1]
        tally.add(outcome, what)
        if show:
            show(f"{'ok' if outcome == ktap.PASSED else 'not ok'} - {what}")


def require_program(parser, name):
    """Of the command line: a program of selftests/, its source or a script, or none."""
    if name and not any((TOP / "selftests" / file).exists() for file in (f"{name}.c", name)):
        parser.error(f"there is no selftests/{name}.c, and no selftests/{name}")


# Programs that dropin_programs.sh runs, and what they open that is not linked with them
DEBIAN_PROGRAMS = ["chmod", "chown", "dpkg-deb", "env", "faked-sysv", "fakeroot-sysv", "getopt",
                   "ipcmk", "ipcrm", "mknod", "perl", "python3", "stat", "stress-ng", "tar"]
DEBIAN_FILES = ["/usr/lib/x86_64-linux-gnu/libfakeroot/libfakeroot-sysv.so",
                "/usr/lib/locale/C.utf8"]
# What an interpreter has opened when it has what the test, and kselftest's runner, want of it
DEBIAN_MODULES = [
    ["/usr/bin/perl", "-MDynaLoader", "-MErrno", "-MIO::Handle", "-MIPC::Msg", "-MIPC::SysV", "-e",
     r"print join qq(\n), values %INC, @DynaLoader::dl_shared_objects"],
    ["/usr/bin/python3", "-I", "-c",
     "import sys, os, sysv_ipc, time\n"
     "for module in list(sys.modules.values()):\n"
     "    for name in '__file__', '__cached__':\n"
     "        print(getattr(module, name, None) or '')\n"],
]


def debian_programs():
    """Options of scripts/vm-run that bring what dropin_programs.sh needs."""
    files = [f"/usr/bin/{name}" for name in DEBIAN_PROGRAMS] + DEBIAN_FILES
    for command in DEBIAN_MODULES:
        files += subprocess.run(command, check=True, text=True,
                                stdout=subprocess.PIPE).stdout.split()
    return [word for file in sorted(set(files)) if pathlib.Path(file).exists()
            for word in ("--copy", f"{file}:{file}")]


def run_selftests(tally, directory, programs, show=None, name="check", options=(),
                  environment=None, label=""):
    """Runs programs of an installed kselftest directory and adds each case to the tally,
    and each judgement on the VM, their names behind a label. Lines of output go to show
    as they come."""
    command = "cd /selftests && ./run_kselftest.sh " + " ".join(
        f"-t kipc:{program}" for program in programs)
    # Linux 6.1 has memfd_secret() only then, newer ones always.
    call = [TOP / "scripts/vm-run", "--name", name, "--copy", f"{directory}:/selftests",
            "--copy", "/usr/bin/timeout:/usr/bin/timeout", "--append", "secretmem.enable=1",
            "--time-limit", "3600", "--quiet-limit", "600",
            # For kipc(1): a terminal, what installs a module, another user, capabilities
            "--copy", "/lib/terminfo/l/linux:/lib/terminfo/l/linux",
            "--copy", "/usr/bin/kmod:/usr/sbin/depmod",
            "--copy", "/usr/bin/setpriv:/usr/bin/setpriv",
            "--copy", "/usr/sbin/setcap:/usr/sbin/setcap",
            *options, command]
    if "dropin_programs.sh" in programs:
        call[1:1] = debian_programs()
    if show:
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, errors="replace",
                              env=environment) as vm:
            for line in vm.stdout:
                show(line.rstrip())
    else:
        subprocess.run(call, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env=environment)

    run = TOP / "build/vm" / name
    report = run / "report"
    if not report.exists():
        tally.add(ktap.FAILED, "the test VM did not start")
        return
    for outcome, case in ktap.read((run / "output.log").read_text(errors="replace"), programs):
        tally.add(outcome, label + case)
    add_report(tally, report, label, show)
