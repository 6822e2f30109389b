"""Ranks of strategies across tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite


def mean_ranks(estimates: ArrayLike) -> FloatArray:
    """Returns each strategy's mean over tasks of its rank within the task; 1 is best, ties share mid-ranks.

    Mean ranks depend on the set of competitors (Benavoli et al. 2016): show them beside tests on scores.

    Args:
        estimates: one loss or regret for each strategy and task (smaller is better), shape (num_strategies, num_tasks).
            Equal estimates tie only if equal to the last bit, so pass grid values or values computed alike.

    Returns:
        Mean ranks, shape (num_strategies,).

    Raises:
        ValueError: wrong shape, empty, or a value is NaN or infinite.

    Example:
        >>> mean_ranks([[0.1, 0.2], [0.1, 0.3]])
        array([1.25, 1.75])
    """
    values = as_finite(estimates, "estimates", ("strategy", "task"))
    if values.ndim != 2:
        raise ValueError(f"estimates has shape {values.shape}; pass (num_strategies, num_tasks)")
    is_better = values[None, :, :] < values[:, None, :]
    is_equal = values[None, :, :] == values[:, None, :]
    ranks = is_better.sum(axis=1) + (is_equal.sum(axis=1) + 1) / 2.0
    return np.asarray(ranks.mean(axis=1))


def resampled_mean_ranks(estimates: ArrayLike) -> FloatArray:
    """Returns `mean_ranks` in every resample.

    Args:
        estimates: loss of each strategy on each task in each resample, shape (num_strategies, num_tasks,
            num_resamples).

    Returns:
        Shape (num_strategies, num_resamples).

    Raises:
        ValueError: wrong shape, empty, or a value is NaN or infinite.

    Example:
        >>> resampled_mean_ranks([[[0.1, 0.4]], [[0.2, 0.3]]])
        array([[1., 2.],
               [2., 1.]])
    """
    values = as_finite(estimates, "estimates", ("strategy", "task", "resample"))
    if values.ndim != 3:
        raise ValueError(f"estimates has shape {values.shape}; pass (num_strategies, num_tasks, num_resamples)")
    ranks = np.full(values.shape, 0.5)
    for other in values:  # one at a time bounds the memory
        ranks += other < values
        ranks += 0.5 * (other == values)
    return np.asarray(ranks.mean(axis=1))


def first_shares(ranks: ArrayLike) -> FloatArray:
    """Returns the share of resamples in which each strategy has the best mean rank; ties share.

    Args:
        ranks: mean ranks, shape (num_strategies, num_resamples).

    Returns:
        Shape (num_strategies,); the shares add up to 1.

    Raises:
        ValueError: wrong shape, empty, or a value is NaN or infinite.

    Example:
        >>> first_shares([[1.0, 1.5], [2.0, 1.5]])
        array([0.75, 0.25])
    """
    values = as_finite(ranks, "ranks", ("strategy", "resample"))
    is_best = values == values.min(axis=0)
    return np.asarray((is_best / is_best.sum(axis=0)).mean(axis=1))
