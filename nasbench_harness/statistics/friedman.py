"""Friedman's test, and the pairs of mean ranks that differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite
from nasbench_harness.statistics.multiple import adjust
from nasbench_harness.statistics.ranking import mean_ranks


@dataclass(frozen=True)
class RankTests:
    """Result of `rank_tests`.

    Attributes:
        mean_ranks: 1 is best, shape (num_strategies,).
        p: Friedman's test of equal strategies, with its correction for ties; 1 if all strategies tie on every task.
        p_pairs: two-sided p of each pair of mean ranks after Holm's correction over all pairs, symmetric, 1 on the
            diagonal, shape (num_strategies, num_strategies).
    """

    mean_ranks: FloatArray
    p: float
    p_pairs: FloatArray


def rank_tests(estimates: ArrayLike) -> RankTests:
    """Tests ranks of strategies over tasks; the unit is the task.

    A difference of two mean ranks is compared with the normal law of standard deviation sqrt(k (k + 1) / (6 N)) for k
    strategies and N tasks (Demšar 2006, section 3.2.2). Mean ranks depend on the set of competitors.

    Args:
        estimates: one loss or regret for each strategy and task (smaller is better), shape (num_strategies, num_tasks).
            Equal estimates tie only if equal to the last bit, so pass grid values or values computed alike.

    Raises:
        ValueError: wrong shape, fewer than 3 strategies, or a value is NaN or infinite.

    Example:
        >>> tests = rank_tests([[1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2], [3, 3, 3, 3, 3, 3]])
        >>> [round(p, 4) for p in tests.p_pairs[0].tolist()]
        [1.0, 0.1665, 0.0016]
    """
    from scipy.special import ndtr
    from scipy.stats import friedmanchisquare

    values = as_finite(estimates, "estimates", ("strategy", "task"))
    ranks = mean_ranks(values)
    num_strategies, num_tasks = values.shape
    if num_strategies < 3:
        raise ValueError(f"estimates has {num_strategies} strategies; pass at least 3")
    all_tie = bool(np.all(values == values[:1]))
    p = 1.0 if all_tie else float(friedmanchisquare(*values).pvalue)
    deviation = np.sqrt(num_strategies * (num_strategies + 1) / (6 * num_tasks))
    first, second = np.triu_indices(num_strategies, k=1)
    p_pairs = np.ones((num_strategies, num_strategies))
    adjusted = adjust(2 * ndtr(-np.abs(ranks[first] - ranks[second]) / deviation))
    p_pairs[first, second] = p_pairs[second, first] = adjusted
    return RankTests(ranks, p, p_pairs)
