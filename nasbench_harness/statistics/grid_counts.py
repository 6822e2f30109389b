"""Runs as counts per integer grid value: exact moments, and permutation tests of the difference of two means."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

GridCounts = Mapping[int, int]

NUM_PERMUTATIONS = 9_999
_DRAWS_AT_A_TIME = 10_000


def count_grid_values(grid_values: ArrayLike) -> dict[int, int]:
    """Returns how often each grid value occurs, in ascending order.

    Args:
        grid_values: integers, shape (num_runs,).

    Raises:
        ValueError: not one-dimensional, or not integers.

    Example:
        >>> count_grid_values([3, 0, 3])
        {0: 1, 3: 2}
    """
    array = np.asarray(grid_values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"grid_values has shape {array.shape} and type {array.dtype}; pass integers of shape (num_runs,)"
        )
    values, counts = np.unique(array, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def moments(counts: GridCounts, name: str) -> tuple[int, float, float]:
    """Returns number of runs, mean and unbiased variance in grid steps; sums are exact integers."""
    num_runs = sum(counts.values())
    if num_runs < 2 or min(counts.values()) < 0:
        raise ValueError(
            f"{name} has {num_runs} runs and counts {dict(counts)}; pass at least 2 runs, no count below 0"
        )
    total = sum(value * count for value, count in counts.items())
    squares = sum(value * value * count for value, count in counts.items())
    return num_runs, total / num_runs, (num_runs * squares - total * total) / (num_runs * (num_runs - 1))


def permutation_p_better(old: GridCounts, new: GridCounts, seed: int = 0) -> float:
    """Returns the one-sided permutation p-value of "the new runs are not better": their mean regret is no smaller.

    Args:
        old: how often each grid value occurs among the old runs.
        new: the same of the new runs.
        seed: seeds the draws.

    Raises:
        ValueError: fewer than 2 runs on a side, or a count below 0.

    Example:
        >>> permutation_p_better({5: 30}, {1: 30})
        0.0001
    """
    return _permutation_p(old, new, NUM_PERMUTATIONS, seed)


def permutation_p_worse(old: GridCounts, new: GridCounts, num_draws: int = NUM_PERMUTATIONS, seed: int = 0) -> float:
    """Returns the one-sided permutation p-value of "the new runs are not worse": their mean regret is no larger.

    Args:
        old: how often each grid value occurs among the old runs.
        new: the same of the new runs.
        num_draws: number of draws; no p is below 1 / (num_draws + 1).
        seed: seeds the draws.

    Raises:
        ValueError: fewer than 2 runs on a side, or a count below 0.

    Example:
        >>> permutation_p_worse({5: 30}, {9: 30})
        0.0001
    """
    old, new = ({-value: count for value, count in counts.items()} for counts in (old, new))
    return _permutation_p(old, new, num_draws, seed)


def _permutation_p(old: GridCounts, new: GridCounts, num_draws: int, seed: int) -> float:
    """Returns the chance of a mean at most that of ``new`` among as many runs, drawn from all runs without replacement.

    The difference of means grows with their sum, so that the sums are compared.
    """
    moments(old, "old")
    num_new = moments(new, "new")[0]
    grid_values = np.array(sorted({*old, *new}), dtype=np.int64)
    pooled = [old.get(value, 0) + new.get(value, 0) for value in grid_values.tolist()]
    rng = np.random.Generator(np.random.PCG64(seed))
    observed = sum(value * count for value, count in new.items())
    num_as_good = 0
    for start in range(0, num_draws, _DRAWS_AT_A_TIME):
        size = min(_DRAWS_AT_A_TIME, num_draws - start)
        drawn = rng.multivariate_hypergeometric(pooled, num_new, size=size, method="count")
        num_as_good += int((drawn @ grid_values <= observed).sum())
    return (1 + num_as_good) / (1 + num_draws)
