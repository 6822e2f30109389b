"""Samples that strategies read of their sources, and rankings and models made of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from nasbench_harness import Floats, Ints, Problem, RunStream


class SourceSample(NamedTuple):
    """Architectures and their losses on every source.

    Attributes:
        architectures: Different architectures, shape (n,).
        losses: Their losses, shape (num_sources, n); +inf if there is no value.
    """

    architectures: Ints
    losses: Floats

    @property
    def order(self) -> Ints:
        """The architectures from the best mean rank over the sources downwards, shape (n,)."""
        ranks = np.mean([rankdata(of_source) for of_source in self.losses], axis=0)
        ordered: Ints = self.architectures[np.argsort(ranks, kind="stable")]
        return ordered


def read_sample(problem: Problem, rng: RunStream, num_read: int) -> SourceSample:
    """Evaluate one uniform sample of different architectures on every source.

    The sample has as many architectures as the source evaluations allow, at most ``num_read``. With fewer evaluations
    than sources, the first sources are read once.

    Args:
        problem: The search view of one run.
        rng: The run's stream.
        num_read: Largest size of the sample.
    """
    sources = list(problem.sources.values())[: problem.sources.left]
    size = min(num_read, problem.sources.left // max(1, len(sources)), problem.space.num_architectures)
    drawn = np.array(rng.subset(problem.space.num_architectures, size), dtype=np.int64)
    return SourceSample(drawn, np.array([source.evaluate(drawn) for source in sources]).reshape(len(sources), size))


def normal_scores(losses: Floats) -> Floats:
    """Ranks of losses as quantiles of the normal distribution, shape (n,); equal losses have equal scores.

    >>> normal_scores(np.array([9.0, 10.0, 90.0])).round(2) + 0.0
    array([-0.67,  0.  ,  0.67])
    """
    scores: Floats = ndtri((rankdata(losses)) / (len(losses) + 1))
    return scores
