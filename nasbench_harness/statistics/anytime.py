"""Curves over time as right-continuous steps: areas and running times. Nothing is interpolated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import as_finite


def mean_over_time(times: ArrayLike, values: ArrayLike, end: float) -> float:
    """Returns the mean height of a step function from its first time to `end`: its normalized area.

    Args:
        times: ascending times at which a value begins, shape (num_steps,).
        values: value from each time on, shape (num_steps,).
        end: end of the last value, above the first time.

    Raises:
        ValueError: shapes disagree, times do not ascend, a value is NaN or infinite, or end is not above the start.

    Example:
        >>> mean_over_time([2.0, 6.0], [0.05, 0.02], 10.0)
        0.035
    """
    starts, heights = as_finite(times, "times", ("step",)), as_finite(values, "values", ("step",))
    if starts.shape != heights.shape or starts.ndim != 1:
        raise ValueError(f"times has shape {starts.shape} and values {heights.shape}; pass (num_steps,) for both")
    if (np.diff(starts) <= 0).any() or not end > starts[0]:
        raise ValueError(f"times must ascend and begin before the end {end}; sort them, or choose a later end")
    widths = np.diff(np.minimum(np.append(starts, end), end))
    return float(heights @ widths / (end - starts[0]))


def expected_running_time(hits: ArrayLike, budget: float) -> float:
    """Returns the expected running time to a target: the time spent by all runs over the number of successes.

    A run that fails spends the whole budget (Hansen et al. 2009). Without a success it is infinite.

    Args:
        hits: time of each run's first hit, infinity if it never hits, shape (num_runs,).
        budget: time that a run may spend; later hits count as failures.

    Raises:
        ValueError: no run, a time is NaN, or the budget is not above 0.

    Example:
        >>> expected_running_time([6.0, float("inf"), 3.0], 10.0)
        9.5
    """
    times = np.asarray(hits, dtype=np.float64)
    if times.ndim != 1 or not times.size or np.isnan(times).any() or not budget > 0:
        raise ValueError(f"hits has shape {times.shape} and budget is {budget}; pass one time for each run, no NaN")
    num_hits = int((times <= budget).sum())
    return float(np.minimum(times, budget).sum() / num_hits) if num_hits else float("inf")
