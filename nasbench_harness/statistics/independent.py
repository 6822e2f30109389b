"""Tests of two independent samples: equal means (Welch), or equal chances to be the larger one (Brunner and Munzel).

Two rules make them safe on scores of a table, which are discrete and often constant:

    compare_means   Welch's t. Both samples constant: 1 if they are equal, else 2 / C(n + m, n). One sample constant:
                    the larger p of Welch's test and the Mann-Whitney test.
    compare_ranks   Brunner and Munzel's test with the t distribution. The exact Mann-Whitney test if both samples have
                    at most 50 runs, if they are separated completely, or if both are constant.

Every p is two-sided and above 0.
"""

from __future__ import annotations

import sys
from math import ceil, comb, sqrt

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray, as_finite

MAX_RUNS_EXACT = 50
"""Runs of each sample up to which the Mann-Whitney test is exact."""

_SMALLEST_P = sys.float_info.min
_POWER = 7.85  # (z of .975 + z of .8) squared: level .05 two-sided, power .8


def compare_means(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the p-value of "both samples have the same mean", by the module's rules.

    Args:
        x: finite scores or integers on a grid, shape (num_runs_x,) with at least 2 runs.
        y: the same of the other strategy, shape (num_runs_y,).

    Raises:
        ValueError: not one-dimensional, too few runs, or a value is NaN or infinite.

    Example:
        >>> compare_means([1, 1, 1], [1, 1, 1]), compare_means([0, 0, 0], [1, 1, 1])
        (1.0, 0.1)
    """
    first, second = _sample(x, "x"), _sample(y, "y")
    is_constant = [bool((part == part[0]).all()) for part in (first, second)]
    if all(is_constant):
        if first[0] == second[0]:
            return 1.0
        return _positive(2 * smallest_permutation_p(first.size, second.size))
    p = welch(first, second)
    return max(p, mann_whitney_two_sided(first, second)) if any(is_constant) else p


def compare_ranks(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the p-value of "A12 is one half", by the module's rules; arguments and errors as `compare_means`.

    Example:
        >>> round(compare_ranks([0, 0, 1], [1, 1, 2]), 4)
        0.3
    """
    first, second = _sample(x, "x"), _sample(y, "y")
    is_separated = first.max() < second.min() or second.max() < first.min()
    is_constant = first.min() == first.max() and second.min() == second.max()
    if max(first.size, second.size) <= MAX_RUNS_EXACT or is_separated or is_constant:
        return mann_whitney_two_sided(first, second)
    return brunner_munzel(first, second)


def welch(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the two-sided p of Welch's t-test (1947); 1 if both samples are constant and equal.

    Arguments and errors are those of `compare_means`.

    Example:
        >>> round(welch([1, 2, 3, 4], [3, 4, 5, 6]), 4)
        0.071
    """
    from scipy.special import stdtr

    first, second = _sample(x, "x"), _sample(y, "y")
    of_first, of_second = (float(part.var(ddof=1)) / part.size for part in (first, second))
    difference, variance = float(first.mean() - second.mean()), of_first + of_second
    if variance == 0.0:
        return 1.0 if difference == 0.0 else _SMALLEST_P
    shares = (of_first / variance) ** 2 / (first.size - 1) + (of_second / variance) ** 2 / (second.size - 1)
    return _positive(2.0 * float(stdtr(1.0 / shares, -abs(difference) / sqrt(variance))))


def brunner_munzel(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the two-sided p of Brunner and Munzel's test (2000) with the t distribution.

    Arguments are those of `compare_means`.

    Raises:
        ValueError: as `compare_means`, or the samples are separated completely: the test is undefined then.

    Example:
        >>> round(brunner_munzel([1, 2, 3, 4], [2, 3, 4, 5]), 4)
        0.3071
    """
    from scipy.special import stdtr

    first, second = _sample(x, "x"), _sample(y, "y")
    n, m = first.size, second.size
    of_first = _placements(first, np.sort(second))  # pairs that each value wins, shape (n,)
    of_second = _placements(second, np.sort(first))
    spread = [float(part.var(ddof=1)) for part in (of_first, of_second)]
    scale = n * spread[0] + m * spread[1]
    if scale == 0.0:
        raise ValueError("x and y are separated completely or constant; use compare_ranks, which has a rule for that")
    # The difference of the mean ranks, from the share of pairs that the first sample wins.
    difference = (of_first.mean() / m - 0.5) * (n + m)
    statistic = n * m * difference / ((n + m) * sqrt(scale))
    freedom = scale**2 / ((n * spread[0]) ** 2 / (n - 1) + (m * spread[1]) ** 2 / (m - 1))
    return _positive(2.0 * float(stdtr(freedom, -abs(statistic))))


def mann_whitney_two_sided(x: ArrayLike, y: ArrayLike) -> float:
    """Returns the two-sided p of the Mann-Whitney test with mid-ranks.

    It is exact, ties included, if both samples have at most 50 runs or are separated completely, else normal with the
    variance corrected for ties and without a continuity correction. Exact: the share of labelings with U at least as
    far from n m / 2 (scipy's "exact" ignores ties). Arguments and errors are those of `compare_means`.

    Example:
        >>> mann_whitney_two_sided([1, 2, 3], [4, 5, 6])
        0.1
    """
    first, second = _sample(x, "x"), _sample(y, "y")
    pooled = np.sort(np.concatenate([first, second]))
    if pooled[0] == pooled[-1]:
        return 1.0
    n, m = first.size, second.size
    if first.max() < second.min() or second.max() < first.min():
        # The opposite extreme exists if no tie crosses its border.
        size = n if first.max() < second.min() else m
        is_mirrored = pooled[n + m - size - 1] < pooled[n + m - size]
        return _positive((1 + bool(is_mirrored)) / comb(n + m, n))
    ranks = _doubled_ranks(pooled)
    observed = int(ranks[np.searchsorted(pooled, first)].sum())
    if max(n, m) <= MAX_RUNS_EXACT:
        return _exact_p(ranks, n, observed)
    from scipy.special import ndtr

    center = n * (n + m + 1)  # of the doubled rank sum
    squares = float((ranks.astype(np.float64) ** 2).sum())
    variance = n * m / ((n + m) * (n + m - 1)) * (squares - (n + m) * float(n + m + 1) ** 2)
    return _positive(2.0 * float(ndtr(-abs(observed - center) / sqrt(variance))))


def runs_for_margin(x: ArrayLike, y: ArrayLike, margin: float) -> int | None:
    """Returns how many runs of each strategy would find a difference of the size `margin` with power .8 at level .05.

    n = 7.85 (s_x^2 + s_y^2) / margin^2: it depends on the spread of the runs, never on their difference (a power
    computed from the observed difference only repeats the p-value).

    Args:
        x: finite scores, shape (num_runs_x,) with at least 2 runs.
        y: the same of the other strategy, shape (num_runs_y,).
        margin: difference of means that matters, in the unit of the scores, above 0.

    Returns:
        A number of runs; None if both samples are constant.

    Raises:
        ValueError: margin is not above 0, or as `compare_means`.

    Example:
        >>> runs_for_margin([0.0, 1.0], [0.0, 1.0], 0.5)
        32
    """
    if not margin > 0.0:
        raise ValueError(f"margin is {margin}; pass the difference that matters, above 0")
    spread = sum(float(part.var(ddof=1)) for part in (_sample(x, "x"), _sample(y, "y")))
    return ceil(_POWER * spread / margin**2) if spread else None


def runs_for_a12(a12: float = 0.56) -> int:
    """Returns how many runs of each strategy would find this A12 with power .8 at level .05 (Noether 1987).

    Args:
        a12: chance that one strategy is the better one, other than .5.

    Raises:
        ValueError: a12 is .5 or outside [0, 1].

    Example:
        >>> runs_for_a12(0.56)
        364
    """
    if not 0.0 <= a12 <= 1.0 or a12 == 0.5:
        raise ValueError(f"a12 is {a12}; pass a chance between 0 and 1 other than .5")
    return ceil(_POWER / (6.0 * (a12 - 0.5) ** 2))


def smallest_permutation_p(num_x: int, num_y: int) -> float:
    """Returns the smallest one-sided p of a permutation test of samples of these sizes: 1 / C(num_x + num_y, num_x).

    >>> smallest_permutation_p(3, 3)
    0.05
    """
    return _positive(1 / comb(num_x + num_y, num_x))


def _sample(values: ArrayLike, name: str) -> FloatArray:
    sample = as_finite(values, name, ("run",))
    if sample.ndim != 1 or sample.size < 2:
        raise ValueError(f"{name} has shape {sample.shape}; pass (num_runs,) with at least 2 runs")
    return sample


def _positive(p: float) -> float:
    """A p-value that underflows is the smallest number, never 0."""
    return min(max(p, _SMALLEST_P), 1.0)


def _placements(values: FloatArray, ordered: FloatArray) -> FloatArray:
    """Returns how many of the sorted values each value exceeds, ties counting one half."""
    below, not_above = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + not_above) / 2.0)


def _doubled_ranks(pooled: FloatArray) -> IntArray:
    """Returns twice the mid-ranks of sorted values."""
    start, end = np.searchsorted(pooled, pooled, "left"), np.searchsorted(pooled, pooled, "right")
    return np.asarray(start + end + 1, dtype=np.int64)


def _exact_p(ranks: IntArray, size: int, observed: int) -> float:
    """Returns the share of subsets of this size whose sum of doubled ranks is at least as far from its mean."""
    smallest = int(ranks[0])
    unit = max(int(np.gcd.reduce(ranks - smallest)), 1)
    steps = ((ranks - smallest) // unit).tolist()  # ascending
    num_items = len(steps)
    highest = sum(steps[num_items - size :])
    # ways[k, s]: subsets of the items so far with k members and sum s. Counts beyond 2^53 are rounded to 1e-16 of them.
    ways = np.zeros((size + 1, highest + 1))
    ways[0, 0] = 1.0
    for i, step in enumerate(steps):
        # Only sizes that can still become `size`, and sums that can occur.
        low, high = max(size - (num_items - i), 0), min(i, size - 1)
        reach = min(sum(steps[max(i - size, 0) : i]), highest - step) + 1
        if low <= high:
            ways[low + 1 : high + 2, step : step + reach] += ways[low : high + 1, :reach].copy()
    counts = ways[size]
    center = size * sum(ranks.tolist()) / num_items  # of the doubled rank sum; a multiple of one half
    sums = np.arange(highest + 1) * unit + size * smallest
    is_extreme = np.abs(sums - center) >= abs(observed - center) - 1e-6
    return _positive(float(counts[is_extreme].sum() / counts.sum()))
