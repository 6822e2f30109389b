"""Strategies with a seeded fault."""

from dataclasses import replace

import numpy as np
from nasbench_strategies.evolution.regularized_evolution import RegularizedEvolution
from nasbench_strategies.local.local_search import LocalSearch
from nasbench_strategies.reinforcement.reinforce import Reinforce

from nasbench_harness import Proposals


class WorstWins(RegularizedEvolution):
    """The tournament picks the worst."""

    def tell(self, results):
        super().tell(replace(results, values=-results.values))


class TenthIsParent(RegularizedEvolution):
    """Mutation returns the parent in 10 % of the cases."""

    def __init__(self, problem, rng, **hyperparameters):
        super().__init__(replace(problem, space=_LazySpace(problem.space)), rng, **hyperparameters)


class _LazySpace:
    def __init__(self, space):
        self._space = space

    def __getattr__(self, name):
        return getattr(self._space, name)

    def mutate(self, parents, rng, runs=None):
        children = self._space.mutate(parents, rng, runs)
        return np.where(rng.uniform(runs=runs) < 0.1, parents, children)


class NeverAges(RegularizedEvolution):
    """The ring does not move on: every child replaces the child before, the others live for ever."""

    def tell(self, results):
        super().tell(replace(results, ticket=np.minimum(results.ticket, self.population_size)))
        self._tickets[:] = -1


class NobodyDies(RegularizedEvolution):
    """The population grows."""

    def __init__(self, problem, rng, **hyperparameters):
        super().__init__(problem, rng, **hyperparameters)
        self._members = np.zeros((rng.num_runs, problem.budget.evaluations), dtype=np.int64)
        self._losses = np.full(self._members.shape, np.inf)
        self._tickets = np.full(self._members.shape, -1)
        self.num_initial, self.population_size = self.population_size, problem.budget.evaluations

    def ask(self, idle):
        num_members = int((self._tickets[0] >= 0).sum())  # the same in all runs while all are idle
        if num_members < self.num_initial:
            return Proposals(self.problem.space.sample(self.rng))
        entrants = self.rng.subsets(num_members, self.sample_size)
        runs = np.arange(len(idle))
        winners = entrants[runs, self._losses[runs[:, None], entrants].argmin(axis=1)]
        return Proposals(self.problem.space.mutate(self._members[runs, winners], self.rng))


class MovesToWorse(LocalSearch):
    """A worse neighbor becomes the center."""

    def _tell_neighbors(self, runs, results):
        self._is_walking = True
        super()._tell_neighbors(runs, results)
        self._is_walking = False

    def _accept_better(self, runs, results):
        if not getattr(self, "_is_walking", False):
            return super()._accept_better(runs, results)
        losses = results.losses[runs]
        worse = losses > self._center_loss[runs]
        return self._move(runs[worse], results.architectures[runs[worse]], losses[worse])


class NeverRestarts(LocalSearch):
    """At a local optimum the neighbors are tried again and again."""

    def _tell_neighbors(self, runs, results):
        if len(runs):
            self._accept_better(runs, results)
            stuck = runs[self._position[runs] == self._num_neighbors[runs]]
            self._position[stuck] = 0


class GivesUpEarly(LocalSearch):
    """One neighbor that is no better ends the walk."""

    def _tell_neighbors(self, runs, results):
        if len(runs):
            self._accept_better(runs, results)
            failed = runs[self._position[runs] > 0]
            self._random_queued[failed] = self._random_missing[failed] = 1
            self._center_loss[failed] = np.inf
            self._num_neighbors[failed] = 0


class NoBaseline(Reinforce):
    """REINFORCE whose baseline is always 0."""

    def tell(self, results):
        self._baseline[:] = 0.0
        super().tell(results)
