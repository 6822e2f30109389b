"""Pairs of strategies: on every task, and counted over the tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasbench_harness.analysis.across import practical_margin
from nasbench_harness.analysis.comparison import ALPHA, PRACTICAL_A12, Comparison, Pair
from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis, ScoreAnalysis
from nasbench_harness.report.cells import count, decimals_of, interval_text, p_cell, plain
from nasbench_harness.report.contradictions import unscored_notes
from nasbench_harness.report.families import column_family, family_sizes, name_of_test, study_family
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.statistics import adjust, signed_rank
from nasbench_harness.store.record import MIN_SEEDS

MIN_TASKS = 6  # with fewer, no two-sided signed-rank test can fall below .05
_TIE = 1e-9  # differences of task means that are closer are ties


@dataclass(frozen=True)
class OverTasks:
    """Test of two strategies with the task as unit.

    Attributes:
        p: Two-sided p-value of the signed-rank test, after Holm over the tested couples.
        better: Label with the smaller losses by the ranks.
    """

    p: float
    better: str


def couples_of(analysis: Analysis) -> list[tuple[str, str]]:
    """Pairs of labels that are counted over the tasks: all of them, or those with the declared control."""
    return [couple for couple in combinations(analysis.labels, 2) if analysis.options.control in (None, *couple)]


def pairs_table(analysis: Analysis) -> ReportTable:
    """Every pair of strategies on every task, by the search metric and by the test metric."""
    distance, has_test = _center(analysis) + distance_name(analysis.tasks), _has_test(analysis)
    columns = [ReportColumn(name, name, is_number=False) for name in ("task", "first", "second")]
    columns += _pair_columns(analysis, "", is_extra=False)
    if has_test:
        columns += _pair_columns(analysis, "test ", is_extra=True)
    rows = []
    for entry in analysis.tasks:
        test = entry.score("test")
        others = [None] * len(entry.comparison.pairs) if test is None else test.comparison.pairs
        for pair, by_test in zip(entry.comparison.pairs, others, strict=True):
            cells = [
                ReportCell(entry.task.name),
                ReportCell(pair.first),
                ReportCell(pair.second),
                *_pair_cells(analysis, entry.val, pair),
            ]
            if has_test:
                missing = [NOTHING] * (len(columns) - len(cells))
                cells += missing if test is None or by_test is None else _pair_cells(analysis, test, by_test)
            rows.append(ReportRow(tuple(cells)))
    caption = (
        f"All pairs of strategies, as independent samples. Difference: {distance}, first − second. A12: chance "
        f"that the first has the smaller {distance_name(analysis.tasks)}. "
    )
    if any(pair.is_tested for entry in analysis.tasks for pair in entry.comparison.pairs):
        caption += _p_meaning(analysis)
        caption += f" {_seeds_meaning(analysis)}" if _has_seeds(analysis) else ""
    elif analysis.options.estimand == "interval":
        caption += "No p, as interquartile means are not tested."
    else:
        caption += f"No p below {MIN_SEEDS} seeds."
    notes = unscored_notes(analysis, analysis.tasks)
    return ReportTable("pairs", caption, tuple(columns), tuple(rows), notes)


def across_table(analysis: Analysis) -> ReportTable:
    """On how many tasks the first strategy of a pair is significantly better or worse."""
    has_test = _has_test(analysis)
    columns = [ReportColumn(name, name, is_number=False) for name in ("first", "second")]
    names = ("tasks", "better", "worse", "undecided")
    columns += [ReportColumn(name, name) for name in names]
    columns += [ReportColumn(f"test_{name}", f"test {name}") for name in names if has_test]
    couples = couples_of(analysis)
    tests = over_tasks(analysis)
    if tests:
        columns.append(ReportColumn("p_tasks", "p over tasks"))
    rows = []
    for couple in couples:
        cells = [ReportCell(couple[0]), ReportCell(couple[1]), *_counts(analysis, couple, "val")]
        if has_test:
            cells += _counts(analysis, couple, "test")
        if tests:
            p = tests[couple].p if couple in tests else math.nan
            cells.append(p_cell(p, is_marked=p <= ALPHA))
        rows.append(ReportRow(tuple(cells)))
    caption = (
        "Tasks on which the first strategy is significantly better or worse than the second: "
        f"{name_of_test(analysis)}, {study_family(analysis)}, alpha = {ALPHA}."
    )
    if tests:
        of_pairs = f", Holm over the {len(tests)} pairs" if len(tests) > 1 else ""
        caption += f" p over tasks: Wilcoxon signed-rank test on one difference for each task (unit: task){of_pairs}."
        if len(tests) < len(couples):
            caption += f" It needs {MIN_SEEDS} seeds of both strategies on every task."
    elif len(analysis.tasks) < MIN_TASKS:
        caption += f" Fewer than {MIN_TASKS} tasks: no test over tasks."
    notes = unscored_notes(analysis, analysis.tasks)
    return ReportTable("across", caption, tuple(columns), tuple(rows), notes)


def _has_test(analysis: Analysis) -> bool:
    return any(entry.score("test") for entry in analysis.tasks)


def _center(analysis: Analysis) -> str:
    return "interquartile mean of the " if analysis.options.estimand == "interval" else "mean "


def _pair_columns(analysis: Analysis, prefix: str, is_extra: bool) -> list[ReportColumn]:
    headers = {
        "difference": f"{_center(analysis)}{prefix}{distance_name(analysis.tasks)}, first − second",
        "p": f"{prefix}p",
        "p_column": f"{prefix}p (column)",
        "p_study": f"{prefix}p (study)",
        "a12": f"{prefix}A12",
    }
    if _has_seeds(analysis):
        headers["seeds"] = f"{prefix}seeds for {_effect(analysis)}"
    key = prefix.replace(" ", "_")
    return [ReportColumn(f"{key}{name}", header, is_extra=is_extra) for name, header in headers.items()]


def _pair_cells(analysis: Analysis, score: ScoreAnalysis, pair: Pair) -> list[ReportCell]:
    cells = [
        _difference_cell(pair, decimals_of(score.view, analysis.options)),
        p_cell(pair.p),
        p_cell(pair.p_column, is_marked=pair.p_column <= ALPHA),
        p_cell(pair.p_study, is_marked=pair.p_study <= ALPHA),
        plain(pair.a12, 3),
    ]
    if _has_seeds(analysis):
        cells.append(NOTHING if pair.num_seeds is None else count(pair.num_seeds))
    return cells


def _has_seeds(analysis: Analysis) -> bool:
    """Whether a difference that matters is known anywhere, so that seeds which find it can be counted."""
    views = [score.view for entry in analysis.tasks for score in entry.scores]
    is_known = any(practical_margin(view, analysis.options) is not None for view in views)
    return is_known or analysis.options.estimand == "stochastic"


def _difference_cell(pair: Pair, decimals: int) -> ReportCell:
    cell = plain(pair.difference, decimals, plus=True)
    if math.isnan(pair.low) or pair.low == pair.high:
        return cell
    text = interval_text(pair.difference, pair.low, pair.high, decimals, plus=True)
    return ReportCell(text, {"": pair.difference, "low": pair.low, "high": pair.high})


def _effect(analysis: Analysis) -> str:
    if analysis.options.estimand == "stochastic":
        return f"A12 {PRACTICAL_A12}"
    return f"{analysis.options.margin:g} pp"


def _p_meaning(analysis: Analysis) -> str:
    """Which numbers are corrected, and over which family."""
    none = f"none, as {analysis.options.control} is in no test"
    study = f"p after {study_family(analysis)}" if any(family_sizes(analysis)) else none
    return (
        f"[95 %]: Welch's interval of the difference, not corrected. p: {name_of_test(analysis)}, two-sided, not "
        f"corrected. p (column): p after Holm over {column_family(analysis.tasks)}. p (study): {study}."
    )


def _seeds_meaning(analysis: Analysis) -> str:
    """Meaning of the number of seeds of undecided pairs."""
    return (
        f"Seeds for {_effect(analysis)}: seeds of each strategy that would find it with power 0.8 at the uncorrected "
        f"level {ALPHA}, for undecided pairs; from the spread of the runs alone, never from the observed difference."
    )


def _counts(analysis: Analysis, couple: tuple[str, str], name: str) -> list[ReportCell]:
    """Tasks, and how many of them the first wins, loses and leaves undecided."""
    found = [
        (comparison, pair)
        for comparison in analysis.comparisons(name)
        for pair in comparison.pairs
        if {pair.first, pair.second} == set(couple) and pair.is_tested
    ]
    better, worse = (
        sum(pair.p_study <= ALPHA and pair.favors(label, comparison.estimand) for comparison, pair in found)
        for label in couple
    )
    return [count(number) for number in (len(found), better, worse, len(found) - better - worse)]


def over_tasks(analysis: Analysis) -> dict[tuple[str, str], OverTasks]:
    """Signed-rank tests with the task as unit, after Holm, of the couples that are tested on every task.

    The result is empty if tasks are too few or units are mixed.
    """
    units = {entry.val.view.metric.unit for entry in analysis.tasks}
    if len(analysis.tasks) < MIN_TASKS or len(units) > 1:
        return {}
    found = {}
    for couple in couples_of(analysis):
        effects = np.array([_effect_on(entry.comparison, couple) for entry in analysis.tasks])
        if not np.isnan(effects).any():
            found[couple] = signed_rank(np.rint(effects / _TIE).astype(np.int64))
    if not found:
        return {}
    adjusted = adjust([float(test.p_value) for test in found.values()]).tolist()
    return {
        couple: OverTasks(p, couple[0] if test.z < 0 else couple[1])
        for (couple, test), p in zip(found.items(), adjusted, strict=True)
    }


def _effect_on(comparison: Comparison, couple: tuple[str, str]) -> float:
    """Effect of one task by the estimand: below 0 if the first is better, NaN if the couple is not tested."""
    found = [pair for pair in comparison.pairs_with(couple[0]) if pair.other(couple[0]) == couple[1]]
    if not found or not found[0].is_tested:
        return math.nan
    pair = found[0]
    effect = 0.5 - pair.a12 if comparison.estimand == "stochastic" else pair.difference
    return effect if pair.first == couple[0] else -effect
