"""BOHB: Hyperband whose architectures come from a density of the good ones.

Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018.

    brackets, rungs and reductions as in Hyperband; each new architecture is
        with probability ``random_fraction``, or as long as no rung has enough results: random
        otherwise, by the results of the highest rung that has enough:
            a kernel density of the best ``good_fraction`` of them, and one of the others
            of ``num_candidates`` draws from the first, the one with the largest ratio of the two densities

Deviations: the kernels are those for categories, with a width by rule. The rungs are the fidelities of the task that
are nearest to highest / eta^k epochs. A run draws an architecture once. In a list of architectures, each decision is
drawn among the choices that continue one of them. Workers that would wait for the results of a rung begin the next
bracket.

Reference: 88.11 / 88.44 / 88.65 % (noiseless validation accuracy of the incumbent on measured learning curves of 100
epochs, after 1,000 / 3,000 / 10,000 epochs, mean of 200 seeds; results/strategies/fidelities.csv).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from nasbench_harness import Bools, Ints, Needs, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.brackets import Brackets, Unseen, hyperband_plans, rungs_on
from nasbench_strategies._models.kernel_density import KernelDensity


class BOHB(Strategy):
    """Bayesian optimization and Hyperband.

    Args:
        problem: The search view.
        rng: The runs' streams.
        eta: Reduction of the architectures, and ratio of the epochs, from one rung to the next.
        min_epochs: Epochs of the lowest rung, at least.
        random_fraction: Chance of a random architecture in place of one from the model.
        good_fraction: Share of the results that are good.
        num_candidates: Draws from the density of the good ones.
    """

    needs: ClassVar[Needs] = Needs(fidelities=True)
    reproducible: ClassVar[Literal["exact", "platform"]] = "platform"

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        eta: Annotated[int, Range(2)] = 3,
        min_epochs: Annotated[int, Range(0)] = 0,
        random_fraction: Annotated[float, Range(0, 1)] = 1 / 3,
        good_fraction: Annotated[float, Range(0, 1)] = 0.15,
        num_candidates: Annotated[int, Range(1)] = 64,
    ) -> None:
        super().__init__(problem, rng)
        self.random_fraction, self.good_fraction = random_fraction, good_fraction
        self.num_candidates = num_candidates
        plans = hyperband_plans(rungs_on(problem, eta=eta, min_epochs=min_epochs), eta)
        self._brackets, self._unseen = Brackets(rng.num_runs, plans, eta), Unseen(problem, rng)
        # Of each run: architectures and losses by fidelity.
        self._results: list[dict[int, tuple[list[int], list[float]]]] = [{} for _ in range(rng.num_runs)]

    def ask(self, idle: Bools) -> Proposals:
        """The next training of each idle run's bracket."""
        return self._brackets.ask(idle, self._new)

    def tell(self, results: Results) -> None:
        """File results in their brackets and for the model."""
        self._brackets.tell(results)
        for run in np.flatnonzero(results.ticket >= 0).tolist():
            architectures, losses = self._results[run].setdefault(int(results.fidelities[run]), ([], []))
            architectures.append(int(results.architectures[run]))
            losses.append(float(results.losses[run]) if results.feasible[run] else np.inf)

    def _new(self, runs: Ints) -> Ints:
        """A new architecture for each of these runs, from its model or random."""
        draws_random = self.rng.uniform(None, runs) < self.random_fraction
        found = np.full(len(runs), -1)
        for position in np.flatnonzero(~draws_random).tolist():
            found[position] = self._by_model(int(runs[position]))
        has_one = found >= 0
        self._unseen.add(runs[has_one], found[has_one])
        if not has_one.all():
            found[~has_one] = self._unseen.draw(runs[~has_one])
        return found

    def _by_model(self, run: int) -> int:
        """The most promising new candidate; −1 if there is no model or no new candidate."""
        space, smallest = self.problem.space, self.problem.space.num_decisions + 1
        enough = [fidelity for fidelity, (_, losses) in self._results[run].items() if len(losses) >= smallest + 2]
        if not enough:
            return -1
        architectures, losses = self._results[run][max(enough)]
        choices = space.choices(np.array(architectures)[np.argsort(losses, kind="stable")])
        num_good = max(smallest, int(self.good_fraction * len(choices)))
        num_others = max(smallest, len(choices) - num_good)
        good = KernelDensity(choices[:num_good], space.num_choices)
        others = KernelDensity(choices[len(choices) - num_others :], space.num_choices)
        candidates = good.draw(space, self.num_candidates, self.rng, run)
        found = space.from_choices(candidates)
        is_old = self._unseen.has(np.full(len(found), run), found)
        ratios = np.where((found < 0) | is_old, -1.0, good(candidates) / others(candidates))
        best = int(ratios.argmax())
        return int(found[best]) if ratios[best] >= 0 else -1
