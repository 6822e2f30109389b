"""Gumbel-softmax: logits of all choices climb the gradient of a learned reward at a relaxed sample.

Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017; for architectures as in Xie, Zheng,
Liu and Lin, "SNAS: Stochastic Neural Architecture Search", ICLR 2019.

    all logits θ are 0, the reward model w (a weight for each choice) is 0
    repeat: draw Gumbel noise g; evaluate the architecture argmax(θ + g)
            reward r = −loss, less the mean so far, over the spread so far; both include the present one
            w takes a step of least squares towards r at the indicator of the architecture
            one step of Adam along the gradient of w · softmax((θ + g) / ``temperature``) by θ

Deviations: a table has no gradient by the relaxed sample, as shared weights have; the linear model w stands in for it.
Impossible architectures are drawn again, up to 100 times, and then replaced by a uniform one, which moves w
and not θ. A result without a value changes nothing. An infeasible architecture counts as the smallest feasible reward
of its run so far; before any, it changes nothing.

Reference: 91.24 / 72.53 / 46.07 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from nasbench_harness import Bools, Floats, Ints, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.feasibility import FeasibleRewards
from nasbench_strategies._models.notes import Notes

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8  # of Adam
MAX_REDRAWS = 100


class GumbelSoftmax(Strategy):
    """Reparameterized ascent on logits with a linear model of the reward.

    Args:
        problem: The search view.
        rng: The runs' streams.
        learning_rate: Step size of Adam for the logits.
        temperature: Temperature of the relaxed sample; low values are near the architecture.
        model_rate: Part of its error that the reward model corrects at once.
    """

    reproducible: ClassVar[Literal["exact", "platform"]] = "platform"

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        learning_rate: Annotated[float, Range(above=0)] = 0.02,
        temperature: Annotated[float, Range(above=0)] = 1.0,
        model_rate: Annotated[float, Range(above=0, high=1)] = 0.5,
    ) -> None:
        super().__init__(problem, rng)
        self.learning_rate, self.temperature, self.model_rate = learning_rate, temperature, model_rate
        num_choices = problem.space.num_choices
        self._shape = (len(num_choices), int(num_choices.max()))
        self._is_choice = np.arange(self._shape[1]) < num_choices[:, None]
        num_runs = rng.num_runs
        self._logits = np.tile(np.where(self._is_choice, 0.0, -np.inf), (num_runs, 1, 1))
        self._model = np.zeros((num_runs, *self._shape))
        self._first_moment, self._second_moment = np.zeros_like(self._model), np.zeros_like(self._model)
        self._feasible_rewards = FeasibleRewards(num_runs)
        self._mean, self._square, self._num_rewards = (np.zeros(num_runs) for _ in range(3))
        self._noise = Notes(num_runs, self._shape, np.float32)  # NaN if the architecture is not its argmax
        self._num_steps = np.zeros(num_runs)  # of Adam

    def ask(self, idle: Bools) -> Proposals:
        """The most likely architecture under fresh noise."""
        space, runs = self.problem.space, np.flatnonzero(idle)
        found, noise = np.full(len(runs), -1), np.empty((len(runs), *self._shape))
        again = np.arange(len(runs))
        for _ in range(MAX_REDRAWS):
            noise[again] = self.rng.gumbel(self._shape[0] * self._shape[1], runs[again]).reshape(-1, *self._shape)
            found[again] = space.from_choices((self._logits[runs[again]] + noise[again]).argmax(axis=2))
            again = np.flatnonzero(found < 0)
            if not len(again):
                break
        else:
            found[again] = space.sample(self.rng, runs[again])
            noise[again] = np.nan
        self._noise.add(runs, noise)
        architectures = np.full(len(idle), -1)
        architectures[runs] = found
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Fit the model, then move the logits."""
        noise = self._noise.take(results)
        rewards = np.where(results.architectures >= 0, -results.losses, np.nan)
        rewards = self._feasible_rewards(rewards, results)
        runs = np.flatnonzero(np.isfinite(rewards))
        if not len(runs):
            return
        indicator = np.arange(self._shape[1]) == self.problem.space.choices(results.architectures[runs])[..., None]
        error = self._standardized(runs, rewards[runs]) - (self._model[runs] * indicator).sum(axis=(1, 2))
        self._model[runs] += (self.model_rate / self._shape[0] * error)[:, None, None] * indicator
        runs = runs[~np.isnan(noise[runs, 0, 0])]
        if not len(runs):
            return
        relaxed = _softmax((self._logits[runs] + noise[runs]) / self.temperature)
        rewards = self._model[runs]
        gradient = relaxed * (rewards - (relaxed * rewards).sum(axis=2, keepdims=True)) / self.temperature
        self._climb(runs, gradient)

    def _standardized(self, runs: Ints, rewards: Floats) -> Floats:
        """Rewards less their mean so far, over their spread so far; both include them, so the first is 0."""
        self._num_rewards[runs] += 1
        count, before = self._num_rewards[runs], self._mean[runs]
        self._mean[runs] += (rewards - before) / count
        self._square[runs] += (rewards - before) * (rewards - self._mean[runs])
        spread = np.sqrt(self._square[runs] / count)
        standardized: Floats = (rewards - self._mean[runs]) / (spread + EPSILON)
        return standardized

    def _climb(self, runs: Ints, gradient: Floats) -> None:
        """One step of Adam."""
        self._num_steps[runs] += 1
        count = self._num_steps[runs, None, None]
        first = FIRST_DECAY * self._first_moment[runs] + (1 - FIRST_DECAY) * gradient
        second = SECOND_DECAY * self._second_moment[runs] + (1 - SECOND_DECAY) * gradient**2
        self._first_moment[runs], self._second_moment[runs] = first, second
        scale = np.sqrt(second / (1 - SECOND_DECAY**count)) + EPSILON
        self._logits[runs] += self.learning_rate * first / (1 - FIRST_DECAY**count) / scale


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares: Floats = weights / weights.sum(axis=2, keepdims=True)
    return shares
