"""Regularized evolution: tournament selection, one mutation, and the oldest member dies.

Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.

    evaluate ``population_size`` random architectures
    repeat: sample ``sample_size`` distinct members
            mutate the best of them in one decision and evaluate the child
            the child replaces the oldest member, whatever its value

Deviations: the defaults are 30 and 10, as later work on tables uses them (the paper has 100 and 25); mutation changes
one decision of the space, uniform, to another choice, uniform. An infeasible architecture counts as one without a
value.

Reference: 91.50 / 73.20 / 46.25 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Bools, Ints, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.feasibility import feasible_losses

_WORST = np.finfo(np.float64).max


class RegularizedEvolution(Strategy):
    """Evolution of a population in which every member dies of age.

    Args:
        problem: The search view.
        rng: The runs' streams.
        population_size: Members; as many random architectures come first.
        sample_size: Members of a tournament.
    """

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        population_size: Annotated[int, Range(1)] = 30,
        sample_size: Annotated[int, Range(1, "population_size")] = 10,
    ) -> None:
        super().__init__(problem, rng)
        self.population_size, self.sample_size = population_size, sample_size
        # A ring per run: the result of proposal k lies in slot k modulo population_size. −1: no result yet.
        self._members = np.full((rng.num_runs, population_size), -1)
        self._losses = np.full((rng.num_runs, population_size), np.inf)
        self._tickets = np.full((rng.num_runs, population_size), -1)
        self._num_proposed = np.zeros(rng.num_runs, dtype=np.int64)

    def ask(self, idle: Bools) -> Proposals:
        """As many random architectures as members, then the mutation of a tournament's winner."""
        architectures = np.full(len(idle), -1)
        is_full = self._num_proposed >= self.population_size
        beginners, breeders = np.flatnonzero(idle & ~is_full), np.flatnonzero(idle & is_full)
        if len(beginners):
            architectures[beginners] = self.problem.space.sample(self.rng, beginners)
        if len(breeders):
            architectures[breeders] = self._children(breeders)
        self._num_proposed += architectures >= 0
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Each result replaces the oldest member, unless a younger one took its place already."""
        runs = np.flatnonzero(results.ticket >= 0)
        tickets = results.ticket[runs]
        places = runs * self.population_size + tickets % self.population_size  # of all runs' rings as one array
        is_younger = tickets > self._tickets.take(places)
        if not is_younger.all():
            runs, places = runs[is_younger], places[is_younger]
        self._tickets.put(places, results.ticket[runs])
        self._members.put(places, results.architectures[runs])
        # Without a value a member loses against every other, but wins against an entrant without a result.
        losses = feasible_losses(results.losses[runs], results.feasible[runs])
        self._losses.put(places, np.minimum(losses, _WORST))

    def _children(self, runs: Ints) -> Ints:
        """A mutation of the best entrant; where all entrants are still being evaluated, a random architecture."""
        entrants = self.rng.subsets(self.population_size, self.sample_size, runs)
        entrants += runs[:, None] * self.population_size  # places in all runs' rings as one array
        winners = self._losses.take(entrants).argmin(axis=1)
        parents = self._members.take(entrants[np.arange(len(runs)), winners])
        if parents.min() >= 0:
            children: Ints = self.problem.space.mutate(parents, self.rng, runs)
            return children
        has_parent = parents >= 0
        children = np.empty(len(runs), dtype=np.int64)
        children[has_parent] = self.problem.space.mutate(parents[has_parent], self.rng, runs[has_parent])
        children[~has_parent] = self.problem.space.sample(self.rng, runs[~has_parent])
        return children
