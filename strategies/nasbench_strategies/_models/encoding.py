"""Architectures and losses as learners see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from nasbench_harness import Floats, Ints, Problem


class Blocks(NamedTuple):
    """Features of architectures.

    Attributes:
        architectures: Indices, shape (n,).
        features: Blocks of features, each (n, num_features of the block).
    """

    architectures: Ints
    features: tuple[Floats, ...]


class Encoding:
    """Features of architectures in blocks, scaled so that half a squared distance is between 0 and 1.

    The first block indicates the choice of every decision, so its distance is the share of different decisions. The
    second counts how often each named choice is taken, wherever it is; it is left out if decisions share no names.
    The third holds the rank of training-free scores, if there are any.

    Args:
        problem: The search view.
        scores: Free metrics joined by "+"; empty: none.
    """

    def __init__(self, problem: Problem, scores: str = "") -> None:
        self._space = problem.space
        names = [name for decision in self._space.decisions for name in decision]
        words = list(dict.fromkeys(names))
        self._counts = np.array([[name == word for word in words] for name in names], dtype=np.float64)
        self._has_counts = len(words) < len(names)
        everything = np.arange(self._space.num_architectures)
        columns = [problem.lookup(name.strip(), everything) for name in scores.split("+") if name.strip()]
        self._ranks = np.array([_ranks(column) for column in columns]).T

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return 1 + self._has_counts + (self._ranks.size > 0)

    def __call__(self, architectures: Ints) -> Blocks:
        """Features of architectures, shape (n,)."""
        choices = self._space.one_hot(architectures).astype(np.float64) / np.sqrt(self._space.num_decisions)
        features = [choices]
        if self._has_counts:
            features.append(choices @ self._counts)
        if self._ranks.size:
            features.append(self._ranks[architectures])
        return Blocks(architectures, tuple(features))


def _ranks(column: Floats) -> Floats:
    ranks: Floats = rankdata(np.where(np.isnan(column), -np.inf, column)) / len(column)
    return ranks


def standardized(losses: Sequence[float], quantile: float) -> Floats:
    """Losses clipped at a quantile, then with mean 0 and variance 1, shape (n,).

    Most architectures are bad in ways that say nothing about the best: clipping keeps them from ruling a model.

    Args:
        losses: Observed losses; +inf where there is no value.
        quantile: Losses above this quantile of the finite ones count as it.

    >>> standardized([1.0, 3.0, 90.0], 0.5)
    array([-1.41421356,  0.70710678,  0.70710678])
    """
    values = np.array(losses)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(len(values))
    clipped = np.minimum(values, np.quantile(finite, quantile))
    deviation = clipped.std()
    result: Floats = (clipped - clipped.mean()) / (deviation if deviation > 0 else 1.0)
    return result
