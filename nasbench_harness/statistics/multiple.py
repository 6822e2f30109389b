"""Holm's correction, and the set of strategies that are not significantly worse than the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import BoolArray, FloatArray, as_finite


def adjust(p: ArrayLike) -> FloatArray:
    """Returns the p-values of one family of hypotheses after Holm's correction (1979), as R's `p.adjust`.

    It bounds the chance of any false rejection in the family, whatever the dependence between the tests.

    Args:
        p: p-values, any shape (num_hypotheses in all).

    Returns:
        Adjusted p in the shape of `p`, at most 1, equal for equal p.

    Raises:
        ValueError: a p is NaN or outside [0, 1].

    Example:
        >>> adjust([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    values = as_finite(p, "p", ())
    if values.min() < 0.0 or values.max() > 1.0:
        raise ValueError(f"p has values from {values.min()} to {values.max()}; pass p-values between 0 and 1")
    order = np.argsort(values, axis=None, kind="stable")
    adjusted = np.empty(values.size)
    steps = values.ravel()[order] * np.arange(values.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.reshape(values.shape)


def not_significantly_worse(
    scores: ArrayLike, p_adjusted: ArrayLike, alpha: float = 0.05, is_worse: ArrayLike | None = None
) -> BoolArray:
    """Marks the best strategies and those that are not significantly worse than any of them.

    Args:
        scores: smaller is better, shape (num_strategies,); all strategies at the minimum are best.
        p_adjusted: p of each pair after a correction over all pairs, symmetric, shape (num_strategies,
            num_strategies); the diagonal is ignored.
        alpha: p <= alpha is significant.
        is_worse: whether the first strategy of a pair is the worse one by the effect that p tests, same shape; None:
            by the scores. Significantly different but not worse keeps the mark.

    Returns:
        Marks, shape (num_strategies,).

    Raises:
        ValueError: shapes disagree, a value is NaN, the matrix is not symmetric, or alpha is outside (0, 1).

    >>> not_significantly_worse([0.1, 0.2, 0.9], [[1, 0.3, 0.01], [0.3, 1, 0.02], [0.01, 0.02, 1]])
    array([ True,  True, False])
    """
    losses = as_finite(scores, "scores", ("strategy",))
    num_strategies = losses.size
    p = np.array(p_adjusted, dtype=np.float64)
    if losses.ndim != 1 or p.shape != (num_strategies, num_strategies):
        raise ValueError(
            f"scores has shape {losses.shape} and p_adjusted {p.shape}; "
            "pass (num_strategies,) and (num_strategies, num_strategies)"
        )
    worse = losses[:, None] > losses[None, :] if is_worse is None else np.asarray(is_worse, dtype=bool)
    if worse.shape != p.shape:
        raise ValueError(f"is_worse has shape {worse.shape}; pass (num_strategies, num_strategies)")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; pass a level strictly between 0 and 1, such as .05")
    np.fill_diagonal(p, 1.0)
    as_finite(p, "p_adjusted", ("strategy", "strategy"))
    if not np.array_equal(p, p.T):
        raise ValueError("p_adjusted is not symmetric; fill both halves with the p of the pair")
    is_best = losses == losses.min()
    is_beaten = (p <= alpha) & worse
    marks: BoolArray = is_best | ~is_beaten[:, is_best].any(axis=1)
    return marks
