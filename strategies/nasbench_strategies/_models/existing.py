"""Draws of architectures that exist, in spaces that have few of the combinations of choices."""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, Ints, SearchSpace


def draw_existing(space: SearchSpace, chances: Floats, draws: Floats) -> Ints:
    """Choices of architectures that exist, shape (n, num_decisions).

    Each decision is drawn in turn, by its chances among the choices that continue an architecture.

    Args:
        space: The search space.
        chances: Chance of each choice, above 0, shape (n, num_decisions, most choices).
        draws: Uniform numbers, shape (n, num_decisions).
    """
    found = np.zeros(draws.shape, dtype=np.int64)
    for decision in range(space.num_decisions):
        exists = space.next_choices(found[:, :decision])
        cumulative = np.where(exists, chances[:, decision, : exists.shape[1]], 0.0).cumsum(axis=1)
        below = (cumulative <= draws[:, [decision]] * cumulative[:, -1:]).sum(axis=1)
        last = exists.shape[1] - 1 - exists[:, ::-1].argmax(axis=1)  # it takes the rounding
        found[:, decision] = np.minimum(below, last)
    return found
