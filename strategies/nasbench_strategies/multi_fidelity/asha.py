"""ASHA: successive halving without waiting; an architecture climbs as soon as it is among the best of its rung.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, "A System for Massively Parallel
Hyperparameter Tuning", MLSys 2020.

    whenever a worker is free, from the second highest rung down to the lowest:
        if an architecture is among the best 1/``eta`` of the results of its rung and has not climbed yet,
            train it up to the next rung
    otherwise train a random architecture up to the lowest rung

Deviations: the rungs are the fidelities of the task that are nearest to highest / eta^k epochs. A run draws an
architecture once. Feasible architectures are better than infeasible ones.

Reference: 88.18 / 88.39 / 88.55 % (noiseless validation accuracy of the incumbent on measured learning curves of 100
epochs, after 1,000 / 3,000 / 10,000 epochs, mean of 200 seeds; results/strategies/fidelities.csv).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Annotated, ClassVar

import numpy as np

from nasbench_harness import Bools, Needs, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.brackets import NEW, Unseen, rungs_on


class ASHA(Strategy):
    """Asynchronous successive halving.

    Args:
        problem: The search view.
        rng: The runs' streams.
        eta: Reduction of the architectures, and ratio of the epochs, from one rung to the next.
        min_epochs: Epochs of the lowest rung, at least.
    """

    needs: ClassVar[Needs] = Needs(fidelities=True)

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        eta: Annotated[int, Range(2)] = 3,
        min_epochs: Annotated[int, Range(0)] = 0,
    ) -> None:
        super().__init__(problem, rng)
        self._fidelities = rungs_on(problem, eta=eta, min_epochs=min_epochs)
        self._rungs = [[_Rung(eta) for _ in self._fidelities] for _ in range(rng.num_runs)]
        self._level_of: list[dict[int, int]] = [{} for _ in range(rng.num_runs)]  # of each ticket
        self._num_asked = [0] * rng.num_runs
        self._unseen = Unseen(problem, rng)

    def ask(self, idle: Bools) -> Proposals:
        """An architecture that climbs, else a new one."""
        architectures, fidelities = np.full(len(idle), NEW), np.zeros(len(idle), dtype=np.int64)
        for run in np.flatnonzero(idle).tolist():
            level, architectures[run] = self._next(run)
            fidelities[run] = self._fidelities[level]
            self._level_of[run][self._num_asked[run]] = level
            self._num_asked[run] += 1
        beginners = np.flatnonzero(idle & (architectures == NEW))
        if len(beginners):
            architectures[beginners] = self._unseen.draw(beginners)
        return Proposals(architectures, fidelities)

    def tell(self, results: Results) -> None:
        """File results in their rungs."""
        for run in np.flatnonzero(results.ticket >= 0).tolist():
            level = self._level_of[run].pop(int(results.ticket[run]))
            rung, is_infeasible = self._rungs[run][level], not results.feasible[run]
            rung.add(is_infeasible, float(results.losses[run]), int(results.architectures[run]))

    def _next(self, run: int) -> tuple[int, int]:
        """Level of the next training, and its architecture or NEW."""
        for level in range(len(self._fidelities) - 2, -1, -1):
            architecture = self._rungs[run][level].climber()
            if architecture != NEW:
                return level + 1, architecture
        return 0, NEW


class _Rung:
    """Results of a rung in two sorted lists; of equals the one that finished first is better."""

    def __init__(self, eta: int) -> None:
        self._eta = eta
        self._stayed: list[tuple[bool, float, int, int]] = []
        self._climbed: list[tuple[bool, float, int, int]] = []

    def add(self, is_infeasible: bool, loss: float, architecture: int) -> None:
        insort(self._stayed, (is_infeasible, loss, len(self._stayed) + len(self._climbed), architecture))

    def climber(self) -> int:
        """The best architecture that has not climbed, if it is among the best of the rung; else NEW."""
        if not self._stayed:
            return NEW
        best = self._stayed[0]
        num_better = bisect_left(self._climbed, best)  # those that stayed are worse
        if num_better >= (len(self._stayed) + len(self._climbed)) // self._eta:
            return NEW
        insort(self._climbed, self._stayed.pop(0))
        return best[-1]
