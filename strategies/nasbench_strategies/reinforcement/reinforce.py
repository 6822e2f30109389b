"""REINFORCE: a softmax over the choices of every decision, moved by the reward of one sample at a time.

Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Machine Learning
1992; with logits and Adam as in Dong and Yang, "NAS-Bench-201", ICLR 2020 (Kingma and Ba, "Adam", ICLR 2015).

    all logits are 0, the baseline b is the first reward
    repeat: sample every decision from its softmax; impossible architectures are drawn again
            reward r = −loss; advantage r − b
            one step of Adam along −advantage · ∇ log p(sample)
            b ← ``baseline_decay`` · b + (1 − ``baseline_decay``) · r

With ``complexity``, the name of a free metric, the reward is r = −loss − ``complexity_weight`` · |complexity /
``complexity_target`` − 1|, the absolute reward of Bender, Liu, Chen, Chu, Cheng, Kindermans and Le, "Can Weight Sharing
Outperform Random Architecture Search? An Investigation with TuNAS", CVPR 2020; the weight is in the unit of the loss
(percentage points of accuracy), where the paper has fractions.

Deviations: learning rate 0.05, the published row's; no entropy term. A result without a value (+inf) changes nothing.
An infeasible architecture counts as the smallest feasible reward of its run so far; before any, it changes nothing.
In a list of architectures, each decision is drawn among the choices that continue one of them, with the policy's
probabilities; the gradient stays that of independent decisions. Elsewhere impossible samples are drawn again; after
1,000 of them in a row, a run takes a uniform architecture.

Reference: 91.38 / 72.66 / 46.04 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 2,000 seeds at 200 evaluations; results/reference).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from nasbench_harness import (
    Bools,
    Floats,
    Ints,
    InvalidInputError,
    Problem,
    Proposals,
    Range,
    Results,
    RunStreams,
    Strategy,
)
from nasbench_strategies._models.feasibility import FeasibleRewards
from nasbench_strategies._models.notes import Notes

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam
MAX_REDRAWS = 1_000


class Reinforce(Strategy):
    """Policy gradient with independent decisions.

    Args:
        problem: The search view.
        rng: The runs' streams.
        learning_rate: Step size of Adam.
        baseline_decay: Weight of the old baseline in the new one.
        complexity: Free metric in the reward; empty: none.
        complexity_target: Its wanted value, in its own unit.
        complexity_weight: Reward lost where the metric is twice the target.
    """

    reproducible: ClassVar[Literal["exact", "platform"]] = "platform"

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        learning_rate: Annotated[float, Range(above=0)] = 0.05,
        baseline_decay: Annotated[float, Range(0, below=1)] = 0.9,
        complexity: str = "",
        complexity_target: float = 0.0,
        complexity_weight: Annotated[float, Range(0)] = 10.0,
    ) -> None:
        super().__init__(problem, rng)
        _check_target(complexity, complexity_target)
        if complexity:
            problem.lookup(complexity, np.zeros(0, dtype=np.int64))  # refuses an unknown name
        self.learning_rate, self.baseline_decay = learning_rate, baseline_decay
        self.complexity, self.complexity_target = complexity, complexity_target
        self.complexity_weight = complexity_weight

        # Choices come first: sums over them are then elementwise, with the same bits whatever the number of runs.
        num_runs, num_choices = rng.num_runs, problem.space.num_choices
        self._choice = np.arange(num_choices.max())[:, None, None]
        self._logits = np.zeros((num_choices.max(), num_runs, len(num_choices)))
        self._logits[:] = np.where(self._choice < num_choices, 0.0, -np.inf)
        self._first_moment, self._second_moment = np.zeros_like(self._logits), np.zeros_like(self._logits)
        self._first_decay, self._second_decay = np.ones((num_runs, 1)), np.ones((num_runs, 1))  # βᵗ, t = steps so far
        self._probabilities = np.empty_like(self._logits)
        self._cumulative = np.empty_like(self._logits)
        self._renew_policy(np.arange(num_runs))
        self._baseline = np.full(num_runs, np.nan)  # NaN before the first result
        self._feasible_rewards = FeasibleRewards(num_runs)
        # What was sampled: a space may know an architecture by other choices than those.
        self._samples = Notes(num_runs, (len(num_choices),), np.min_scalar_type(num_choices.max()))

    def ask(self, idle: Bools) -> Proposals:
        """Sample the policy of every idle run."""
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle)
        samples, architectures[runs] = self._sample(runs)
        self._samples.add(runs, samples)
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """One step for every run with a finite reward; the first one only sets the baseline."""
        rewards, samples = self._rewards(results), self._samples.take(results)
        is_finite = np.isfinite(rewards)
        is_first = np.isnan(self._baseline)
        self._baseline[is_finite & is_first] = rewards[is_finite & is_first]
        runs = np.flatnonzero(is_finite & ~is_first)
        if not len(runs):
            return
        advantages = rewards[runs] - self._baseline[runs]
        self._baseline[runs] = self.baseline_decay * self._baseline[runs] + (1 - self.baseline_decay) * rewards[runs]
        self._step(runs, advantages, samples[runs])

    def _rewards(self, results: Results) -> Floats:
        """Reward of every run, shape (num_runs,); not finite where there is none."""
        rewards = np.where(results.architectures >= 0, -results.losses, np.nan)
        if self.complexity:
            runs = np.flatnonzero(results.architectures >= 0)
            complexity = self.problem.lookup(self.complexity, results.architectures[runs], runs)
            rewards[runs] -= self.complexity_weight * np.abs(complexity / self.complexity_target - 1)
        return self._feasible_rewards(rewards, results)

    def _sample(self, runs: Ints) -> tuple[Ints, Ints]:
        """Choices (len(runs), num_decisions) and architectures (len(runs),), drawn again where impossible."""
        space = self.problem.space
        if space.is_sparse:
            samples = self._draw_from_rows(runs)
            return samples, space.from_choices(samples)
        samples = self._draw(runs)
        architectures = space.from_choices(samples)
        for _ in range(MAX_REDRAWS):
            impossible = np.flatnonzero(architectures < 0)
            if not len(impossible):
                return samples, architectures
            samples[impossible] = self._draw(runs[impossible])
            architectures[impossible] = space.from_choices(samples[impossible])
        impossible = np.flatnonzero(architectures < 0)
        architectures[impossible] = space.sample(self.rng, runs[impossible])
        samples[impossible] = space.choices(architectures[impossible])
        return samples, architectures

    def _draw(self, runs: Ints) -> Ints:
        num_decisions = len(self.problem.space.num_choices)
        cumulative = self._cumulative[:, self._rows(runs)]
        thresholds = self.rng.uniform(num_decisions, runs) * cumulative[-1]
        samples: Ints = (cumulative[:-1] <= thresholds).sum(axis=0)
        # A threshold that was rounded up to the whole sum belongs to the last choice.
        return np.minimum(samples, self.problem.space.num_choices - 1)

    def _draw_from_rows(self, runs: Ints) -> Ints:
        """Choices of rows that exist: each decision is drawn among the choices that continue a row."""
        space, num_decisions = self.problem.space, len(self.problem.space.num_choices)
        draws = self.rng.uniform(num_decisions, runs)
        weights = self._probabilities[:, self._rows(runs)]
        samples = np.zeros((len(runs), num_decisions), dtype=np.int64)
        for decision in range(num_decisions):
            exists = space.next_choices(samples[:, :decision])
            allowed = np.where(exists.T, weights[: exists.shape[1], :, decision], 0.0)
            # If all that remain have underflowed to probability 0, they are alike.
            allowed = np.where(allowed.sum(axis=0) > 0, allowed, exists.T)
            cumulative = allowed.copy()
            for choice in range(1, len(cumulative)):
                cumulative[choice] += cumulative[choice - 1]
            below = (cumulative <= draws[:, decision] * cumulative[-1]).sum(axis=0)
            last = exists.shape[1] - 1 - exists[:, ::-1].argmax(axis=1)
            samples[:, decision] = np.minimum(below, last)
        return samples

    def _step(self, runs: Ints, advantages: Floats, samples: Ints) -> None:
        """One step of Adam; ``advantages`` (len(runs),), ``samples`` (len(runs), num_decisions)."""
        rows = self._rows(runs)
        gradient = advantages[:, None] * (self._probabilities[:, rows] - (self._choice == samples))
        first = BETA_1 * self._first_moment[:, rows] + (1 - BETA_1) * gradient
        second = BETA_2 * self._second_moment[:, rows] + (1 - BETA_2) * gradient**2
        self._first_moment[:, rows], self._second_moment[:, rows] = first, second
        self._first_decay[rows] *= BETA_1
        self._second_decay[rows] *= BETA_2
        scale = np.sqrt(second / (1 - self._second_decay[rows])) + EPSILON
        self._logits[:, rows] -= self.learning_rate / (1 - self._first_decay[rows]) * first / scale
        self._renew_policy(runs)

    def _renew_policy(self, runs: Ints) -> None:
        """Softmax of the logits; ``cumulative`` is a multiple of its distribution function."""
        rows = self._rows(runs)
        logits = self._logits[:, rows]
        weights = np.exp(logits - logits.max(axis=0))
        cumulative = weights.copy()
        for choice in range(1, len(weights)):
            cumulative[choice] += cumulative[choice - 1]
        self._cumulative[:, rows] = cumulative
        self._probabilities[:, rows] = weights / cumulative[-1]

    def _rows(self, runs: Ints) -> Ints | slice:
        """The same rows; a slice where they are all, which costs no copy."""
        return slice(None) if len(runs) == self.rng.num_runs else runs


def _check_target(complexity: str, target: float) -> None:
    if complexity and not 0 < target < np.inf:
        raise InvalidInputError(
            f"reinforce: complexity_target must be above 0, not {target}: give the wanted {complexity}"
        )
    if not complexity and target:
        raise InvalidInputError("reinforce: complexity_target needs complexity, the name of a free metric")
