"""Regularized evolution: tournament selection, one mutation, and the oldest member dies.

Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.

    evaluate ``population_size`` random architectures
    repeat: sample ``sample_size`` distinct members
            mutate the best of them in one decision and evaluate the child
            the child replaces the oldest member, whatever its value

Deviations: the defaults are 30 and 10, as later work on tables uses them (the paper has 100 and 25); mutation changes
one decision of the space, uniform, to another choice, uniform.

Reference: 91.50 / 73.20 / 46.25 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Bools, InvalidInputError, Problem, Proposals, Results, RunStreams, Strategy


class RegularizedEvolution(Strategy):
    """Evolution of a population in which every member dies of age.

    Args:
        problem: The search view.
        rng: The runs' streams.
        population_size: Members; as many random architectures come first.
        sample_size: Members of a tournament.
    """

    def __init__(self, problem: Problem, rng: RunStreams, *, population_size: int = 30, sample_size: int = 10) -> None:
        super().__init__(problem, rng)
        if not 1 <= sample_size <= population_size:
            raise InvalidInputError(
                f"regularized-evolution: sample_size {sample_size} must lie in 1 … population_size {population_size}"
            )
        self.population_size, self.sample_size = population_size, sample_size
        # A ring per run: result k lies in slot k modulo population_size.
        self._members = np.zeros((rng.num_runs, population_size), dtype=np.int64)
        self._losses = np.full((rng.num_runs, population_size), np.inf)
        self._num_results = np.zeros(rng.num_runs, dtype=np.int64)

    def ask(self, idle: Bools) -> Proposals:
        """A random architecture until the population is full, then the mutation of a tournament's winner."""
        architectures = np.full(len(idle), -1)
        is_full = self._num_results >= self.population_size
        beginners, breeders = np.flatnonzero(idle & ~is_full), np.flatnonzero(idle & is_full)
        if len(beginners):
            architectures[beginners] = self.problem.space.sample(self.rng, beginners)
        if len(breeders):
            entrants = self.rng.subsets(self.population_size, self.sample_size, breeders)
            losses = self._losses[breeders[:, None], entrants]
            winners = entrants[np.arange(len(breeders)), losses.argmin(axis=1)]
            parents = self._members[breeders, winners]
            architectures[breeders] = self.problem.space.mutate(parents, self.rng, breeders)
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Each result replaces the oldest member."""
        runs = np.flatnonzero(results.architectures >= 0)
        slots = self._num_results[runs] % self.population_size
        self._members[runs, slots] = results.architectures[runs]
        self._losses[runs, slots] = results.losses[runs]
        self._num_results[runs] += 1
