"""Hyperband: successive halving with many brief trainings, then with fewer and longer ones, in turn.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 2018.

    repeat, for s = number of rungs − 1 down to 0:
        draw ceil(number of rungs / (s + 1) · eta^s) random architectures
        successive halving with them on the s + 1 highest rungs

Deviations: the rungs are the fidelities of the task that are nearest to highest / eta^k epochs. A run draws an
architecture once. Workers that would wait for the results of a rung begin the next bracket. Feasible
architectures are better than infeasible ones.

Reference: 88.06 / 88.32 / 88.46 % (noiseless validation accuracy of the incumbent on measured learning curves of 100
epochs, after 1,000 / 3,000 / 10,000 epochs, mean of 200 seeds; results/strategies/fidelities.csv).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from nasbench_harness import Bools, Needs, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.brackets import Brackets, Unseen, hyperband_plans, rungs_on


class Hyperband(Strategy):
    """Brackets of successive halving that begin on each rung in turn.

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
        plans = hyperband_plans(rungs_on(problem, eta=eta, min_epochs=min_epochs), eta)
        self._brackets, self._unseen = Brackets(rng.num_runs, plans, eta), Unseen(problem, rng)

    def ask(self, idle: Bools) -> Proposals:
        """The next training of each idle run's bracket."""
        return self._brackets.ask(idle, self._unseen.draw)

    def tell(self, results: Results) -> None:
        """File results in their brackets."""
        self._brackets.tell(results)
