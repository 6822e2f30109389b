"""Adaptive stochastic natural gradient: the probabilities of all choices follow the better samples.

Akimoto, Shirakawa, Yoshinari, Uchida, Saito and Nishida, "Adaptive Stochastic Natural Gradient Method for One-Shot
Neural Architecture Search", ICML 2019 (ASNG).

    all probabilities θ are uniform
    repeat: sample ``num_samples`` architectures from θ and evaluate them
            natural gradient g = mean of utility · (indicator of the sample − θ); the best quarter has utility above 0,
            the worst quarter below
            move θ by ``step_size`` / Δ along g, in the length of the Fisher metric
            shrink Δ while successive steps agree, grow it while they disagree

Deviations: the reward is the table's, in place of a loss under shared weights; 8 samples a step, where the paper has 2.
Impossible architectures are drawn again, up to 100 times, and then replaced by a uniform one. An infeasible
architecture counts as one without a value, which is the worst.

Reference: 91.53 / 73.07 / 46.12 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from nasbench_harness import Floats, Generational, Ints, Problem, Range, RunStreams
from nasbench_strategies._models.feasibility import feasible_losses

MAX_REDRAWS = 100


class NaturalGradient(Generational):
    """Natural-gradient ascent on categorical distributions.

    Args:
        problem: The search view.
        rng: The runs' streams.
        num_samples: Architectures of a step.
        step_size: Length of the first step in the Fisher metric.
        alpha: Agreement of successive steps at which their size stays; larger values keep steps longer.
    """

    reproducible: ClassVar[Literal["exact", "platform"]] = "platform"

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        num_samples: Annotated[int, Range(2)] = 8,
        step_size: Annotated[float, Range(above=0)] = 1.0,
        alpha: Annotated[float, Range(above=0)] = 1.5,
    ) -> None:
        super().__init__(problem, rng)
        self.generation_size, self.step_size, self.alpha = num_samples, step_size, alpha
        num_choices = problem.space.num_choices
        self._num_choices, self._width = num_choices, int(num_choices.max())
        self._is_choice = np.arange(self._width) < num_choices[:, None]
        self._is_last = np.arange(self._width) == num_choices[:, None] - 1
        self._num_free = int((num_choices - 1).sum())
        # Smallest allowed probability, so that every choice stays possible.
        least = 1 / (len(num_choices) * np.maximum(num_choices - 1, 1))
        self._least = np.where(self._is_choice & (num_choices > 1)[:, None], least[:, None], 0.0)
        self._theta = np.tile(np.where(self._is_choice, 1 / num_choices[:, None], 0.0), (rng.num_runs, 1, 1))
        self._path = np.zeros_like(self._theta)  # of successive steps, in coordinates of length 1
        self._weight, self._shrink = np.zeros(rng.num_runs), np.ones(rng.num_runs)

    def propose(self, runs: Ints) -> Ints:
        """Samples of the present distribution."""
        drawn = [self._sample(runs) for _ in range(self.generation_size)]
        return np.stack(drawn, axis=1)

    def update(self, runs: Ints, architectures: Ints, losses: Floats) -> None:
        """A step along the natural gradient; none if all samples are equally good."""
        utility = _utility(feasible_losses(losses, self.generation_feasible[runs]))
        moves = utility.any(axis=1)
        if not moves.any():
            return
        runs, utility = runs[moves], utility[moves]
        choices = self.problem.space.choices(architectures[moves].ravel()).reshape(*utility.shape, -1)
        indicator = np.arange(self._width) == choices[..., None]
        theta = self._theta[runs]
        gradient = (utility[:, :, None, None] * (indicator - theta[:, None])).mean(axis=1)
        scaled = self._in_unit_coordinates(theta, gradient)
        length = np.sqrt((scaled**2).sum(axis=(1, 2)))
        moves = length > 0
        runs, theta, length = runs[moves], theta[moves], length[moves]
        direction = scaled[moves] / length[:, None, None]
        step = self.step_size / self._shrink[runs]
        theta = theta + (step / length)[:, None, None] * gradient[moves]
        memory = np.minimum(step / np.sqrt(self._num_free), 1.0)
        fresh = memory * (2 - memory)
        self._path[runs] = (1 - memory)[:, None, None] * self._path[runs] + np.sqrt(fresh)[:, None, None] * direction
        self._weight[runs] = (1 - memory) ** 2 * self._weight[runs] + fresh
        agreement = (self._path[runs] ** 2).sum(axis=(1, 2)) / self.alpha
        self._shrink[runs] *= np.exp(memory * (self._weight[runs] - agreement))
        self._theta[runs] = self._restricted(theta)

    def _sample(self, runs: Ints) -> Ints:
        """One architecture of each run."""
        space = self.problem.space
        found = np.full(len(runs), -1)
        for _ in range(MAX_REDRAWS):
            again = np.flatnonzero(found < 0)
            if not len(again):
                return found
            found[again] = space.from_choices(self._draw(runs[again]))
        again = np.flatnonzero(found < 0)
        found[again] = space.sample(self.rng, runs[again])
        return found

    def _draw(self, runs: Ints) -> Ints:
        draws = self.rng.uniform(len(self._num_choices), runs)
        cumulative = self._theta[runs].cumsum(axis=2)
        below: Ints = (cumulative <= draws[:, :, None] * cumulative[:, :, -1:]).sum(axis=2)
        return np.minimum(below, self._num_choices - 1)

    def _in_unit_coordinates(self, theta: Floats, gradient: Floats) -> Floats:
        """The square root of the Fisher matrix times a gradient; the last choice of each decision is not free."""
        last = (theta * self._is_last).sum(axis=2, keepdims=True)
        is_free = self._is_choice & ~self._is_last
        of_free = np.where(is_free, gradient, 0.0)
        root = np.sqrt(np.where(is_free, theta, 1.0))
        scaled = of_free / root + root * of_free.sum(axis=2, keepdims=True) / (last + np.sqrt(last))
        return np.where(is_free, scaled, 0.0)

    def _restricted(self, theta: Floats) -> Floats:
        """Probabilities of at least the smallest allowed one, with sum 1."""
        theta = np.where(self._is_choice, np.maximum(theta, self._least), 0.0)
        total = theta.sum(axis=2, keepdims=True)
        above = total - self._least.sum(axis=1)[:, None]
        theta = theta - (total - 1) * (theta - self._least) / np.where(above > 0, above, 1.0)
        shares: Floats = theta / theta.sum(axis=2, keepdims=True)
        return shares


def _utility(losses: Floats) -> Floats:
    """Utilities with sum 0, shape (n, num_samples): best and worst quarter; equal losses share theirs."""
    size = losses.shape[1]
    num_best = -(-size // 4)
    by_place = np.zeros(size)
    by_place[:num_best] += 1 / num_best
    by_place[size - num_best :] -= 1 / num_best
    better = (losses[:, None, :] < losses[:, :, None]).sum(axis=2)
    equal = (losses[:, None, :] == losses[:, :, None]).sum(axis=2)
    total = np.concatenate([[0.0], by_place.cumsum()])
    utility: Floats = (total[better + equal] - total[better]) / equal
    return np.where(np.abs(utility) < 1e-12, 0.0, utility)
