"""Local search: walk to a better neighbor until there is none, then start again elsewhere.

White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, and Ottelander et al.,
"Local Search is a Remarkably Strong Baseline for Neural Architecture Search", 2020.

    evaluate ``num_initial`` random architectures; the best is the center
    repeat: evaluate the center's neighbors in a random order
            first:    move to the first that is strictly better
            steepest: evaluate all, move to the best if it is strictly better
            where none is better, evaluate one random architecture: it is the next center

Deviations: none known for "steepest" with ``num_initial=1`` (the first paper's); "first" with 10 is this package's
default, after the second paper's first-improvement variant. An infeasible architecture counts as one without a value,
so a walk goes through feasible ones alone.

Reference: 91.54 / 73.18 / 46.22 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import (
    Bools,
    Floats,
    Ints,
    OneOf,
    Problem,
    Proposals,
    Range,
    Results,
    RunStreams,
    Strategy,
)
from nasbench_strategies._models.feasibility import feasible_losses
from nasbench_strategies._models.notes import Notes


class LocalSearch(Strategy):
    """Hill climbing with restarts.

    Args:
        problem: The search view.
        rng: The runs' streams.
        acceptance: "first" moves to the first better neighbor; "steepest" to the best of all neighbors.
        num_initial: Random architectures before the first walk.
    """

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        acceptance: Annotated[str, OneOf("first", "steepest")] = "first",
        num_initial: Annotated[int, Range(1)] = 10,
    ) -> None:
        super().__init__(problem, rng)
        self.acceptance, self.num_initial = acceptance, num_initial
        num_runs = rng.num_runs
        # Random architectures before a walk: still to be proposed, still to be answered.
        self._random_queued, self._random_missing = np.full(num_runs, num_initial), np.full(num_runs, num_initial)
        self._center_loss = np.full(num_runs, np.inf)
        self._best_neighbor = np.zeros(num_runs, dtype=np.int64)
        self._best_neighbor_loss = np.full(num_runs, np.inf)
        num_neighbors = problem.space.neighbors(np.zeros(1, dtype=np.int64)).shape[1]
        self._order = np.zeros((num_runs, num_neighbors), dtype=np.int64)  # the center's neighbors, as they come
        self._num_neighbors = np.zeros(num_runs, dtype=np.int64)
        self._position = np.zeros(num_runs, dtype=np.int64)  # next in _order
        self._num_answered = np.zeros(num_runs, dtype=np.int64)  # of the center's neighbors
        self._center = np.zeros(num_runs, dtype=np.int64)  # how many there were
        self._center_of = Notes(num_runs, (), np.int64)  # center whose neighbor a proposal is, 0 for a random one

    def ask(self, idle: Bools) -> Proposals:
        """A random architecture, or the center's next neighbor; −1 while only results are missing."""
        architectures = np.full(len(idle), -1)
        starters = np.flatnonzero(idle & (self._random_queued > 0))
        walkers = np.flatnonzero(idle & (self._random_missing == 0) & (self._position < self._num_neighbors))
        if len(starters):
            architectures[starters] = self.problem.space.sample(self.rng, starters)
            self._random_queued[starters] -= 1
            self._center_of.add(starters, np.zeros_like(starters))
        if len(walkers):
            architectures[walkers] = self._next_neighbors(walkers)
            self._center_of.add(walkers, self._center[walkers])
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Accept, walk on, or decide to start again."""
        told = np.flatnonzero(results.architectures >= 0)
        center_of = self._center_of.take(results)[told]
        self._tell_random(told[center_of == 0], results)
        # A late neighbor of an earlier center counts if it is better, but not before a new walk has begun.
        walks = (center_of > 0) & (self._random_missing[told] == 0)
        self._num_answered[told] += walks & (center_of == self._center[told])
        self._tell_neighbors(told[walks], results)

    def _next_neighbors(self, runs: Ints) -> Ints:
        """One step of a Fisher–Yates shuffle: swap a later neighbor to the front."""
        position = self._position[runs]
        remaining = self._num_neighbors[runs] - position
        partner = position + self.rng.integers(remaining, runs=runs)
        neighbors: Ints = self._order[runs, partner]
        self._order[runs, partner] = self._order[runs, position]
        self._position[runs] += 1
        return neighbors

    def _tell_random(self, runs: Ints, results: Results) -> None:
        if not len(runs):
            return
        self._random_missing[runs] -= 1
        # A walk that ended left the center's loss at +inf, so one random architecture always becomes the center.
        self._accept_better(runs, results)
        # A run whose random architectures all failed has no center yet: one more.
        has_none = (self._random_missing[runs] == 0) & (self._num_neighbors[runs] == 0)
        self._random_queued[runs] += has_none
        self._random_missing[runs] += has_none

    def _tell_neighbors(self, runs: Ints, results: Results) -> None:
        if not len(runs):
            return
        if self.acceptance == "first":
            self._accept_better(runs, results)
        else:
            self._keep_best_neighbor(runs, results)
        stuck = runs[self._num_answered[runs] == self._num_neighbors[runs]]
        if self.acceptance == "steepest" and len(stuck):
            improves = self._best_neighbor_loss[stuck] < self._center_loss[stuck]
            movers = stuck[improves]
            self._move(movers, self._best_neighbor[movers], self._best_neighbor_loss[movers])
            stuck = stuck[~improves]
        self._random_queued[stuck] = self._random_missing[stuck] = 1
        self._center_loss[stuck] = np.inf
        self._num_neighbors[stuck] = 0

    def _accept_better(self, runs: Ints, results: Results) -> None:
        losses = feasible_losses(results.losses[runs], results.feasible[runs])
        better = losses < self._center_loss[runs]
        self._move(runs[better], results.architectures[runs[better]], losses[better])

    def _keep_best_neighbor(self, runs: Ints, results: Results) -> None:
        losses = feasible_losses(results.losses[runs], results.feasible[runs])
        better = losses < self._best_neighbor_loss[runs]
        self._best_neighbor_loss[runs[better]] = losses[better]
        self._best_neighbor[runs[better]] = results.architectures[runs[better]]

    def _move(self, runs: Ints, centers: Ints, losses: Floats) -> None:
        neighbors = self.problem.space.neighbors(centers)
        self._order[runs] = neighbors
        self._num_neighbors[runs] = (neighbors >= 0).sum(axis=1)
        self._center_loss[runs] = losses
        self._position[runs] = self._num_answered[runs] = 0
        self._center[runs] += 1
        self._best_neighbor_loss[runs] = np.inf
