"""Measures of a whole run: regret at budgets, area under the curve, success and running time to targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasbench_harness.analysis.results import Axis, StrategyResult, TaskAnalysis
from nasbench_harness.arrays import Floats
from nasbench_harness.statistics import Proportion, expected_running_time, mean_over_time, proportion
from nasbench_harness.store.record import ReportOptions


@dataclass(frozen=True)
class AnytimeMeasures:
    """Measures of one strategy on one task over one axis.

    Attributes:
        budgets: Positions on the axis, ascending.
        regret: Mean regret at each budget; NaN before every run has a result.
        area: Mean of the mean regret over the axis, from its first value to the end of the budget.
        success: Share of runs that have ever reached each target.
        running_time: Expected running time to each target; infinite if no run reached it.
    """

    budgets: tuple[float, ...]
    regret: tuple[float, ...]
    area: float
    success: tuple[Proportion, ...]
    running_time: tuple[float, ...]


def anytime_measures(
    entry: TaskAnalysis, result: StrategyResult, axis: Axis, options: ReportOptions
) -> AnytimeMeasures | None:
    """Measures over an axis; None if the task has no such axis.

    Args:
        entry: The task.
        result: The strategy on it.
        axis: Evaluations, simulated seconds or epochs.
        options: Shares of the budget.
    """
    curve, moments = result.over(axis), entry.moments(axis)
    if curve is None or moments is None:
        return None
    times: Floats = moments.astype(np.float64)
    end = float(times[-1])
    budgets = [share * end for share in options.budgets]
    places = [int(np.searchsorted(times, budget * (1 + 1e-12), side="right")) - 1 for budget in budgets]
    known = ~np.isnan(curve.mean)
    is_curve = known.sum() > 1
    hits = [np.where(row >= 0, times[np.maximum(row, 0)], np.inf) for row in curve.hits]
    return AnytimeMeasures(
        tuple(budgets),
        tuple(float(curve.mean[place]) if place >= 0 else np.nan for place in places),
        mean_over_time(times[known], curve.mean[known], end) if is_curve else np.nan,
        tuple(proportion(int(np.isfinite(row).sum()), len(row)) for row in hits),
        tuple(expected_running_time(row, end) for row in hits),
    )
