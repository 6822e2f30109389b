"""Local search: walk to a better neighbor until there is none, then start again elsewhere.

White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, and Ottelander et al.,
"Local Search is a Remarkably Strong Baseline for Neural Architecture Search", 2020.

    evaluate ``num_initial`` random architectures; the best is the center
    repeat: evaluate the center's neighbors in a random order
            first:    move to the first that is strictly better
            steepest: evaluate all, move to the best if it is strictly better
            where none is better, evaluate one random architecture: it is the next center

Deviations: none known for "steepest" with ``num_initial=1`` (the first paper's); "first" with 10 is this package's
default, after the second paper's first-improvement variant.

Reference: 91.54 / 73.18 / 46.22 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import (
    Bools,
    Floats,
    Ints,
    InvalidInputError,
    Problem,
    Proposals,
    Results,
    RunStreams,
    Strategy,
    UnknownNameError,
)

ACCEPTANCES = ("first", "steepest")


class LocalSearch(Strategy):
    """Hill climbing with restarts.

    Args:
        problem: The search view.
        rng: The runs' streams.
        acceptance: "first" moves to the first better neighbor; "steepest" to the best of all neighbors.
        num_initial: Random architectures before the first walk.
    """

    def __init__(self, problem: Problem, rng: RunStreams, *, acceptance: str = "first", num_initial: int = 10) -> None:
        super().__init__(problem, rng)
        if acceptance not in ACCEPTANCES:
            raise UnknownNameError("acceptance", acceptance, ACCEPTANCES, "local-search")
        if num_initial < 1:
            raise InvalidInputError(f"local-search: num_initial must be at least 1, not {num_initial}")
        self.acceptance, self.num_initial = acceptance, num_initial
        num_runs = rng.num_runs
        self._num_random = np.full(num_runs, num_initial)  # random architectures still to come before a walk
        self._center_loss = np.full(num_runs, np.inf)
        self._best_neighbor = np.zeros(num_runs, dtype=np.int64)
        self._best_neighbor_loss = np.full(num_runs, np.inf)
        num_neighbors = problem.space.neighbors(np.zeros(1, dtype=np.int64)).shape[1]
        self._order = np.zeros((num_runs, num_neighbors), dtype=np.int64)  # the center's neighbors, as they come
        self._num_neighbors = np.zeros(num_runs, dtype=np.int64)
        self._position = np.zeros(num_runs, dtype=np.int64)  # next in _order

    def ask(self, idle: Bools) -> Proposals:
        """A random architecture, or the center's next neighbor."""
        architectures = np.full(len(idle), -1)
        is_random = self._num_random > 0
        starters, walkers = np.flatnonzero(idle & is_random), np.flatnonzero(idle & ~is_random)
        if len(starters):
            architectures[starters] = self.problem.space.sample(self.rng, starters)
        if len(walkers):
            architectures[walkers] = self._next_neighbors(walkers)
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Accept, walk on, or decide to start again."""
        told = results.architectures >= 0
        is_random = self._num_random > 0
        self._tell_random(np.flatnonzero(told & is_random), results)
        self._tell_neighbors(np.flatnonzero(told & ~is_random), results)

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
        self._num_random[runs] -= 1
        # A walk that ended left the center's loss at +inf, so one random architecture always becomes the center.
        self._accept_better(runs, results)
        # A run whose random architectures all failed has no center yet: one more.
        self._num_random[runs] += (self._num_random[runs] == 0) & (self._num_neighbors[runs] == 0)

    def _tell_neighbors(self, runs: Ints, results: Results) -> None:
        if not len(runs):
            return
        if self.acceptance == "first":
            self._accept_better(runs, results)
        else:
            self._keep_best_neighbor(runs, results)
        stuck = runs[self._position[runs] == self._num_neighbors[runs]]
        if self.acceptance == "steepest" and len(stuck):
            improves = self._best_neighbor_loss[stuck] < self._center_loss[stuck]
            movers = stuck[improves]
            self._move(movers, self._best_neighbor[movers], self._best_neighbor_loss[movers])
            stuck = stuck[~improves]
        self._num_random[stuck] = 1
        self._center_loss[stuck] = np.inf
        self._num_neighbors[stuck] = 0

    def _accept_better(self, runs: Ints, results: Results) -> None:
        losses = results.losses[runs]
        better = losses < self._center_loss[runs]
        self._move(runs[better], results.architectures[runs[better]], losses[better])

    def _keep_best_neighbor(self, runs: Ints, results: Results) -> None:
        losses = results.losses[runs]
        better = losses < self._best_neighbor_loss[runs]
        self._best_neighbor_loss[runs[better]] = losses[better]
        self._best_neighbor[runs[better]] = results.architectures[runs[better]]

    def _move(self, runs: Ints, centers: Ints, losses: Floats) -> None:
        neighbors = self.problem.space.neighbors(centers)
        self._order[runs] = neighbors
        self._num_neighbors[runs] = (neighbors >= 0).sum(axis=1)
        self._center_loss[runs] = losses
        self._position[runs] = 0
        self._best_neighbor_loss[runs] = np.inf
