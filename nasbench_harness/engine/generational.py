"""Strategies that propose whole generations: the queue and the results of every run are kept for them."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.engine.checks import checked_generation
from nasbench_harness.engine.strategy import Proposals, Results, Strategy
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.problem import Problem


class Generational(Strategy):
    """A strategy that proposes ``generation_size`` architectures at a time and learns when all are answered.

    Subclasses define ``generation_size`` (a class attribute, or an attribute that the constructor sets; it stays the
    same for the whole search), ``propose`` and ``update``. Runs are in different generations wherever some of their
    proposals were not counted, so both methods take the runs that they speak of.

    Attributes:
        generation_values: All losses of the present generations in order of proposal, shape (num_runs,
            generation_size, num_objectives).
        generation_feasible: Whether each meets the constraints, shape (num_runs, generation_size).
    """

    generation_size: int

    def __init__(self, problem: Problem, rng: RunStreams) -> None:
        super().__init__(problem, rng)
        self._generation_queued = np.zeros(rng.num_runs, dtype=np.int64)  # of a run's generation, still to be proposed
        self._generation_missing = np.zeros(rng.num_runs, dtype=np.int64)  # the same, still to be answered

    @abstractmethod
    def propose(self, runs: Ints) -> Ints:
        """The next generation of some runs, shape (len(runs), generation_size); drawn with ``runs=runs`` only.

        Args:
            runs: Runs whose earlier generations are all answered, shape (len(runs),).
        """

    @abstractmethod
    def update(self, runs: Ints, architectures: Ints, losses: Floats) -> None:
        """Learn from a generation of some runs; nothing may be drawn here.

        A generation that the budget cuts short is never told.

        Args:
            runs: Runs whose generation is complete, shape (len(runs),).
            architectures: Proposals, in that order, shape (len(runs), generation_size).
            losses: First objective in the same order, +inf if there is no value (rejected, failed, missing).
        """

    def ask(self, idle: Bools) -> Proposals:
        """The next of each idle run's generation; −1 while only results are missing."""
        starters = np.flatnonzero(idle & (self._generation_missing == 0))
        if len(starters):
            size = self.problem.space.num_architectures
            self._generation_architectures[starters] = checked_generation(
                self.name, self.propose(starters.copy()), len(starters), self._generation_size, size
            )
            self._generation_queued[starters] = self._generation_missing[starters] = self._generation_size
        runs = np.flatnonzero(idle & (self._generation_queued > 0))
        architectures = np.full(len(idle), -1)
        architectures[runs] = self._generation_architectures[
            runs, self._generation_size - self._generation_queued[runs]
        ]
        self._generation_queued[runs] -= 1
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """File each result under its proposal; complete generations go to ``update``."""
        runs = np.flatnonzero(results.architectures >= 0)
        # Every generation before was answered in full, so tickets count places within generations.
        places = results.ticket[runs] % self._generation_size
        self.generation_values[runs, places] = results.values[runs]
        self.generation_feasible[runs, places] = results.feasible[runs]
        self._generation_missing[runs] -= 1
        complete = runs[self._generation_missing[runs] == 0]
        if len(complete):
            self.update(complete, self._generation_architectures[complete], self.generation_values[complete, :, 0])

    @cached_property
    def _generation_size(self) -> int:
        size = getattr(self, "generation_size", None)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise StrategyError(
                f"{self.name}: generation_size must be a whole number of at least 1, set on the class or in its "
                f"constructor, not {size!r}"
            )
        return size

    @cached_property
    def _generation_architectures(self) -> Ints:
        return np.zeros((self.rng.num_runs, self._generation_size), dtype=np.int64)

    @cached_property
    def generation_values(self) -> Floats:
        """All losses of the present generations."""
        return np.zeros((self.rng.num_runs, self._generation_size, len(self.problem.objectives)))

    @cached_property
    def generation_feasible(self) -> Bools:
        """Which architectures of the present generations meet the constraints."""
        return np.ones((self.rng.num_runs, self._generation_size), dtype=bool)
