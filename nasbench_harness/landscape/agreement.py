"""Noise between replicates, and agreement of rankings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Bools, Floats

_TOP = 0.1


@dataclass(frozen=True)
class ReplicateNoise:
    """How much one training differs from another of the same architecture.

    Attributes:
        num_architectures: Architectures with two replicates or more.
        std: Mean of their standard deviations (ddof 1).
        std_of_best: The same among the best tenth by noiseless value.
        rank_correlation: Spearman's, between two replicates, mean over pairs of replicates.
        rank_correlation_of_best: The same among the best tenth by the other replicates; NaN if there are none. A tenth
            that the two replicates chose themselves would push their correlation down.
    """

    num_architectures: int
    std: float
    std_of_best: float
    rank_correlation: float
    rank_correlation_of_best: float


def replicate_noise(values: Floats, goodness: Floats) -> ReplicateNoise | None:
    """Noise of single replicates; None if no architecture has two.

    Args:
        values: Replicates, larger is better, shape (num_architectures, num_replicates), NaN if there is none.
        goodness: Noiseless quality, larger is better, shape (num_architectures,), NaN if there is none.
    """
    counts = (~np.isnan(values)).sum(axis=1)
    has_two = counts >= 2
    if not has_two.any():
        return None
    std = np.full(len(values), np.nan)
    std[has_two] = np.nanstd(values[has_two], axis=1, ddof=1)
    best = best_tenth(goodness)
    pairs = list(combinations(range(values.shape[1]), 2))

    found = [spearman(values[:, first], values[:, second]) for first, second in pairs]
    among_best = [_spearman_of_best(values, first, second) for first, second in pairs]
    return ReplicateNoise(
        int(has_two.sum()),
        float(std[has_two].mean()),
        float(std[has_two & best].mean()) if (has_two & best).any() else math.nan,
        _mean_of_known(found),
        _mean_of_known(among_best),
    )


def _spearman_of_best(values: Floats, first: int, second: int) -> float:
    """Correlation of two replicates among the best tenth by the mean of the others, of the rows that have all three."""
    is_other = ~np.isin(np.arange(values.shape[1]), (first, second))
    rows = values[~np.isnan(values[:, [first, second]]).any(axis=1)]
    rows = rows[~np.isnan(rows[:, is_other]).all(axis=1)]
    if not len(rows):
        return math.nan
    best = rows[best_tenth(np.nanmean(rows[:, is_other], axis=1))]
    return spearman(best[:, first], best[:, second])


def _mean_of_known(found: list[float]) -> float:
    known = [value for value in found if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def best_tenth(goodness: Floats) -> Bools:
    """The best tenth of the architectures that have a value, with all that tie with the last of them."""
    known = np.sort(goodness[~np.isnan(goodness)])
    last = known[-max(1, math.ceil(_TOP * len(known)))]
    best: Bools = goodness >= last
    return best


def spearman(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation of the pairs that have both values; NaN if it is not defined."""
    from scipy.stats import rankdata

    both = ~(np.isnan(first) | np.isnan(second))
    if both.sum() < 3:
        return math.nan
    one, other = rankdata(first[both]), rankdata(second[both])
    if one.min() == one.max() or other.min() == other.max():
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])
