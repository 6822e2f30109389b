"""Point estimates: interquartile mean and proportions."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_harness.statistics._checks import FloatArray, as_numbers, check_confidence


@dataclass(frozen=True)
class Proportion:
    """A share with its confidence interval."""

    value: float
    low: float
    high: float


def iqm(values: ArrayLike, axis: int = -1) -> FloatArray:
    """Returns the interquartile mean: the mean after dropping the int(N / 4) smallest and largest values.

    As scipy's `trim_mean(.25)` and rliable (Agarwal et al. 2021). Pool runs and tasks by passing them on one axis.

    Args:
        values: finite numbers, shape (..., N) with N on `axis`. Of integers the sum is exact, so that equal means tie.
        axis: the axis to average over.

    Raises:
        ValueError: empty, or a value is NaN or infinite.

    Example:
        >>> float(iqm([0, 1, 2, 3, 100]))
        2.0
    """
    moved = np.moveaxis(np.atleast_1d(np.asarray(values)), axis, -1)
    ordered = np.sort(as_numbers(moved, "values", ("run",)), axis=-1)
    trim = ordered.shape[-1] // 4
    return centered_mean(ordered[..., trim : ordered.shape[-1] - trim])


def centered_mean(values: NDArray[Any]) -> FloatArray:
    """Returns the mean over the last axis: of integers their exact sum, divided once.

    Of floats it is taken relative to the first value: exact if all values are equal.
    """
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values.sum(axis=-1, dtype=np.int64) / values.shape[-1])
    first = values[..., :1]
    return np.asarray(first[..., 0] + (values - first).mean(axis=-1))


def proportion(successes: int, n: int, confidence: float = 0.95) -> Proportion:
    """Returns a share and its interval: Wilson (1927), or Clopper-Pearson (1934) if successes is 0 or n.

    Args:
        successes: number of runs that did it, 0 .. n.
        n: number of runs.
        confidence: level of the two-sided interval.

    Raises:
        ValueError: not 0 <= successes <= n with n >= 1, or confidence outside (0, 1).

    Example:
        >>> round(proportion(20, 20).low, 3)
        0.832
    """
    check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes is {successes} of n = {n}; pass 0 <= successes <= n with n >= 1")
    alpha = 1.0 - confidence
    if successes == 0:
        return Proportion(0.0, 0.0, 1.0 - (alpha / 2.0) ** (1.0 / n))
    if successes == n:
        return Proportion(1.0, (alpha / 2.0) ** (1.0 / n), 1.0)
    from scipy.special import ndtri

    z2 = float(ndtri(1.0 - alpha / 2.0)) ** 2
    share = successes / n
    center = (share + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = sqrt(z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
    return Proportion(share, center - half, center + half)
