"""Genetic algorithm: generations of children by tournament, uniform crossover and mutation; the best survive.

Goldberg and Deb, "A Comparative Analysis of Selection Schemes Used in Genetic Algorithms", Foundations of Genetic
Algorithms 1991 (tournaments); Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989.

    evaluate ``population_size`` random architectures
    repeat: make as many children, each so:
                each of two parents is the best of ``tournament_size`` members, drawn with replacement
                each decision of the child comes from either parent with probability ½
                mutate one decision with ``mutation_probability``, and always if the child equals the first parent
            the best ``population_size`` of parents and children survive, the older first on ties

Deviations: none from a textbook algorithm, of which there are many; where a space has no architecture with the child's
decisions, the child is the first parent, and therefore mutated. An infeasible architecture counts as one without a
value.

Reference: 91.52 / 73.16 / 46.22 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Floats, Generational, Ints, Problem, Range, RunStreams
from nasbench_strategies._models.feasibility import feasible_losses


class GeneticAlgorithm(Generational):
    """Generations of children; parents and children compete for survival.

    Args:
        problem: The search view.
        rng: The runs' streams.
        population_size: Members, and children of a generation; as many random architectures come first.
        tournament_size: Draws for each parent.
        mutation_probability: Of a child that differs from its first parent; others are always mutated.
    """

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        population_size: Annotated[int, Range(1)] = 20,
        tournament_size: Annotated[int, Range(1)] = 3,
        mutation_probability: Annotated[float, Range(0, 1)] = 0.5,
    ) -> None:
        super().__init__(problem, rng)
        self.generation_size = population_size
        self.tournament_size, self.mutation_probability = tournament_size, mutation_probability
        # By loss, the older first on ties. NaN: no member yet; it is sorted behind every child, even one at +inf.
        self._members = np.zeros((rng.num_runs, population_size), dtype=np.int64)
        self._losses = np.full((rng.num_runs, population_size), np.nan)

    def propose(self, runs: Ints) -> Ints:
        """Random architectures first, then children."""
        generation = np.empty((len(runs), self.generation_size), dtype=np.int64)
        has_members = ~np.isnan(self._losses[runs, 0])
        beginners, breeders = runs[~has_members], runs[has_members]
        for position in range(self.generation_size):
            if len(beginners):
                generation[~has_members, position] = self.problem.space.sample(self.rng, beginners)
            if len(breeders):
                generation[has_members, position] = self._children(breeders)
        return generation

    def update(self, runs: Ints, architectures: Ints, losses: Floats) -> None:
        """Parents and children compete."""
        pool = np.concatenate([self._members[runs], architectures], axis=1)
        losses = feasible_losses(losses, self.generation_feasible[runs])
        pool_losses = np.concatenate([self._losses[runs], losses], axis=1)
        survivors = pool_losses.argsort(axis=1, kind="stable")[:, : self.generation_size]
        self._members[runs] = np.take_along_axis(pool, survivors, axis=1)
        self._losses[runs] = np.take_along_axis(pool_losses, survivors, axis=1)

    def _children(self, runs: Ints) -> Ints:
        """One child of each run."""
        space, first, second = self.problem.space, self._winners(runs), self._winners(runs)
        children: Ints = space.crossover(first, second, self.rng, runs)
        children = np.where(children < 0, first, children)
        mutates = (self.rng.uniform(runs=runs) < self.mutation_probability) | (children == first)
        children[mutates] = space.mutate(children[mutates], self.rng, runs[mutates])
        return children

    def _winners(self, runs: Ints) -> Ints:
        entrants = self.rng.integers(self.generation_size, self.tournament_size, runs)
        # Members are in order of their losses: the first is the best.
        winners: Ints = self._members[runs, entrants.min(axis=1)]
        return winners
