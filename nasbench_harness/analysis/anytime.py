"""Measures of whole runs over an axis: regret at budgets, area under the curve, success and running time to targets.

They are computed from the rows of the runs, not from the points at which curves are drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nasbench_harness.analysis.runs import Runs
from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.statistics import Proportion, expected_running_time, proportion
from nasbench_harness.store.record import ReportOptions

_MAX_REGRETS = 4_000_000  # regrets in memory at a time
_ROUNDING = 1e-12  # a share of the end that is a whole number of evaluations may miss it by a bit


@dataclass(frozen=True)
class AnytimeMeasures:
    """Measures of one strategy on one task over one axis.

    Attributes:
        budgets: Positions on the axis, ascending.
        regret: Mean regret at each budget; NaN before every run has a result.
        area: Mean of the mean regret over the axis; before its first result a run counts as the mean row of the table,
            or as an empty set. NaN if the axis is a single point, or if a run starts late on a task that trains.
        hits: First position at which each run is at or below each target, infinite if it never is, shape (num_targets,
            num_runs).
        success: Share of runs that have ever reached each target.
        running_time: Expected running time to each target; infinite if no run reached it.
    """

    budgets: tuple[float, ...]
    regret: tuple[float, ...]
    area: float
    hits: Floats
    success: tuple[Proportion, ...]
    running_time: tuple[float, ...]


def anytime_measures(
    runs: Runs, score: ScoreView, row_moments: Floats | Ints, start: float, end: float, options: ReportOptions
) -> AnytimeMeasures:
    """Measures over an axis.

    Args:
        runs: The runs of a strategy on a task.
        score: The score of their choices.
        row_moments: Position of each row on the axis, shape (num_runs, num_rows).
        start: First position at which a result is possible.
        end: End of the axis; later results are left out.
        options: Shares of the budget, and targets.
    """
    targets = options.targets if score.metric.unit == "%" else ()
    limits = [math.floor(target / score.resolution + 1e-9) for target in targets]
    num_runs, num_rows = runs.row_picks.shape
    before = _before_results(score)
    areas, hits = np.empty(num_runs), np.empty((len(limits), num_runs))
    width = max(1, _MAX_REGRETS // num_rows)
    for first in range(0, num_runs, width):
        part = slice(first, first + width)
        picks, moments = runs.row_picks[part], row_moments[part]
        regrets, has_result = score.grid_regrets(np.maximum(picks, 0)), picks >= 0
        areas[part] = _areas(np.where(has_result, regrets, before), moments, start, end, before)
        for row, limit in zip(hits, limits, strict=True):
            row[part] = _first_hits(has_result & (regrets <= limit), moments, end)
    budgets = tuple(share * end for share in options.budgets)
    picks = runs.at(row_moments, np.array(budgets) * (1 + _ROUNDING))
    return AnytimeMeasures(
        budgets,
        tuple(float(score.regret(here).mean()) if (here >= 0).all() else math.nan for here in picks.T),
        float(areas.mean()) / (end - start) * score.resolution if end > start else math.nan,
        hits,
        tuple(proportion(int(np.isfinite(row).sum()), len(row)) for row in hits),
        tuple(expected_running_time(row, end) for row in hits),
    )


def _before_results(score: ScoreView) -> float:
    """Regret, in steps, that stands for a run without a result: the mean over the table, or that of an empty set.

    NaN on a task that trains: the rows that it knows are those that strategies asked for.
    """
    if not score.has_optimum:
        return math.nan
    regrets = score.grid_regrets(np.flatnonzero(score.exists))
    return float(regrets.max() if score.is_of_sets else regrets.mean())


def _areas(regrets: Floats, moments: Floats | Ints, start: float, end: float, before: float) -> Floats:
    """Sum of each run's regret over the axis, shape (num_runs,); each row's regret holds until the next row."""
    begins = np.clip(moments, start, end)
    durations, waits = np.diff(begins, axis=1, append=end), begins[:, 0] - start
    areas: Floats = np.where(durations > 0, regrets * durations, 0.0).sum(axis=1)  # NaN × 0 is no area
    areas += np.where(waits > 0, waits * before, 0.0)
    return areas


def _first_hits(is_hit: Bools, moments: Floats | Ints, end: float) -> Floats:
    """Position of each run's first hit, infinite if there is none up to the end; shape (num_runs,)."""
    rows = np.argmax(is_hit, axis=1)
    found = np.where(is_hit.any(axis=1), moments[np.arange(len(rows)), rows], np.inf)
    return np.where(found <= end, found, np.inf)
