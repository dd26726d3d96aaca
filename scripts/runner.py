# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs kselftest programs in a test VM and counts how everything ended."""

import pathlib
import subprocess

import ktap

TOP = pathlib.Path(__file__).resolve().parent.parent


class Tally:
    """How many passed, failed and were skipped, and the names of the latter two."""

    def __init__(self):
        self.counts = {ktap.PASSED: 0, ktap.FAILED: 0, ktap.SKIPPED: 0}
        self.bad = []

    def add(self, outcome, name):
        self.counts[outcome] += 1
        if outcome != ktap.PASSED:
            self.bad.append(f"{outcome}: {name}")

    def good(self):
        return self.counts[ktap.PASSED] > 0 and not self.bad

    def __str__(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())


def programs_in(directory):
    """The programs of an installed kselftest directory."""
    listed = (directory / "kselftest-list.txt").read_text().split()
    return [name.removeprefix("kipc:") for name in listed]


def run_selftests(tally, directory, programs, show=None, name="check", options=()):
    """Runs programs of an installed kselftest directory and adds each case to the tally,
    and each judgement on the VM. Lines of output go to show as they come."""
    command = "cd /selftests && ./run_kselftest.sh " + " ".join(
        f"-t kipc:{program}" for program in programs)
    call = [TOP / "scripts/vm-run", "--name", name, "--copy", f"{directory}:/selftests",
            "--copy", "/usr/bin/timeout:/usr/bin/timeout", *options, command]
    if show:
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, errors="replace") as vm:
            for line in vm.stdout:
                show(line.rstrip())
    else:
        subprocess.run(call, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run = TOP / "build/vm" / name
    report = run / "report"
    if not report.exists():
        tally.add(ktap.FAILED, "the test VM did not start")
        return
    for outcome, case in ktap.read((run / "output.log").read_text(errors="replace"), programs):
        tally.add(outcome, case)
    for line in report.read_text().splitlines():
        outcome = ktap.PASSED if line.startswith("ok ") else ktap.FAILED
        what = "VM: " + line.split("ok ", 1)[1]
        tally.add(outcome, what)
        if show:
            show(f"{'ok' if outcome == ktap.PASSED else 'not ok'} - {what}")
