"""Sizes of differences: intervals of means and their differences, and equivalence within a margin."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite, check_confidence
from nasbench_harness.statistics.independent import smallest_permutation_p


def mean_interval(x: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the t interval of the mean.

    Args:
        x: finite scores, shape (num_runs,) with at least 2 runs.
        confidence: level of the two-sided interval.

    Raises:
        ValueError: too few runs, or a value is NaN or infinite.

    Example:
        >>> [round(end, 3) for end in mean_interval([1, 2, 3, 4])]
        [0.446, 4.554]
    """
    from scipy.special import stdtrit

    check_confidence(confidence)
    values = _sample(x, "x")
    half = float(stdtrit(values.size - 1, (1 + confidence) / 2)) * float(values.std(ddof=1)) / sqrt(values.size)
    mean = float(values.mean())
    return mean - half, mean + half


def mean_difference(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Returns Welch's interval (1947) of the mean of x minus the mean of y.

    Args:
        x: finite scores, shape (num_runs_x,) with at least 2 runs.
        y: the same of the other strategy, shape (num_runs_y,).
        confidence: level of the two-sided interval.

    Returns:
        Lower and upper end; both the difference itself if both samples are constant.

    Raises:
        ValueError: too few runs, or a value is NaN or infinite.

    Example:
        >>> [round(end, 3) for end in mean_difference([1, 2, 3, 4], [3, 4, 5, 6])]
        [-4.234, 0.234]
    """
    from scipy.special import stdtrit

    check_confidence(confidence)
    difference, error, freedom = _welch_parts(x, y)
    half = error * float(stdtrit(freedom, (1 + confidence) / 2)) if error else 0.0
    return difference - half, difference + half


def equivalence(x: ArrayLike, y: ArrayLike, margin: float) -> float:
    """Returns the p-value of two one-sided Welch tests of "the means differ by at least the margin".

    Args:
        x: finite scores, shape (num_runs_x,) with at least 2 runs.
        y: the same of the other strategy, shape (num_runs_y,).
        margin: difference that matters, above 0.

    Returns:
        The larger of the two one-sided p. At most alpha: equivalent within the margin. If both samples are constant: 1
        if they differ by at least the margin, else the smallest p of a permutation test, 1 / C(n + m, n).

    Raises:
        ValueError: too few runs, a value is NaN or infinite, or the margin is not above 0.

    Example:
        >>> round(equivalence([1, 2, 3, 4], [1, 2, 3, 5], 3), 4)
        0.0226
    """
    from scipy.special import stdtr

    if not margin > 0.0:
        raise ValueError(f"margin is {margin}; pass the smallest difference that matters, above 0")
    difference, error, freedom = _welch_parts(x, y)
    if not error:
        return smallest_permutation_p(np.size(x), np.size(y)) if abs(difference) < margin else 1.0
    return float(stdtr(freedom, (abs(difference) - margin) / error))


def _welch_parts(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """Returns difference of means, its standard error, and the degrees of freedom."""
    first, second = _sample(x, "x"), _sample(y, "y")
    of_first, of_second = (float(part.var(ddof=1)) / part.size for part in (first, second))
    difference, variance = float(first.mean() - second.mean()), of_first + of_second
    if variance == 0.0:
        return difference, 0.0, np.inf
    shares = (of_first / variance) ** 2 / (first.size - 1) + (of_second / variance) ** 2 / (second.size - 1)
    return difference, sqrt(variance), 1.0 / shares


def _sample(values: ArrayLike, name: str) -> FloatArray:
    sample = as_finite(values, name, ("run",))
    if sample.ndim != 1 or sample.size < 2:
        raise ValueError(f"{name} has shape {sample.shape}; pass one score for each of at least 2 runs")
    return sample
