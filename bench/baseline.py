# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether kipc's figures have grown beyond those of the baseline."""

import math

LIMIT = 3   # per cent
KIPC = "kipc"
REFERENCE = "reference"


def peers_mean(results, case):
    """The geometric mean of what the peers need for the same; of the machine's own
    figures where kipc has no peer."""
    for peers in (
            [figure.median for other, figure in results.figures.items()
             if other.mechanism != KIPC and other.unit == case.unit
             and (other.work, other.parameter) == (case.work, case.parameter)],
            [figure.median for other, figure in results.figures.items()
             if other.work == REFERENCE and other.unit == case.unit]):
        if peers:
            return math.exp(sum(map(math.log, peers)) / len(peers))
    return None


def judge(baseline, results):
    """(good, text) for each of kipc's cases, and what is to be said besides."""
    said = [f"another {what}" for what in baseline.other_machine(results)]
    ratios = bool(said)
    if ratios:
        said.append("so what is compared are ratios to the peers")
    verdicts = []
    for case in dict.fromkeys([*baseline.figures, *results.figures]):
        if case.mechanism != KIPC or case.unit != "instructions":
            continue
        name = f"{case.work}/{case.parameter}"
        old, new = baseline.figures.get(case), results.figures.get(case)
        if not old or not new:
            verdicts.append((False, f"{name}: " + ("was not measured" if old else
                                                   "is not in the baseline")))
            continue
        before, after, form = old.median, new.median, ".0f"
        if ratios:
            means = peers_mean(baseline, case), peers_mean(results, case)
            if None in means:
                verdicts.append((False, f"{name}: has nothing to be compared with"))
                continue
            before, after, form = before / means[0], after / means[1], ".3f"
        change = (after / before - 1) * 100
        text = f"{name}: {before:{form}} -> {after:{form}} ({change:+.1f} %)"
        verdicts.append((change <= LIMIT, text))
        if change < -LIMIT:
            said.append(f"{text}: better; the baseline may be renewed")
    return verdicts, said
