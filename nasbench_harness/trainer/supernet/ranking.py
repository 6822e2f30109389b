"""How well shared weights rank cells: the accuracies of a fixed list of cells with the weights of one supernet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.supernet.shared import SharedWeights

NUM_RANKED = 100
NUM_WATCHED = 9  # cells of the list whose median accuracy is noted after every epoch
_SEED = 0


@cache
def fixed_cells(num_cells: int = NUM_RANKED) -> tuple[int, ...]:
    """Indices of the cells that every supernet is asked to rank.

    They are drawn once, from different classes of equal cells, among those that connect input and output: cells without
    a path would be ranked right by anything.
    """
    space = NASBench201Space()
    everything = np.arange(space.num_architectures)
    members = everything[space.is_connected() & (space.canonical(everything) == everything)]
    return tuple(np.random.default_rng(_SEED).permutation(members)[:num_cells].tolist())


def choices_of(architectures: Sequence[int]) -> list[tuple[int, ...]]:
    """Operations of the six edges of each cell."""
    space = NASBench201Space()
    return [tuple(map(int, space.to_key(architecture))) for architecture in architectures]


def ranked_accuracies(shared: SharedWeights, architectures: Sequence[int], num_images: int) -> Floats:
    """Shared-weight accuracy of each cell in percent, shape (num_cells,), on the same images of the second half."""
    # A batch is normalized by itself, so it must hold all classes, and sources may be sorted by class.
    positions: Ints = np.random.default_rng(_SEED).permutation(shared.selection_half.num_images)[:num_images]
    batch = min(shared.settings.judged_images, len(positions))
    return 100 * shared.accuracies(choices_of(architectures), lambda _: positions, batch)
