"""Sentences for the text of a paper: who is better than whom, on which tasks, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nasbench_harness.analysis.across import equivalent
from nasbench_harness.analysis.comparison import ALPHA, Pair
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.report.captions import runs_text
from nasbench_harness.report.cells import interval_text
from nasbench_harness.report.families import family_of_pair, name_of_test, pair_test, study_family
from nasbench_harness.report.sections.pairs import OverTasks, couples_of, over_tasks
from nasbench_harness.report.sections.summary import equivalent_text
from nasbench_harness.statistics import equivalence
from nasbench_harness.store.record import MIN_SEEDS
from nasbench_harness.words import plural

_COMPARED = {"mean": "means", "stochastic": "chances to be the better one", "interval": "interquartile means"}


def study_sentences(analysis: Analysis, has_equivalents: bool = True) -> list[str]:
    """Method, the summary over tasks, counts of every pair over the tasks, and random-search equivalents.

    Args:
        analysis: The study.
        has_equivalents: Whether random-search equivalents are named.
    """
    sentences = [_method(analysis), *_unscored(analysis, analysis.labels), *_across(analysis)]
    tests = over_tasks(analysis)
    sentences += [_counted(analysis, tests, *couple) for couple in couples_of(analysis) if _pairs(analysis, *couple)]
    return sentences + (_equivalents(analysis, analysis.labels) if has_equivalents else [])


def pair_sentences(analysis: Analysis, first: str, second: str, margin: float | None = None) -> list[str]:
    """Two strategies on every task: difference, interval, p, equivalence within a margin, and seeds if undecided.

    Each p-value stands beside its test and its correction.

    Args:
        analysis: The study.
        first: Label.
        second: Label of another strategy.
        margin: Difference that matters, in the unit of regret; None: equivalence is not tested.

    Raises:
        UnknownNameError: The study has no such label.
        InvalidInputError: The labels are the same, or the margin is not above 0.
    """
    for label in (first, second):
        if label not in analysis.labels:
            raise UnknownNameError("label", label, analysis.labels, "this study")
    if first == second:
        raise InvalidInputError(f"{first} cannot be compared with itself: name two labels")
    if margin is not None and not 0 < margin < math.inf:
        raise InvalidInputError(f"the margin must be a number above 0, not {margin!r}")
    sentences = [_method(analysis)]
    if _pairs(analysis, first, second):
        if analysis.options.estimand == "mean":
            sentences[0] += " Intervals of differences: 95 % each (Welch), not corrected."
        sentences.append(_counted(analysis, over_tasks(analysis), first, second))
    sentences += _unscored(analysis, (first, second))
    for entry in analysis.tasks:
        pair = _pair(entry, first, second)
        if pair is not None:
            sentences.append(_on_task(analysis, entry, pair, margin))
    return sentences + _equivalents(analysis, (first, second))


def _method(analysis: Analysis) -> str:
    text = f"{runs_text(analysis, 'run')} of each strategy on each task, {analysis.protocol.describe()}."
    if analysis.options.estimand == "interval":
        return f"{text} Interquartile means are not tested."
    if not any(pair.is_tested for entry in analysis.tasks for pair in entry.comparison.pairs):
        return f"{text} No tests below {MIN_SEEDS} seeds." if len(analysis.labels) > 1 else text
    return f"{text} Tests: {name_of_test(analysis)}, two-sided, {study_family(analysis)}, alpha = {ALPHA}."


def _unscored(analysis: Analysis, labels: Sequence[str]) -> list[str]:
    return [entry.note for entry in analysis.unscored if entry.label in labels]


def _pair(entry: TaskAnalysis, first: str, second: str) -> Pair | None:
    return next((pair for pair in entry.comparison.pairs if {pair.first, pair.second} == {first, second}), None)


def _pairs(analysis: Analysis, first: str, second: str) -> list[Pair]:
    found = [_pair(entry, first, second) for entry in analysis.tasks]
    return [pair for pair in found if pair is not None and pair.is_tested]


def _counted(analysis: Analysis, tests: Mapping[tuple[str, str], OverTasks], first: str, second: str) -> str:
    """On how many tasks each of the two is better; the one with more of them comes first."""
    pairs = _pairs(analysis, first, second)
    estimand = analysis.options.estimand
    wins = {
        label: sum(pair.p_deciding <= ALPHA and pair.favors(label, estimand) for pair in pairs)
        for label in (first, second)
    }
    better, worse = sorted((first, second), key=lambda label: -wins[label])
    total = plural(len(pairs), "task")
    undecided = len(pairs) - sum(wins.values())
    if any(wins.values()):
        rest = [f"worse on {wins[worse]}"] * (wins[worse] > 0) + [f"undecided on {undecided}"] * (undecided > 0)
        text = ", ".join([f"{better} is better than {worse} on {wins[better]} of {total}", *rest])
    else:
        text = f"{first} and {second} do not differ significantly on any of {total}"
    if not pairs[0].is_in_study:
        text += " (Holm over the pairs of each task)"
    test = tests.get((first, second)) or tests.get((second, first))
    if test is not None:
        family = f"Holm over the {len(tests)} pairs" if len(tests) > 1 else "uncorrected, the only test"
        is_same = wins[better] > 0 and test.better == better
        claim = "also over the tasks" if is_same else f"over the tasks {test.better} is better"
        claim = claim if test.p <= ALPHA else "undecided over the tasks"
        text += f"; {claim}, {p_words(test.p)} (signed-rank test, {family})"
    return f"{text}."


def _on_task(analysis: Analysis, entry: TaskAnalysis, pair: Pair, margin: float | None) -> str:
    decimals, unit = analysis.options.decimals, entry.val.view.metric.difference_unit
    estimand = analysis.options.estimand
    is_equal = not (pair.favors(pair.first, estimand) or pair.favors(pair.second, estimand))
    leader = pair.first if pair.favors(pair.first, estimand) else pair.second
    other = pair.second if leader == pair.first else pair.first
    sign = -1 if leader == pair.first else 1
    size = f"{sign * pair.difference:.{decimals}f} {unit}"
    if pair.low < pair.high:  # else nothing was resampled, or no run differs
        low, high = sorted((sign * pair.low, sign * pair.high))
        _, _, rest = interval_text(sign * pair.difference, low, high, decimals).partition(" ")
        size += f" {rest}"
    if estimand == "stochastic":
        size = f"A12 = {max(pair.a12, 1 - pair.a12):.2f}"
    where = f"On {entry.task.title} ({entry.task.name})"
    if not pair.is_tested:
        equal = f"{pair.first} and {pair.second} have equal {_COMPARED[estimand]}"
        text = f"{equal if is_equal else f'{leader} is ahead of {other} by {size}'}, not tested"
        text = f"{where} {text}"
    else:
        p = f"{p_words(pair.p_deciding)} ({pair_test(analysis, entry, pair)}, {family_of_pair(analysis, entry, pair)})"
        is_decided = pair.p_deciding <= ALPHA
        claim = f"{leader} is better than {other} by" if is_decided else f"{leader} and {other} are undecided:"
        text = f"{where} {claim} {size}, {p}"
        if pair.num_seeds is not None:
            effect = "A12 = 0.56" if estimand == "stochastic" else f"{analysis.options.margin:g} pp"
            power = f"power 0.8 at the uncorrected level {ALPHA}"
            text += f"; {pair.num_seeds:,} seeds of each would find {effect} with {power}"
    return f"{text}{_equivalence(analysis, entry, pair, margin)}."


def _equivalence(analysis: Analysis, entry: TaskAnalysis, pair: Pair, margin: float | None) -> str:
    one, other = entry.result(pair.first), entry.result(pair.second)
    if margin is None or one is None or other is None or min(len(one.seeds), len(other.seeds)) < MIN_SEEDS:
        return ""
    if analysis.options.estimand == "interval":
        return "; equivalence is not tested"
    if not np.ptp(one.val.regret) and not np.ptp(other.val.regret):  # Welch's tests need a variance
        return "; equivalence is not tested, as all runs of each strategy are equal"
    p = equivalence(one.val.regret, other.val.regret, margin)
    verdict = "equivalent" if p <= ALPHA else "not shown to be equivalent"
    unit = entry.val.view.metric.difference_unit
    return f"; {verdict} within {margin:g} {unit} (two one-sided Welch tests, {p_words(p)}, uncorrected)"


def _across(analysis: Analysis) -> list[str]:
    normalized = [(entry.label, entry.normalized) for entry in analysis.summaries if entry.normalized is not None]
    sentences = []
    if normalized and len(analysis.labels) > 1:
        parts = [
            f"{label} {interval_text(float(found.point), float(found.low), float(found.high), 3)}"
            for label, found in sorted(normalized, key=lambda pair: float(pair[1].point))
        ]
        sentences.append(
            f"Normalized regret, interquartile mean over {len(analysis.tasks)} tasks [95 %]: {', '.join(parts)}."
        )
    ranked = [entry for entry in analysis.summaries if not math.isnan(entry.first)]
    if ranked:
        parts = [
            f"{entry.label} {interval_text(*entry.rank, 2)}, P(rank 1) {entry.first:.2f}"
            for entry in sorted(ranked, key=lambda entry: entry.rank[0])
        ]
        sentences.append(f"Mean rank over the tasks [95 %]: {'; '.join(parts)}.")
    return sentences


def _equivalents(analysis: Analysis, labels: Sequence[str]) -> list[str]:
    sentences = []
    for label in labels:
        parts = []
        for entry in analysis.tasks:
            result = entry.result(label)
            found = None if result is None else equivalent(entry, result)
            if found is not None:
                parts.append(f"{equivalent_text(found)} on {entry.task.title}")
        if parts:
            sentences.append(f"Random evaluations with the same mean regret as {label} [95 %]: {', '.join(parts)}.")
    return sentences


def p_words(p: float) -> str:
    """A p-value in a sentence."""
    if p > 0.9995:
        return "p = 1"
    return "p < .001" if p < 1e-3 else f"p = {p:.3f}".replace("0.", ".")
