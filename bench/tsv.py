# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of the benchmark: a header of lines "# name: value", a line of titles and one for
each case, separated by tabs."""

import collections
import pathlib

TITLES = ["work", "parameter", "mechanism", "median", "min", "max", "unit", "n"]
# What must be the same for figures of two runs to be comparable
MACHINE = ["kernel", "compiler", "QEMU"]

Case = collections.namedtuple("Case", "work parameter mechanism unit")
Figure = collections.namedtuple("Figure", "median min max n")


class Bad(Exception):
    pass


class Results:
    def __init__(self, header=None):
        self.header = header or {}
        self.figures = {}

    def add(self, line):
        fields = line.split("\t")
        if len(fields) != len(TITLES):
            raise Bad(f"not a line of results: {line!r}")
        work, parameter, mechanism, median, least, most, unit, count = fields
        case = Case(work, int(parameter), mechanism, unit)
        if case in self.figures:
            raise Bad(f"twice: {line!r}")
        self.figures[case] = Figure(float(median), float(least), float(most), int(count))

    def write(self, path):
        lines = [f"# {name}: {value}" for name, value in self.header.items()]
        lines.append("\t".join(TITLES))
        for case, figure in self.figures.items():
            lines.append(f"{case.work}\t{case.parameter}\t{case.mechanism}\t{figure.median:.1f}\t"
                         f"{figure.min:.1f}\t{figure.max:.1f}\t{case.unit}\t{figure.n}")
        pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def other_machine(self, other):
        """What keeps the two from being comparable, in words."""
        return [f"{name}: {self.header.get(name)}, then {other.header.get(name)}"
                for name in MACHINE if self.header.get(name) != other.header.get(name)]


def read(path):
    results = Results()
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    while lines and lines[0].startswith("# "):
        name, _, value = lines.pop(0)[2:].partition(": ")
        results.header[name] = value
    if not lines or lines.pop(0).split("\t") != TITLES:
        raise Bad(f"{path}: no line of titles")
    for line in lines:
        results.add(line)
    if not results.figures:
        raise Bad(f"{path}: no figures")
    return results
