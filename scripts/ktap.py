# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the KTAP that the kselftest runner prints: which test cases ran, and how.

The runner puts one line per program at the outer level, and "# " before each
line that the program printed, which may be KTAP itself (once more nested, at
will). Each result line of a program is a case; a program that prints none is
one case. Everything that should be there and is not counts as failed: cases
that a plan announced, programs that did not run, a program that ended badly
although each of its cases was fine.
"""

import re

RESULT = re.compile(r"(not ok|ok)\b\s*(\d+)?\s*(?:- )?(.*)")
PLAN = re.compile(r"1\.\.(\d+)")
PROGRAM = re.compile(r"selftests: [^:]+: (\S+)")

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def outcome(word, text):
    if word == "not ok":
        # A known failure (TODO, XFAIL) is not a pass here either.
        return FAILED
    return SKIPPED if re.search(r"#\s*SKIP\b", text, re.I) else PASSED


def cases_of(program, lines, end):
    """The cases of one program; end is the (word, text) of its own result, or None."""
    cases = []
    planned = None
    for line in lines:
        line = re.sub(r"^(# |  )+", "", line)
        plan = PLAN.fullmatch(line.strip())
        if plan:
            planned = (planned or 0) + int(plan[1])
        result = RESULT.match(line)
        if result:
            name = result[3].strip() or f"case {result[2]}"
            cases.append((outcome(result[1], result[3]), f"{program}: {name}"))
    if planned is not None and planned != len(cases):
        cases.append((FAILED, f"{program}: {planned} cases planned, {len(cases)} reported"))
    if end is None:
        cases.append((FAILED, f"{program}: did not end"))
    elif not cases:
        cases.append((outcome(*end), program))
    elif outcome(*end) == FAILED and not any(case[0] == FAILED for case in cases):
        cases.append((FAILED, f"{program}: {end[1]}"))
    return cases


def read(text, programs):
    """All cases of a run that should have run these programs: a list of (outcome, name)."""
    cases = []
    ran = []
    current, lines = None, []
    for line in text.replace("\r", "").splitlines():
        start = re.fullmatch(r"# " + PROGRAM.pattern, line)
        result = RESULT.match(line)
        name = PROGRAM.search(result[3]) if result else None
        if start:
            if current:
                cases += cases_of(current, lines, None)
            current, lines = start[1], []
            ran.append(current)
        elif name and name[1] == current:
            cases += cases_of(current, lines, (result[1], result[3]))
            current, lines = None, []
        else:
            lines.append(line)
    if current:
        cases += cases_of(current, lines, None)
    cases += [(FAILED, f"{program}: did not run") for program in programs if program not in ran]
    return cases
