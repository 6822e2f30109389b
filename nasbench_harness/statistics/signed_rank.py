"""Wilcoxon's signed-rank test with Pratt's zeros on integer differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_harness.statistics._checks import FloatArray, IntArray

Alternative = Literal["two-sided", "greater", "less"]
Method = Literal["auto", "exact", "normal"]

_MAX_RUNS_EXACT = 100
_MAX_CODE = 2**60
"""Leaves room for a difference and the sign bit in an int64."""


@dataclass(frozen=True)
class SignedRank:
    """Result of `signed_rank`; the arrays have the leading shape (...) of the differences.

    Attributes:
        statistic: sum of the ranks of the positive differences.
        z: statistic minus its null mean, over its null standard deviation (ties and zeros counted; 0 if all are zero).
        p_value: p of the chosen alternative.
        method: "exact" or "normal".
    """

    statistic: FloatArray
    z: FloatArray
    p_value: FloatArray
    method: str


def signed_rank(differences: ArrayLike, alternative: Alternative = "two-sided", method: Method = "auto") -> SignedRank:
    """Tests whether paired differences are symmetric about zero (Wilcoxon 1945, zeros as in Pratt 1959).

    Zeros are ranked with the others, then take part in neither sum; ties share mid-ranks. "exact" enumerates all signs
    by a dynamic program over the actual mid-ranks (scipy's "exact" ignores ties and zeros); its two-sided p counts
    sums at least as far from the null mean. "normal" has the tie-corrected variance and no continuity correction.

    Args:
        differences: integers, shape (..., num_runs); code scores as integers first, as float noise breaks ties.
        alternative: "greater" means that the differences tend to be positive.
        method: "auto" is exact up to 100 runs, else normal.

    Raises:
        ValueError: differences are not integers or have no run; unknown alternative or method.

    Example:
        >>> float(signed_rank([1, 2, 3, 4, 5, 6]).p_value)
        0.03125
    """
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative is {alternative!r}; choose one of {', '.join(get_args(Alternative))}")
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(Method))}")
    codes = _checked_codes(differences, "differences")
    ranks, is_positive = _doubled_ranks(codes)
    positive = (ranks * is_positive).sum(axis=-1)
    total = ranks.sum(axis=-1)
    deviation = np.sqrt((ranks * ranks).sum(axis=-1, dtype=np.float64))
    z = np.divide(2.0 * positive - total, deviation, out=np.zeros(total.shape), where=deviation > 0)
    chosen = method if method != "auto" else "exact" if codes.shape[-1] <= _MAX_RUNS_EXACT else "normal"
    if chosen == "exact":
        p = _exact_p(ranks, positive, alternative)
    else:
        p = np.where(total > 0, _normal_p(z, alternative), 1.0)
    return SignedRank(statistic=np.asarray(positive / 2.0), z=z, p_value=p, method=chosen)


def _checked_codes(values: ArrayLike, name: str) -> IntArray:
    array: NDArray[np.generic] = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} has dtype {array.dtype}; code scores as integers first")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; pass at least one run on the last axis, num_runs")
    if int(array.max()) > _MAX_CODE or int(array.min()) < -_MAX_CODE:
        raise ValueError(f"{name} exceeds 2^60; use a coarser grid step")
    return array.astype(np.int64)


def _doubled_ranks(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Returns twice the mid-ranks of |codes| (0 for zeros) and the 0/1 sign, both in sorted order (..., num_runs)."""
    # The sign rides in the lowest bit, so that one plain sort serves magnitudes and signs.
    keys = np.sort(2 * np.abs(codes) + (codes > 0), axis=-1)
    magnitude, is_positive = keys >> 1, keys & 1
    num_runs = codes.shape[-1]
    position = np.arange(num_runs)
    is_first = np.ones(keys.shape, dtype=bool)
    is_first[..., 1:] = magnitude[..., 1:] != magnitude[..., :-1]
    is_last = np.roll(is_first, -1, axis=-1)
    start = np.maximum.accumulate(np.where(is_first, position, 0), axis=-1)
    last = np.where(is_last, position, num_runs)[..., ::-1]
    end = np.minimum.accumulate(last, axis=-1)[..., ::-1] + 1
    # Ranks start + 1 .. end share twice their mean, start + end + 1.
    return np.where(magnitude > 0, start + end + 1, 0), is_positive


def _normal_p(z: FloatArray, alternative: Alternative) -> FloatArray:
    from scipy.special import ndtr

    if alternative == "two-sided":
        return np.asarray(2.0 * ndtr(-np.abs(z)))
    return np.asarray(ndtr(-z if alternative == "greater" else z))


def _exact_p(ranks: IntArray, positive: IntArray, alternative: Alternative) -> FloatArray:
    p = np.empty(positive.shape)
    for index in np.ndindex(positive.shape):
        nonzero = ranks[index][ranks[index] > 0]
        p[index] = _exact_p_of_one(nonzero, int(positive[index]), alternative)
    return p


def _exact_p_of_one(ranks: IntArray, positive: int, alternative: Alternative) -> float:
    unit = max(int(np.gcd.reduce(ranks)), 1)
    null = _null_distribution(ranks // unit)
    sums = np.arange(null.size)
    observed, total = positive // unit, null.size - 1
    if alternative == "greater":
        is_extreme = sums >= observed
    elif alternative == "less":
        is_extreme = sums <= observed
    else:
        is_extreme = np.abs(2 * sums - total) >= abs(2 * observed - total)
    return min(float(null[is_extreme].sum()), 1.0)


def _null_distribution(ranks: IntArray) -> FloatArray:
    """Returns P(sum of a random subset of ranks = s) for s = 0 .. sum(ranks); each rank is in with probability 1/2."""
    null = np.zeros(int(ranks.sum()) + 1)
    null[0] = 1.0
    top = 1
    for rank in ranks.tolist():
        shifted = null[:top].copy()
        null[rank : rank + top] += shifted
        top += rank
        null[:top] *= 0.5
    return null
