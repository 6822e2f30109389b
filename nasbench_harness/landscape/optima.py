"""Local optima of a table and their basins, with exact ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.spaces import SearchSpace

_CHUNK = 4_096
_WORST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class LocalOptima:
    """The architectures without a strictly better neighbor.

    Attributes:
        architectures: Best first, the first index of equals first, shape (n,).
        basins: Number of architectures from which steepest ascent ends at each, itself included, shape (n,).
        mean_steps: Mean number of steps of steepest ascent from a random architecture.
    """

    architectures: Ints
    basins: Ints
    mean_steps: float


def local_optima(space: SearchSpace, goodness: Ints, exists: Bools) -> LocalOptima:
    """Local optima, and the basins of steepest ascent.

    Steepest ascent moves to the best neighbor, the first of equals, if that is strictly better.

    Args:
        space: The search space.
        goodness: Quality as integers, so that equal qualities tie; larger is better; shape (num_architectures,).
        exists: Which architectures have a value; the others are no neighbors. Shape (num_architectures,).
    """
    known = np.where(exists, goodness, _WORST)
    following = np.concatenate([_best_neighbor(space, known, rows) for rows in _chunks(space.num_architectures)])
    everyone = np.flatnonzero(exists)
    place, num_steps = everyone.copy(), 0
    while (moving := following[place] != place).any():
        num_steps += int(moving.sum())
        place = following[place]
    optima = np.flatnonzero(exists & (following == np.arange(len(known))))
    optima = optima[np.argsort(-known[optima], kind="stable")]
    basins = np.bincount(place, minlength=len(known))[optima]
    return LocalOptima(optima, basins, num_steps / len(everyone))


def share_of_known_neighbors(space: SearchSpace, exists: Bools) -> float:
    """Share of the neighbors of architectures with a value that have a value themselves."""
    num_known = num_all = 0
    for chunk in _chunks(space.num_architectures):
        neighbors = space.neighbors(chunk[exists[chunk]])
        num_known += int((exists[neighbors] & (neighbors >= 0)).sum())
        num_all += int((neighbors >= 0).sum())
    return num_known / max(1, num_all)


def nearest_optimum(space: SearchSpace, goodness: Ints, exists: Bools) -> Ints:
    """Number of decisions in which each architecture differs from the nearest of the best ones."""
    best = np.flatnonzero(exists & (goodness == goodness[exists].max()))
    choices = space.choices(np.arange(space.num_architectures))
    distances: Ints = np.full(len(choices), choices.shape[1], dtype=np.int64)
    for row in best:  # one at a time: many can be equally good
        np.minimum(distances, (choices != choices[row]).sum(axis=1), out=distances)
    return distances


def fitness_distance(values: Floats, distances: Ints) -> float:
    """Pearson correlation of values and distances; NaN if either does not vary."""
    if len(np.unique(distances)) < 2 or values.min() == values.max():
        return float("nan")
    return float(np.corrcoef(values, distances)[0, 1])


def _best_neighbor(space: SearchSpace, goodness: Ints, rows: Ints) -> Ints:
    """The neighbor to which steepest ascent moves, the architecture itself if there is none, shape (n,)."""
    neighbors = space.neighbors(rows)
    near = np.where(neighbors >= 0, goodness[neighbors], _WORST)
    best = near.argmax(axis=1)
    each = np.arange(len(rows))
    moved: Ints = np.where(near[each, best] > goodness[rows], neighbors[each, best], rows)
    return moved


def _chunks(size: int) -> list[Ints]:
    return [np.arange(first, min(first + _CHUNK, size)) for first in range(0, size, _CHUNK)]
