"""Are the trained candidates better than their controls? Exact tests whose unit is the architecture.

Matched: every candidate stands in a block with its own controls; under the null hypothesis each member of a block is as
likely to be the candidate as any other. T = sum over blocks of (candidate − mean of its controls); its distribution is
enumerated if a block's labels can be permuted in at most 100,000 ways, else sampled (Phipson and Smyth 2010: the
p-value of a sample is (1 + b) / (1 + B)). Random: the exact Mann–Whitney test with mid-ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite

MAX_ENUMERATED = 100_000
NUM_SAMPLED = 9_999
_TOLERANCE = 1e-9  # sums of equal numbers in another order must tie

Verdict = Literal["confirmed", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class OneSidedTests:
    """One-sided p-values each way.

    Attributes:
        p_better: Chance under the null hypothesis of candidates at least as good.
        p_worse: Chance under the null hypothesis of candidates at most as good.
        statistic: T, or the Mann–Whitney U of the candidates.
        is_exact: Whether every labeling was enumerated.
    """

    p_better: float
    p_worse: float
    statistic: float
    is_exact: bool

    def verdict(self, alpha: float) -> Verdict:
        """``confirmed`` if the candidates are better at level alpha, ``contradicted`` if they are worse."""
        if self.p_better <= alpha:
            return "confirmed"
        return "contradicted" if self.p_worse <= alpha else "inconclusive"


def within_blocks(candidates: ArrayLike, controls: ArrayLike, seed: int = 0) -> OneSidedTests:
    """Tests candidates against their matched controls by permuting labels within blocks.

    Args:
        candidates: scores, larger is better, shape (num_blocks,).
        controls: scores of each block's controls, shape (num_blocks, num_controls).
        seed: seed of the sampled permutations, if there are too many to enumerate.

    Raises:
        ValueError: wrong shapes, or scores that are not finite.

    Example:
        >>> within_blocks([2.0, 2.0], [[1.0], [1.0]]).p_better
        0.25
    """
    first, others = (
        as_finite(candidates, "candidates", ("block",)),
        as_finite(controls, "controls", ("block", "control")),
    )
    if first.ndim != 1 or others.ndim != 2 or len(first) != len(others):
        raise ValueError(
            f"candidates has shape {first.shape} and controls {others.shape}; pass (num_blocks,) and "
            "(num_blocks, num_controls)"
        )
    members = np.concatenate([first[:, None], others], axis=1)
    num_members = members.shape[1]
    # What a block adds to T if this member were the candidate.
    contributions = (members * num_members - members.sum(axis=1, keepdims=True)) / (num_members - 1)
    observed = float(contributions[:, 0].sum())
    if num_members ** len(first) <= MAX_ENUMERATED:
        sums = np.zeros(1)
        for row in contributions:
            sums = (sums[:, None] + row).ravel()
        return _two_way(sums, observed, is_exact=True)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.integers(num_members, size=(NUM_SAMPLED, len(first)))
    return _two_way(contributions[np.arange(len(first)), drawn].sum(axis=1), observed, is_exact=False)


def mann_whitney(candidates: ArrayLike, controls: ArrayLike, seed: int = 0) -> OneSidedTests:
    """Tests two independent samples by the Mann–Whitney statistic, exactly, ties included.

    Args:
        candidates: scores, larger is better, shape (num_candidates,).
        controls: scores, shape (num_controls,).
        seed: seed of the sampled labelings, if there are too many to enumerate.

    Raises:
        ValueError: wrong shapes, or scores that are not finite.

    Example:
        >>> mann_whitney([3.0, 4.0, 5.0], [0.0, 1.0, 2.0]).p_better
        0.05
    """
    first, second = (
        as_finite(part, name, ("run",)) for part, name in ((candidates, "candidates"), (controls, "controls"))
    )
    if first.ndim != 1 or second.ndim != 1:
        raise ValueError(f"candidates has shape {first.shape} and controls {second.shape}; pass one-dimensional arrays")
    ranks = _mid_ranks(np.concatenate([first, second]))
    size, total = len(first), len(ranks)
    observed = float(ranks[:size].sum())
    if math.comb(total, size) <= MAX_ENUMERATED:
        chosen = np.array(list(combinations(range(total), size)))
        test = _two_way(ranks[chosen].sum(axis=1), observed, is_exact=True)
    else:
        rng = np.random.Generator(np.random.PCG64(seed))
        drawn = rng.permuted(np.broadcast_to(ranks, (NUM_SAMPLED, total)), axis=1)
        test = _two_way(drawn[:, :size].sum(axis=1), observed, is_exact=False)
    return OneSidedTests(test.p_better, test.p_worse, observed - size * (size + 1) / 2, test.is_exact)


def smallest_p(num_candidates: int, num_controls: int, is_matched: bool) -> float:
    """Returns the smallest p-value that a test of this size can reach.

    Args:
        num_candidates: candidates.
        num_controls: controls of each candidate.
        is_matched: whether controls are matched to candidates; else all are compared with all.

    Example:
        >>> smallest_p(3, 2, is_matched=True) == 1 / 27
        True
    """
    if is_matched:
        labelings = (num_controls + 1) ** num_candidates
    else:
        labelings = math.comb(num_candidates * (num_controls + 1), num_candidates)
    return 1 / labelings if labelings <= MAX_ENUMERATED else 1 / (NUM_SAMPLED + 1)


def _two_way(null: FloatArray, observed: float, is_exact: bool) -> OneSidedTests:
    slack = _TOLERANCE * max(1.0, float(np.abs(null).max()))
    better, worse = int((null >= observed - slack).sum()), int((null <= observed + slack).sum())
    if is_exact:
        return OneSidedTests(better / len(null), worse / len(null), observed, is_exact)
    return OneSidedTests((better + 1) / (len(null) + 1), (worse + 1) / (len(null) + 1), observed, is_exact)


def _mid_ranks(values: FloatArray) -> FloatArray:
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    ranks: FloatArray = (low + high + 1) / 2
    return ranks
