"""Incumbents over time as right-continuous steps; nothing is interpolated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import IntArray, refuse_where


def incumbent_steps(losses: ArrayLike) -> IntArray:
    """Returns which evaluation is the incumbent after each step.

    A strictly smaller observed loss replaces the incumbent, so the first of tied losses stays. A loss of +inf (a
    failed evaluation) never becomes the incumbent.

    Args:
        losses: observed losses (smaller is better), shape (num_runs, num_steps).

    Returns:
        Step index of the incumbent, shape (num_runs, num_steps), -1 before the first finite loss. Score any metric of
        the incumbent by it, for example with `numpy.take_along_axis` if it is not -1.

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
