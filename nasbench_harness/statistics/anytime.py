"""Incumbents over time as right-continuous steps; nothing is interpolated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray, as_finite, refuse_where


def incumbent_steps(losses: ArrayLike) -> IntArray:
    """Returns which evaluation is the incumbent after each step.

    A strictly smaller observed loss replaces the incumbent, so the first of tied losses stays. A loss of +inf (a
    failed evaluation) never becomes the incumbent.

    Args:
        losses: observed losses (smaller is better), shape (num_runs, num_steps).

    Returns:
        Step index of the incumbent, shape (num_runs, num_steps), -1 before the first finite loss. Score any metric of
        the incumbent by it, for example with `numpy.take_along_axis` where it is not -1.

    Raises:
        ValueError: wrong shape, or a loss is NaN or -inf (its run and step are named).

    Example:
        >>> incumbent_steps([[0.3, 0.3, 0.1, 0.2]])
        array([[0, 0, 2, 2]])
    """
    observed = np.asarray(losses, dtype=np.float64)
    if observed.ndim != 2:
        raise ValueError(f"losses has shape {observed.shape}; pass (num_runs, num_steps)")
    refuse_where(np.isnan(observed) | (observed == -np.inf), observed, "losses", ("run", "step"))
    before = np.full(observed.shape, np.inf)
    before[:, 1:] = np.minimum.accumulate(observed, axis=1)[:, :-1]
    steps = np.where(observed < before, np.arange(observed.shape[1]), -1)
    return np.maximum.accumulate(steps, axis=1)


def at_times(times: ArrayLike, values: ArrayLike, query: ArrayLike) -> FloatArray:
    """Returns the value in force at each queried time: that of the last step with time <= query.

    Args:
        times: when each step ended (simulated seconds, evaluations, ...), not falling, shape (num_steps,).
        values: the value from that time on, shape (num_steps,).
        query: times in the same unit, any shape.

    Returns:
        Values in the shape of `query`; NaN before the first step.

    Raises:
        ValueError: shapes disagree, times fall, or a time or query is NaN.

    Example:
        >>> at_times([2.0, 5.0], [0.9, 0.7], [1.0, 2.0, 4.9])
        array([nan, 0.9, 0.9])
    """
    ends = as_finite(times, "times", ("step",))
    steps = np.asarray(values, dtype=np.float64)
    asked = np.asarray(query, dtype=np.float64)
    if ends.ndim != 1 or steps.shape != ends.shape:
        raise ValueError(f"times has shape {ends.shape} and values {steps.shape}; pass (num_steps,) for both")
    if (np.diff(ends) < 0).any():
        step = int(np.argmax(np.diff(ends) < 0)) + 1
        raise ValueError(f"times falls at step {step} ({ends[step - 1]} to {ends[step]}); pass cumulative times")
    refuse_where(np.isnan(asked), asked, "query", ())
    # Position 0 stands for the time before the first step.
    return np.concatenate([[np.nan], steps])[np.searchsorted(ends, asked, side="right")]
