"""Numbers over all tasks of a study: normalized regret, ranks, wins with a margin, random-search equivalents."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nasbench_harness.analysis.results import Analysis, Equivalent, StrategyResult, Summary, TaskAnalysis
from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.statistics import (
    Resamples,
    first_shares,
    mean_interval,
    proportion,
    resampled_iqm,
    resampled_mean,
    resampled_mean_ranks,
    stratified_iqm,
)
from nasbench_harness.store.record import MIN_SEEDS, ReportOptions

Counts = Ints | Resamples


def reference_value(view: ScoreView) -> float:
    """Median of the noiseless values over the rows of the table that have one and meet the constraints."""
    counts = view.exists if view.is_feasible is None else view.exists & view.is_feasible
    return float(np.median(view.values[counts]))


def normalized_regret(entry: TaskAnalysis, result: StrategyResult) -> Floats | None:
    """Regret over the distance from the median of the table to its optimum, shape (num_runs,).

    None if the optimum is unknown, or if runs return sets.
    """
    view = entry.val.view
    if not view.has_optimum or view.is_of_sets:  # a table has no median of sets
        return None
    width = abs(view.best_value - reference_value(view))
    return result.val.regret / width if width else None


def practical_margin(view: ScoreView, options: ReportOptions) -> float | None:
    """Margin of the report for percents of one architecture; None if no difference is known to matter."""
    return options.margin if view.metric.unit == "%" and not view.is_of_sets else None


def summarize(analysis: Analysis, counts_of: Callable[[str, str], Callable[[int], Counts]]) -> tuple[Summary, ...]:
    """Numbers of each strategy over all tasks; empty for a single task.

    Args:
        analysis: The study.
        counts_of: Resamples of a task and a label, for a number of runs; each strategy has its own, so that no
            strategy's numbers depend on the others.
    """
    if len(analysis.tasks) < 2:
        return ()
    everywhere = [label for label in analysis.labels if all(entry.result(label) for entry in analysis.tasks)]
    estimates, normalized = [], {}
    for label in everywhere:
        results = [(entry, result) for entry in analysis.tasks if (result := entry.result(label)) is not None]
        if any(len(result.seeds) < MIN_SEEDS for _, result in results):
            continue
        counts = [counts_of(entry.task.name, label)(len(result.seeds)) for entry, result in results]
        scaled = [normalized_regret(entry, result) for entry, result in results]
        known = [values for values in scaled if values is not None]
        if len(known) == len(scaled):
            normalized[label] = stratified_iqm(known, counts)
        pairs = zip(results, counts, strict=True)
        estimates.append([_estimates(analysis, result, drawn) for (_, result), drawn in pairs])
    ends, first = {}, {}
    if len(estimates) == len(everywhere) > 0 and analysis.options.estimand != "stochastic":
        ranks = resampled_mean_ranks(np.array(estimates))
        first = dict(zip(everywhere, first_shares(ranks).tolist(), strict=True))
        ends = {label: np.quantile(row, [0.025, 0.975]).tolist() for label, row in zip(everywhere, ranks, strict=True)}
    found = []
    for label, rank in zip(analysis.labels, analysis.mean_ranks.tolist(), strict=True):
        low, high = ends.get(label, (math.nan, math.nan))
        around = (rank, min(low, rank), max(high, rank)) if label in ends else (rank, math.nan, math.nan)
        wins = [win_tie_loss(analysis, label, other) for other in analysis.labels if other != label]
        sums = [sum(counted) for counted in zip(*wins, strict=True)] or [0, 0, 0]
        found.append(Summary(label, normalized.get(label), around, first.get(label, math.nan), *sums))
    return tuple(found)


def _estimates(analysis: Analysis, result: StrategyResult, counts: Counts) -> Floats:
    """The estimand's score of a strategy in every resample, on the grid of the task."""
    if analysis.options.estimand == "interval":
        return resampled_iqm(result.val.grid_values, counts)
    return resampled_mean(result.val.grid_values, counts)


def win_tie_loss(analysis: Analysis, first: str, second: str) -> tuple[int, int, int]:
    """Tasks on which the first strategy has the better mean by more than the margin, is within it, or is worse.

    Without a ``practical_margin`` equal means are a tie: they are compared as integers, so that no rounding decides.
    """
    wins = ties = losses = 0
    for entry in analysis.tasks:
        one, other = entry.result(first), entry.result(second)
        if one is None or other is None:
            continue
        margin = practical_margin(entry.val.view, analysis.options)
        difference = float(other.val.regret.mean() - one.val.regret.mean())
        if margin is None:
            margin, difference = 0.0, _grid_difference(one.val.grid_values, other.val.grid_values)
        wins += difference > margin
        losses += difference < -margin
        ties += abs(difference) <= margin
    return wins, ties, losses


def _grid_difference(first: Ints, second: Ints) -> int:
    """Mean of the second minus that of the first, times both numbers of runs: an exact integer."""
    difference: int = sum(second.tolist()) * len(first) - sum(first.tolist()) * len(second)
    return difference


def equivalent(entry: TaskAnalysis, result: StrategyResult) -> Equivalent | None:
    """Random-search equivalent of a strategy; None below 10 seeds, or if random search has no closed form."""
    curve = entry.val.random_search
    num_runs = len(result.seeds)
    if curve is None or num_runs < MIN_SEEDS:
        return None
    if not result.val.regret.any():  # runs without spread have no t interval: the share at the optimum has one
        return Equivalent(math.inf, curve.law.of_misses.evaluations_for(proportion(0, num_runs).high), math.inf)
    low, high = mean_interval(result.val.regret)
    ends = [curve.law.evaluations_for(loss) for loss in (float(result.val.regret.mean()), high, max(low, 0.0))]
    return Equivalent(*ends)
