"""Successive halving: train many architectures briefly, and only the best part of them longer.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.

    repeat: train ``num_architectures`` random architectures for the epochs of the lowest rung
            train the best 1/``eta`` of them for ``eta`` times as many epochs, and so on up to the highest rung

Deviations: the rungs are the fidelities of the task that are nearest to highest / eta^k epochs. A run draws an
architecture once. Workers that would wait for the results of a rung begin the next bracket. Feasible
architectures are better than infeasible ones.

Reference: 88.12 / 88.37 / 88.56 % (noiseless validation accuracy of the incumbent on measured learning curves of 100
epochs, after 1,000 / 3,000 / 10,000 epochs, mean of 200 seeds; results/strategies/fidelities.csv).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from nasbench_harness import Bools, Needs, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.brackets import Brackets, Plan, Unseen, rungs_on


class SuccessiveHalving(Strategy):
    """Brackets of equal size, one after another.

    Args:
        problem: The search view.
        rng: The runs' streams.
        num_architectures: Architectures of a bracket; 0: as many as leave one on the highest rung.
        eta: Reduction of the architectures, and ratio of the epochs, from one rung to the next.
        min_epochs: Epochs of the lowest rung, at least.
    """

    needs: ClassVar[Needs] = Needs(fidelities=True)

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        num_architectures: Annotated[int, Range(0)] = 0,
        eta: Annotated[int, Range(2)] = 3,
        min_epochs: Annotated[int, Range(0)] = 0,
    ) -> None:
        super().__init__(problem, rng)
        rungs = rungs_on(problem, eta=eta, min_epochs=min_epochs)
        plan = Plan(num_architectures or eta ** (len(rungs) - 1), rungs)
        self._brackets, self._unseen = Brackets(rng.num_runs, [plan], eta), Unseen(problem, rng)

    def ask(self, idle: Bools) -> Proposals:
        """The next training of each idle run's bracket."""
        return self._brackets.ask(idle, self._unseen.draw)

    def tell(self, results: Results) -> None:
        """File results in their brackets."""
        self._brackets.tell(results)
