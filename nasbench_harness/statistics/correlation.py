"""Rank correlation between scores and values over architectures, with bootstrap intervals; and the pick of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite, check_confidence

Coefficient = Literal["spearman", "kendall"]
MIN_ARCHITECTURES = 10  # of an interval


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its percentile bootstrap interval over architectures.

    Attributes:
        estimate: The coefficient; NaN if all scores or all values are equal.
        low: Lower end of the interval; NaN if there is none.
        high: Upper end.
    """

    estimate: float
    low: float
    high: float


def ranks_with_missing(scores: ArrayLike) -> FloatArray:
    """Returns mid-ranks of scores, 1 for the smallest; missing scores (NaN) tie below all others.

    Args:
        scores: larger is better, shape (num_architectures,).

    Example:
        >>> ranks_with_missing([3.0, float("nan"), 5.0, 5.0])
        array([2. , 1. , 3.5, 3.5])
    """
    from scipy.stats import rankdata

    array = np.asarray(scores, dtype=np.float64)
    order = rankdata(array, nan_policy="omit")
    num_missing = int(np.isnan(array).sum())
    return np.where(np.isnan(array), (num_missing + 1) / 2, order + num_missing)


def rank_correlation(
    scores: ArrayLike,
    values: ArrayLike,
    coefficient: Coefficient = "spearman",
    num_resamples: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
) -> Correlation:
    """Returns the rank correlation of scores and values; missing scores rank last.

    A resample draws architectures with replacement and ranks them again. Kendall's coefficient is tau-b. There is no
    interval for fewer than 10 architectures, nor if a resample has no coefficient, as all its scores are equal.

    Args:
        scores: larger is better, NaN if missing, shape (num_architectures,).
        values: finite, shape (num_architectures,).
        coefficient: "spearman" or "kendall".
        num_resamples: resamples of the interval; 0: no interval.
        seed: seed of the resamples; equal seeds draw the same architectures for every score.
        confidence: coverage of the interval.

    Raises:
        ValueError: shapes differ, or a value is not finite.

    Example:
        >>> rank_correlation([1, 2, 4, 3], [10.0, 20.0, 30.0, 40.0]).estimate
        0.8
    """
    check_confidence(confidence)
    x = ranks_with_missing(scores)
    y = ranks_with_missing(as_finite(values, "values", ("architecture",)))
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"scores have shape {x.shape} and values {y.shape}; both need (num_architectures,)")
    measure = _spearman if coefficient == "spearman" else _kendall
    estimate = measure(x, y)
    if not num_resamples or np.isnan(estimate) or len(x) < MIN_ARCHITECTURES:
        return Correlation(estimate, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    draws = (
        rng.integers(len(x), size=len(x)) for _ in range(num_resamples)
    )  # one at a time: all would fill the memory
    drawn = np.array([measure(x[rows], y[rows]) for rows in draws])
    half = (1 - confidence) / 2
    low, high = np.quantile(drawn, [half, 1 - half])
    return Correlation(estimate, float(low), float(high))


def _spearman(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else float("nan")


def _kendall(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import kendalltau

    if (x == x[0]).all() or (y == y[0]).all():
        return float("nan")
    return float(kendalltau(x, y).statistic)


def top_means(scores: ArrayLike, values: ArrayLike, counts: tuple[int, ...]) -> FloatArray:
    """Returns the mean value of the k architectures with the largest scores, for each k, shape (len(counts),).

    Architectures with equal scores share their places: the result is the expectation over orders of ties.

    Args:
        scores: larger is better, NaN ranks last, shape (num_architectures,).
        values: shape (num_architectures,).
        counts: numbers k, each in 1 … num_architectures.

    Example:
        >>> top_means([3.0, 2.0, 2.0, 1.0], [90.0, 80.0, 60.0, 50.0], (1, 2))
        array([90., 80.])
    """
    ranks = ranks_with_missing(scores)
    numbers = as_finite(values, "values", ("architecture",))
    _, group = np.unique(-ranks, return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, numbers) / sizes
    order = np.repeat(means, sizes)
    return np.array([order[:count].mean() for count in counts])
