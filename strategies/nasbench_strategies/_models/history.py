"""The evaluations of one run, and candidates for the next one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from nasbench_harness import Evaluation, Floats, Ints, RunStream, SearchSpace, Status


class History:
    """Evaluations of one run, in order.

    Attributes:
        architectures: The architectures.
        losses: Their losses; +inf if there is no value, or if a constraint is not met.
        seen: Every proposed architecture, also repeats of a class that brought nothing new. Propose none of them again.
    """

    def __init__(self) -> None:
        self.architectures: list[int] = []
        self.losses: list[float] = []
        self.seen: list[int] = []

    def __len__(self) -> int:
        return len(self.architectures)

    def add(self, evaluation: Evaluation) -> None:
        """Keep an evaluation, unless it answers a repeat with what is known already."""
        self.seen.append(evaluation.architecture)
        if evaluation.status in (Status.DUPLICATE, Status.REJECTED):
            return
        self.architectures.append(evaluation.architecture)
        self.losses.append(evaluation.loss if evaluation.feasible else np.inf)

    def start(self, space: SearchSpace, rng: RunStream, size: int) -> Generator[int, Evaluation, None]:
        """Evaluate random architectures: ``size``, and more until one has a value and is feasible.

        Args:
            space: The search space.
            rng: The run's stream.
            size: Smallest number of evaluations.
        """
        for _ in range(size):
            self.add((yield space.sample(rng)))
        while np.isinf(self.losses).all():
            self.add((yield space.sample(rng)))

    def best(self, losses: Any, size: int) -> Ints:
        """The ``size`` different architectures with the smallest of these losses, the best first.

        Args:
            losses: One number for each evaluation, shape (n,).
            size: Largest number of architectures.
        """
        order = np.argsort(losses, kind="stable")
        return np.array(list(dict.fromkeys(np.array(self.architectures)[order].tolist()))[:size], dtype=np.int64)


def new_candidates(space: Any, centers: Ints, num_random: int, seen: list[int], rng: RunStream) -> Ints:
    """Neighbors of centers and random architectures without those that were seen, ascending and different, shape (n,).

    If nothing is left, as in a small space that is used up, one random architecture is returned.

    Args:
        space: The search space.
        centers: Architectures whose neighbors are candidates.
        num_random: Number of uniform draws.
        seen: Architectures that are left out.
        rng: The run's stream.
    """
    neighbors = space.neighbors(centers).ravel()
    drawn = rng.integers(space.num_architectures, num_random)
    found: Ints = np.setdiff1d(np.concatenate([neighbors[neighbors >= 0], drawn]), seen)
    return found if len(found) else np.array([space.sample(rng)])


def climb(space: Any, starts: Ints, height: Callable[[Ints], Floats], seen: list[int]) -> tuple[Ints, Floats]:
    """Move each start to its highest neighbor until none is higher; summits and their heights, both (n,).

    Args:
        space: The search space.
        starts: Architectures, shape (n,).
        height: Function from architectures (m,) to heights (m,).
        seen: Architectures that are never visited.
    """
    summits, heights = starts.copy(), height(starts)
    while True:
        neighbors = space.neighbors(summits)
        is_new = (neighbors >= 0) & ~np.isin(neighbors, seen)
        found = np.full(neighbors.shape, -np.inf)
        found[is_new] = height(neighbors[is_new])
        steps = found.argmax(axis=1)
        rises = np.flatnonzero(found.max(axis=1) > heights)
        if not len(rises):
            return summits, heights
        summits[rises], heights[rises] = neighbors[rises, steps[rises]], found[rises, steps[rises]]
