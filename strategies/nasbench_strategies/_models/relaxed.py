"""Differential evolution on architectures that are points: decision i is a number in [0, 1) instead of a choice.

Storn and Price, "Differential Evolution – A Simple and Efficient Heuristic for Global Optimization over Continuous
Spaces", Journal of Global Optimization 1997; for architectures as in Awad, Mallik and Hutter, "Differential Evolution
for Neural Architecture Search", NAS workshop at ICLR 2020.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, Ints, SearchSpace


class Relaxed:
    """Points of a space: a number u in [0, 1) stands for the choice floor(u · number of choices).

    Args:
        space: The search space.
        mutation_factor: Factor of the difference of two parents.
        crossover_probability: Chance of each decision to come from the mutant.
    """

    def __init__(self, space: SearchSpace, mutation_factor: float, crossover_probability: float) -> None:
        self._space, self.num_decisions = space, space.num_decisions
        self._factor, self._probability = mutation_factor, crossover_probability

    def points(self, architectures: Ints, draws: Floats) -> Floats:
        """Uniform points of architectures, shape (n, num_decisions).

        Args:
            architectures: Shape (n,).
            draws: Uniform numbers, shape (n, num_decisions).
        """
        points: Floats = (self._space.choices(architectures) + draws) / self._space.num_choices
        return np.minimum(points, np.nextafter(1.0, 0.0))

    def architectures(self, points: Floats) -> Ints:
        """Architectures of points (n, num_decisions), shape (n,); −1 if there is none."""
        return self._space.from_choices((points * self._space.num_choices).astype(np.int64))

    def trials(self, targets: Floats, parents: Floats, draws: Floats) -> Floats:
        """DE/rand/1/bin: the first parent plus a difference of the others, crossed with the target: (n, num_decisions).

        A number outside [0, 1) is replaced by a uniform one.

        Args:
            targets: Shape (n, num_decisions).
            parents: Three points for each target, shape (n, 3, num_decisions).
            draws: Uniform numbers, shape (n, 2 · num_decisions + 1).
        """
        size = self.num_decisions
        mutants = parents[:, 0] + self._factor * (parents[:, 1] - parents[:, 2])
        mutants = np.where((mutants >= 0) & (mutants < 1), mutants, draws[:, :size])
        is_crossed = draws[:, size : 2 * size] < self._probability
        is_crossed |= np.arange(size) == (draws[:, 2 * size :] * size).astype(np.int64)  # one decision, at least
        return np.where(is_crossed, mutants, targets)
