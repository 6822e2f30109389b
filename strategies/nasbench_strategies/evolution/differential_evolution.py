"""Differential evolution: each member meets a mixture of itself and three others, and the better one stays.

Storn and Price, "Differential Evolution – A Simple and Efficient Heuristic for Global Optimization over Continuous
Spaces", Journal of Global Optimization 1997; for architectures as in Awad, Mallik and Hutter, "Differential Evolution
for Neural Architecture Search", NAS workshop at ICLR 2020.

    a member is a point: each decision is a number in [0, 1), cut into equal parts for its choices
    evaluate ``population_size`` random architectures
    repeat, for each member x:
        draw three other members a, b, c
        mutant v = a + ``mutation_factor`` · (b − c); a number outside [0, 1) is replaced by a uniform one
        each decision of the trial comes from v with ``crossover_probability``, one at least, and else from x
    evaluate all trials; each takes the place of its x unless it is worse

Worse is an infeasible architecture than a feasible one, then the larger loss.

Deviations: 10 members, where the latter paper has 20, as budgets are some hundred evaluations; they were chosen on
NAS-Bench-201, with other seeds. Where a space has no architecture with the trial's decisions, a uniform one takes its
place.

Reference: 91.43 / 72.71 / 46.10 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Floats, Generational, Ints, Problem, Range, RunStreams
from nasbench_strategies._models.relaxed import Relaxed


class DifferentialEvolution(Generational):
    """DE/rand/1/bin with generations.

    Args:
        problem: The search view.
        rng: The runs' streams.
        population_size: Members, and trials of a generation; as many random architectures come first.
        mutation_factor: Factor of the difference of two members.
        crossover_probability: Chance of each decision to come from the mutant.
    """

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        population_size: Annotated[int, Range(4)] = 10,
        mutation_factor: Annotated[float, Range(above=0, high=2)] = 0.5,
        crossover_probability: Annotated[float, Range(0, 1)] = 0.5,
    ) -> None:
        super().__init__(problem, rng)
        self.generation_size = population_size
        self._relaxed = Relaxed(problem.space, mutation_factor, crossover_probability)
        shape = (rng.num_runs, population_size)
        self._points, self._trials = (np.zeros((*shape, problem.space.num_decisions)) for _ in range(2))
        self._losses, self._feasible = np.full(shape, np.inf), np.zeros(shape, dtype=np.bool_)
        self._has_members = np.zeros(rng.num_runs, dtype=np.bool_)

    def propose(self, runs: Ints) -> Ints:
        """Random architectures first, then trials."""
        generation = np.full((len(runs), self.generation_size), -1)
        for place in range(self.generation_size):
            evolves = np.flatnonzero(self._has_members[runs])
            if len(evolves):
                self._trials[runs[evolves], place] = self._trial(runs[evolves], place)
                generation[evolves, place] = self._relaxed.architectures(self._trials[runs[evolves], place])
            random = np.flatnonzero(generation[:, place] < 0)
            if len(random):
                generation[random, place] = self.problem.space.sample(self.rng, runs[random])
                draws = self.rng.uniform(self._relaxed.num_decisions, runs[random])
                self._trials[runs[random], place] = self._relaxed.points(generation[random, place], draws)
        return generation

    def update(self, runs: Ints, architectures: Ints, losses: Floats) -> None:  # noqa: ARG002 - points stand for them
        """Each trial meets its member."""
        before, feasible = self._feasible[runs], self.generation_feasible[runs]
        stays = np.where(before == feasible, losses > self._losses[runs], before)
        self._points[runs] = np.where(stays[..., None], self._points[runs], self._trials[runs])
        self._losses[runs] = np.where(stays, self._losses[runs], losses)
        self._feasible[runs] = np.where(stays, before, feasible)
        self._has_members[runs] = True

    def _trial(self, runs: Ints, place: int) -> Floats:
        """A trial of each run for the member at a place, shape (len(runs), num_decisions)."""
        others = self.rng.subsets(self.generation_size - 1, 3, runs)
        others += others >= place
        parents = self._points[runs[:, None], others]
        draws = self.rng.uniform(2 * self._relaxed.num_decisions + 1, runs)
        return self._relaxed.trials(self._points[runs, place], parents, draws)
