"""Random walks: autocorrelation of values along a walk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.spaces import SearchSpace

NUM_WALKS = 1_000
NUM_STEPS = 100
NUM_LAGS = 12


@dataclass(frozen=True)
class Walks:
    """Autocorrelation of random walks.

    Attributes:
        autocorrelation: Correlation of values that are 1, 2, … steps apart, shape (num_lags,).
        correlation_length: −1 / ln of the first; NaN if that is not positive.
    """

    autocorrelation: Floats
    correlation_length: float


def random_walks(
    space: SearchSpace,
    values: Floats,
    exists: Bools,
    task: str,
    seed: int = 0,
    *,
    num_walks: int = NUM_WALKS,
    num_steps: int = NUM_STEPS,
) -> Walks:
    """Walk at random from mutation to mutation; the start is uniform.

    Args:
        space: The search space.
        values: Value of each architecture, shape (num_architectures,).
        exists: Which have one; pairs with others are left out.
        task: Name of the task, part of the walks' streams.
        seed: Seed of the walks.
        num_walks: Number of walks.
        num_steps: Architectures of a walk.
    """
    rng = RunStreams(stream_keys(seed, "landscape", task, np.arange(num_walks)))
    rows = [space.sample(rng)]
    for _ in range(num_steps - 1):
        rows.append(space.mutate(rows[-1], rng))
    path = np.stack(rows, axis=1)
    seen, known = values[path], exists[path]
    lags = range(1, NUM_LAGS + 1)
    autocorrelation = np.array([_correlation(seen, known, lag) for lag in lags])
    first = float(autocorrelation[0])
    return Walks(autocorrelation, -1 / math.log(first) if 0 < first < 1 else math.nan)


def _correlation(seen: Floats, known: Bools, lag: int) -> float:
    both = known[:, :-lag] & known[:, lag:]
    before, after = seen[:, :-lag][both], seen[:, lag:][both]
    if len(before) < 2 or before.min() == before.max() or after.min() == after.max():
        return math.nan
    return float(np.corrcoef(before, after)[0, 1])
