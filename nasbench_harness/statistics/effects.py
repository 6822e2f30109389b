"""Effect sizes of two samples: A12 and Cliff's delta.

Convention everywhere: A12(x, y) = P(X > Y) + .5 P(X = Y). For losses and regrets, A12 > .5 means that x is worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray, as_finite, check_confidence


@dataclass(frozen=True)
class CliffsDelta:
    """Cliff's delta, 2 A12 - 1, with its confidence interval (map an end by (1 + end) / 2 for A12's)."""

    value: float
    low: float
    high: float


def a12(x: ArrayLike, y: ArrayLike) -> float:
    """Returns P(X > Y) + .5 P(X = Y) over all pairs of draws (Vargha & Delaney 2000), exactly counted.

    Args:
        x: finite scores or integer codes, shape (num_runs_x,).
        y: the same of the other strategy, shape (num_runs_y,).

    Raises:
        ValueError: not one-dimensional, empty, or a value is NaN or infinite.

    Example:
        >>> a12([2, 3], [1, 3])
        0.625
    """
    first, second = _sample(x, "x"), _sample(y, "y")
    half_wins = int(_half_wins(first, np.sort(second)).sum())
    return half_wins / (2 * first.size * second.size)


def a12_matrix(scores: ArrayLike) -> FloatArray:
    """Returns A12 of every ordered pair of strategies, unpaired.

    Args:
        scores: finite scores or integer codes, shape (num_strategies, num_runs).

    Returns:
        Entry (i, j) is P(X_i > X_j) + .5 P(X_i = X_j), shape (num_strategies, num_strategies); .5 on the diagonal.

    Raises:
        ValueError: wrong shape, empty, or a value is NaN or infinite.
    """
    values = as_finite(scores, "scores", ("strategy", "run"))
    if values.ndim != 2:
        raise ValueError(f"scores has shape {values.shape}; pass (num_strategies, num_runs)")
    num_runs = values.shape[1]
    columns = [_half_wins(values, opponent).sum(axis=1) for opponent in np.sort(values, axis=1)]
    return np.asarray(np.stack(columns, axis=1) / (2 * num_runs * num_runs))


def cliffs_delta(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> CliffsDelta:
    """Returns Cliff's delta P(X > Y) - P(X < Y) with its asymmetric interval (Cliff 1996; Feng & Cliff 2004).

    Unbiased variance, but at least (1 - delta^2) / (n m - 1); t quantile with n + m - 2 degrees of freedom. At
    delta = 1 or -1 the variance says nothing; the other end is then Wilson's bound for the smaller sample,
    (n - z^2) / (n + z^2), so that the width is never 0.

    Args:
        x: finite scores or integer codes, shape (num_runs_x,) with at least 2 runs.
        y: the same of the other strategy, shape (num_runs_y,).
        confidence: level of the two-sided interval.

    Raises:
        ValueError: as `a12`, or fewer than 2 runs, or confidence outside (0, 1).
    """
    check_confidence(confidence)
    first, second = _sample(x, "x"), _sample(y, "y")
    n, m = first.size, second.size
    if min(n, m) < 2:
        raise ValueError(f"x has {n} runs and y {m}, too few for an interval; pass at least 2 of each")
    half_wins = _half_wins(first, np.sort(second))
    delta = int((half_wins - m).sum()) / (n * m)
    if abs(delta) == 1.0:
        return _at_the_end(delta, min(n, m), confidence)
    from scipy.special import stdtrit

    t = float(stdtrit(n + m - 2, 0.5 + confidence / 2.0))
    variance = _variance(first, second, delta)
    center = delta - delta**3
    spread = t * sqrt(variance) * sqrt((1.0 - delta**2) ** 2 + t**2 * variance)
    scale = 1.0 - delta**2 + t**2 * variance
    return CliffsDelta(delta, max((center - spread) / scale, -1.0), min((center + spread) / scale, 1.0))


def _sample(values: ArrayLike, name: str) -> FloatArray:
    sample = as_finite(values, name, ("run",))
    if sample.ndim != 1:
        raise ValueError(f"{name} has shape {sample.shape}; pass (num_runs,)")
    return sample


def _half_wins(values: FloatArray, ordered: FloatArray) -> IntArray:
    """Returns 2 #(ordered < value) + #(ordered = value) for each value; `ordered` is sorted, shape (num_runs,)."""
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return np.asarray(below + not_above, dtype=np.int64)


def _variance(x: FloatArray, y: FloatArray, delta: float) -> float:
    """Returns Cliff's unbiased variance of delta, not below (1 - delta^2) / (n m - 1)."""
    n, m = x.size, y.size
    ordered = np.sort(y)
    of_x = _half_wins(x, ordered) / m - 1.0
    of_y = _half_wins(y, np.sort(x)) / n - 1.0
    num_ties = int((np.searchsorted(ordered, x, side="right") - np.searchsorted(ordered, x, side="left")).sum())
    between_x = float(((of_x - delta) ** 2).sum())
    between_y = float(((of_y + delta) ** 2).sum())
    all_pairs = n * m - num_ties - n * m * delta**2
    unbiased = (m * m * between_x + n * n * between_y - all_pairs) / (n * m * (n - 1) * (m - 1))
    return max(unbiased, (1.0 - delta**2) / (n * m - 1))


def _at_the_end(delta: float, num_runs: int, confidence: float) -> CliffsDelta:
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + confidence / 2.0)) ** 2
    bound = (num_runs - z2) / (num_runs + z2)
    return CliffsDelta(delta, bound, 1.0) if delta > 0 else CliffsDelta(delta, -1.0, -bound)
