"""Architectures and losses as learners see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, zscore

from nasbench_harness import Floats, Ints, Problem, SearchSpace
from nasbench_strategies._models.scores import mean_ranks
from nasbench_strategies._models.structure import Subtrees

_DEPTH = 1  # of the largest subtrees


class Blocks(NamedTuple):
    """Features of architectures.

    Attributes:
        architectures: Indices, shape (n,).
        features: Blocks of features, each (n, num_features of the block).
        trends: Standardized scores that the mean of the losses may follow, shape (n, num_trends).
    """

    architectures: Ints
    features: tuple[Floats, ...]
    trends: Floats


class Choices:
    """Two blocks: the choice of every decision, and how often each named choice is taken, wherever it is.

    The distance of the first is the share of different decisions. The second is left out if decisions share no names.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        names = [name for decision in space.decisions for name in decision]
        words = list(dict.fromkeys(names))
        self._counts = np.array([[name == word for word in words] for name in names], dtype=np.float64)
        self.num_blocks = 1 + (len(words) < len(names))

    def __call__(self, architectures: Ints) -> tuple[Floats, ...]:
        """Blocks of architectures, each (n, num_features of the block)."""
        choices = self._space.one_hot(architectures).astype(np.float64) / np.sqrt(self._space.num_decisions)
        return (choices, choices @ self._counts)[: self.num_blocks]


class Encoding:
    """Features of architectures in blocks.

    The first blocks are those of ``Choices``, or Weisfeiler–Lehman subtrees of depth 0 and 1. The last block holds
    the rank of training-free scores, if there are any. Half a squared distance is between 0 and 1 for choices and
    subtrees, between 0 and the number of decisions for counts, and at most half the number of scores for ranks.

    Args:
        problem: The search view.
        scores: Free metrics joined by "+", as features; empty: none.
        prior: Free metrics joined by "+", as one trend, the mean of their ranks in the space; empty: no trend.
        kernel: ``hamming`` for choices, ``weisfeiler-lehman`` for subtrees.
    """

    def __init__(self, problem: Problem, scores: str = "", prior: str = "", kernel: str = "hamming") -> None:
        space = problem.space
        self._structure = Choices(space) if kernel == "hamming" else Subtrees(space, _DEPTH)
        everything = np.arange(space.num_architectures)
        columns = [problem.lookup(name.strip(), everything) for name in scores.split("+") if name.strip()]
        self._ranks = np.array([_ranks(column) for column in columns]).T
        trends = [zscore(mean_ranks(problem, prior, everything))] if prior else []
        self._trends = np.array(trends).reshape(len(trends), len(everything)).T

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return self._structure.num_blocks + (self._ranks.size > 0)

    @property
    def num_trends(self) -> int:
        """Number of trends, 0 or 1."""
        return self._trends.shape[1]

    def __call__(self, architectures: Ints) -> Blocks:
        """Features of architectures, shape (n,)."""
        features = self._structure(architectures)
        if self._ranks.size:
            features = (*features, self._ranks[architectures])
        return Blocks(architectures, features, self._trends[architectures])


def _ranks(column: Floats) -> Floats:
    ranks: Floats = rankdata(np.where(np.isnan(column), -np.inf, column)) / len(column)
    return ranks


def standardized(losses: Sequence[float], quantile: float) -> Floats:
    """Losses clipped at a quantile, then with mean 0 and variance 1, shape (n,).

    Most architectures are bad in ways that say nothing about the best: clipping keeps them from ruling a model. If
    clipping leaves the finite losses equal, only the infinite ones are worse.

    Args:
        losses: Observed losses; +inf if there is no feasible value.
        quantile: Losses above this quantile of the finite ones count as it.

    >>> standardized([1.0, 3.0, 90.0], 0.5)
    array([-1.41421356,  0.70710678,  0.70710678])
    """
    values = np.array(losses)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(len(values))
    clipped = np.minimum(values, np.quantile(finite, quantile))
    if clipped.min() == clipped.max():
        clipped = np.isinf(values).astype(np.float64)
    deviation = clipped.std()
    result: Floats = (clipped - clipped.mean()) / (deviation if deviation > 0 else 1.0)
    return result
