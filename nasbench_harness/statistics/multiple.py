"""Corrections for multiple tests, and the set of strategies that are not significantly worse than the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import BoolArray, FloatArray, as_finite

Correction = Literal["holm", "hochberg", "hommel", "bonferroni", "bh", "by"]


def adjust(p: ArrayLike, method: Correction = "holm") -> FloatArray:
    """Returns adjusted p-values of one family of hypotheses, as R's `p.adjust`.

    holm, hochberg, hommel and bonferroni bound the chance of any false rejection (hochberg and hommel under positive
    dependence); bh and by bound the false discovery rate and are for screening only.

    Args:
        p: p-values, any shape (num_hypotheses in all).
        method: the correction (Holm 1979, Hochberg 1988, Hommel 1988, Benjamini & Hochberg 1995, Benjamini &
            Yekutieli 2001).

    Returns:
        Adjusted p in the shape of `p`, at most 1, equal for equal p.

    Raises:
        ValueError: a p is NaN or outside [0, 1], or the method is unknown.

    Example:
        >>> adjust([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    if method not in get_args(Correction):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(Correction))}")
    values = as_finite(p, "p", ())
    if values.min() < 0.0 or values.max() > 1.0:
        raise ValueError(f"p has values from {values.min()} to {values.max()}; pass p-values between 0 and 1")
    order = np.argsort(values, axis=None, kind="stable")
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(_ADJUSTMENTS[method](values.ravel()[order]), 1.0)
    return adjusted.reshape(values.shape)


def not_significantly_worse(means: ArrayLike, p_adjusted: ArrayLike, alpha: float = 0.05) -> BoolArray:
    """Marks the best strategies and those that are not significantly worse than any of them.

    Args:
        means: losses or regrets (smaller is better), shape (num_strategies,); all strategies at the minimum are best.
        p_adjusted: p of each pair after a correction over all pairs, symmetric, shape (num_strategies,
            num_strategies); the diagonal is ignored.
        alpha: p <= alpha is significant.

    Returns:
        Marks, shape (num_strategies,).

    Raises:
        ValueError: shapes disagree, a value is NaN, the matrix is not symmetric, or alpha is outside (0, 1).
    """
    losses = as_finite(means, "means", ("strategy",))
    num_strategies = losses.size
    p = np.array(p_adjusted, dtype=np.float64)
    if losses.ndim != 1 or p.shape != (num_strategies, num_strategies):
        raise ValueError(
            f"means has shape {losses.shape} and p_adjusted {p.shape}; "
            "pass (num_strategies,) and (num_strategies, num_strategies)"
        )
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; pass a level strictly between 0 and 1, such as .05")
    np.fill_diagonal(p, 1.0)
    as_finite(p, "p_adjusted", ("strategy", "strategy"))
    if not np.array_equal(p, p.T):
        raise ValueError("p_adjusted is not symmetric; fill both halves with the p of the pair")
    is_best = losses == losses.min()
    marks: BoolArray = is_best | (p[:, is_best] > alpha).all(axis=1)
    return marks


def _bonferroni(p: FloatArray) -> FloatArray:
    return p * p.size


def _holm(p: FloatArray) -> FloatArray:
    return np.asarray(np.maximum.accumulate(p * np.arange(p.size, 0, -1)))


def _step_up(weighted: FloatArray) -> FloatArray:
    return np.asarray(np.minimum.accumulate(weighted[::-1])[::-1])


def _hochberg(p: FloatArray) -> FloatArray:
    return _step_up(p * np.arange(p.size, 0, -1))


def _bh(p: FloatArray) -> FloatArray:
    return _step_up(p.size / np.arange(1, p.size + 1) * p)


def _by(p: FloatArray) -> FloatArray:
    ranks = np.arange(1, p.size + 1)
    return _step_up((1.0 / ranks).sum() * p.size / ranks * p)


def _hommel(p: FloatArray) -> FloatArray:
    """Returns Hommel's adjusted p of sorted p: the largest Simes p over the closed family, found size by size."""
    num = p.size
    best = np.full(num, (num * p / np.arange(1, num + 1)).min())
    for size in range(num - 1, 1, -1):
        split = num - size + 1
        simes = np.empty(num)
        bound = (size * p[split:] / np.arange(2, size + 1)).min()
        simes[:split] = np.minimum(size * p[:split], bound)
        simes[split:] = simes[split - 1]
        best = np.maximum(best, simes)
    return np.asarray(np.maximum(best, p))


_ADJUSTMENTS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "bonferroni": _bonferroni,
    "holm": _holm,
    "hochberg": _hochberg,
    "hommel": _hommel,
    "bh": _bh,
    "by": _by,
}
