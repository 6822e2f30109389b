"""RNN controller: an LSTM samples one decision after another and learns from the reward of each architecture.

Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017; 32 hidden units as in Pham et al.,
"Efficient Neural Architecture Search via Parameter Sharing", ICML 2018; Schulman et al., "Proximal Policy Optimization
Algorithms", 2017 (``num_updates`` above 1).

    repeat: the LSTM reads the previous choice and gives a softmax over the choices of the next decision; sample it
            reward r = −loss; advantage A = r − b
            ``num_updates`` steps of Adam along −∇ (A · min(ratio, clipped ratio) + ``entropy_weight`` · entropy), where
            ratio is the probability of the sample now over that when it was drawn
            b ← ``baseline_decay`` · b + (1 − ``baseline_decay``) · r; the first reward only sets b

With one update the ratio is 1, and the step is the policy gradient of Zoph and Le.

Deviations: one architecture a step, not a batch of them; a learning rate of 0.03, as 150 evaluations are few; the input
is the previous choice as an indicator, in place of an embedding; no bias. Advantages are divided by the root of their
mean square so far, so that the entropy weight fits every metric. Impossible architectures are drawn again, up to 100
times, and then replaced by a uniform one. A result without a value changes nothing.
An infeasible architecture counts as the smallest feasible reward of its run so far; before any, it changes nothing.

Reference: 91.32 / 72.48 / 46.07 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness import Bools, Floats, Ints, Problem, Proposals, Range, Results, RunStreams, Strategy
from nasbench_strategies._models.feasibility import FeasibleRewards
from nasbench_strategies._models.notes import Notes

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8  # of Adam
INITIAL_BOUND = 0.1
MAX_REDRAWS = 100
ROWS_AT_ONCE = 8  # rows of Adam that fit a cache together

Array = npt.NDArray[np.float32]


class Pass(NamedTuple):
    """Activations of one pass over all decisions; runs lead, then decisions."""

    samples: Ints  # (n, num_decisions)
    hidden: Array  # (n, num_decisions + 1, num_hidden), before each decision and after the last
    cell: Array
    gates: Array  # (n, num_decisions, 4 · num_hidden): input, forget, output, candidate
    probabilities: Array  # (n, num_decisions, largest number of choices)


class RNNController(Strategy):
    """Policy gradient with an LSTM.

    Args:
        problem: The search view.
        rng: The runs' streams.
        num_hidden: Hidden units.
        learning_rate: Step size of Adam.
        entropy_weight: Reward for the entropy of the decisions, beside advantages of size 1.
        baseline_decay: Weight of the old baseline in the new one.
        num_updates: Steps of Adam for each result; above 1 with clipped ratios (PPO).
        clip: Largest change of the ratio that is rewarded.
    """

    reproducible: ClassVar[Literal["exact", "platform"]] = "platform"

    def __init__(
        self,
        problem: Problem,
        rng: RunStreams,
        *,
        num_hidden: Annotated[int, Range(1)] = 32,
        learning_rate: Annotated[float, Range(above=0)] = 0.03,
        entropy_weight: Annotated[float, Range(0)] = 0.15,
        baseline_decay: Annotated[float, Range(0, below=1)] = 0.9,
        num_updates: Annotated[int, Range(1)] = 1,
        clip: Annotated[float, Range(above=0, below=1)] = 0.2,
    ) -> None:
        super().__init__(problem, rng)
        self.learning_rate, self.entropy_weight = learning_rate, entropy_weight
        self.baseline_decay, self.num_updates, self.clip = baseline_decay, num_updates, clip
        num_runs, num_choices = rng.num_runs, problem.space.num_choices
        self.num_hidden, self._num_decisions, self._width = num_hidden, len(num_choices), int(num_choices.max())
        self._impossible = np.where(np.arange(self._width) < num_choices[:, None], 0, -np.inf).astype(np.float32)
        # All parameters of a run are one row, so that Adam works on one array.
        self._shapes = (
            (self._width + 1, 4 * num_hidden),  # weights of the previous choice; the last row begins
            (num_hidden, 4 * num_hidden),  # weights of the hidden state
            (self._num_decisions, num_hidden, self._width),  # weights of the logits
        )
        size = sum(int(np.prod(shape)) for shape in self._shapes)
        self._parameters = ((2 * rng.uniform(size) - 1) * INITIAL_BOUND).astype(np.float32)
        self._first_moment, self._second_moment = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        self._gradients = np.zeros_like(self._parameters)  # kept, as fresh memory costs more than the arithmetic
        self._num_steps = np.zeros((num_runs, 1))
        self._last: Pass | None = None  # of all runs, with the present parameters
        self._baseline = np.full(num_runs, np.nan)  # NaN before the first result
        self._feasible_rewards = FeasibleRewards(num_runs)
        self._spread, self._num_rewards = np.zeros(num_runs), np.zeros(num_runs)
        self._samples = Notes(num_runs, (self._num_decisions,), np.int64)
        self._log_probability = Notes(num_runs, (), np.float64)

    def ask(self, idle: Bools) -> Proposals:
        """Sample the policy of every idle run."""
        space, runs = self.problem.space, np.flatnonzero(idle)
        samples, log_probability = self._draw(runs)
        found = space.from_choices(samples)
        for _ in range(MAX_REDRAWS):
            again = np.flatnonzero(found < 0)
            if not len(again):
                break
            samples[again], log_probability[again] = self._draw(runs[again])
            found[again] = space.from_choices(samples[again])
        else:
            again = np.flatnonzero(found < 0)
            found[again] = space.sample(self.rng, runs[again])
            samples[again] = space.choices(found[again])
            log_probability[again] = _log_probability(self._pass(runs[again], samples[again]))
        self._samples.add(runs, samples)
        self._log_probability.add(runs, log_probability)
        architectures = np.full(len(idle), -1)
        architectures[runs] = found
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Updates for every run with a finite reward; the first one only sets the baseline."""
        rewards = np.where(results.architectures >= 0, -results.losses, np.nan)
        rewards = self._feasible_rewards(rewards, results)
        samples, drawn = self._samples.take(results), self._log_probability.take(results)
        is_finite, is_first = np.isfinite(rewards), np.isnan(self._baseline)
        self._baseline[is_finite & is_first] = rewards[is_finite & is_first]
        runs = np.flatnonzero(is_finite & ~is_first)
        if not len(runs):
            return
        advantages = rewards[runs] - self._baseline[runs]
        self._baseline[runs] += (1 - self.baseline_decay) * advantages
        self._num_rewards[runs] += 1
        self._spread[runs] += (advantages**2 - self._spread[runs]) / self._num_rewards[runs]
        advantages /= np.sqrt(self._spread[runs]) + EPSILON
        for update in range(self.num_updates):
            self._step(runs, samples[runs], advantages, drawn[runs] if update else None)

    def _draw(self, runs: Ints) -> tuple[Ints, Floats]:
        """Choices (len(runs), num_decisions) and the logarithm of their probability (len(runs),)."""
        draws = self.rng.uniform(self._num_decisions, runs)
        passed = self._pass(runs, None, draws)
        self._last = passed if len(runs) == self.rng.num_runs else None
        return passed.samples.copy(), _log_probability(passed)

    def _pass(self, runs: Ints, samples: Ints | None, draws: Floats | None = None) -> Pass:
        """Run the LSTM over all decisions; samples that are given are followed, else drawn."""
        inputs, recurrent, outputs = self._views(self._rows(self._parameters, runs))
        n, steps, size = len(runs), self._num_decisions, self.num_hidden
        chosen = np.zeros((n, steps), dtype=np.int64) if samples is None else samples
        hidden = np.zeros((n, steps + 1, size), dtype=np.float32)
        cell = np.zeros_like(hidden)
        gates = np.empty((n, steps, 4 * size), dtype=np.float32)
        probabilities = np.empty((n, steps, self._width), dtype=np.float32)
        everyone, previous = np.arange(n), np.full(n, self._width)
        for step in range(steps):
            gate = gates[:, step]
            gate[:] = inputs[everyone, previous]
            if step:
                gate += np.matmul(hidden[:, step, None], recurrent)[:, 0]
            squash, candidate = gate[:, : 3 * size], gate[:, 3 * size :]
            # σ(x) = (1 + tanh(x/2)) / 2, which cannot overflow.
            squash *= 0.5
            np.tanh(gate, out=gate)
            squash += 1
            squash *= 0.5
            cell[:, step + 1] = gate[:, size : 2 * size] * cell[:, step] + gate[:, :size] * candidate
            hidden[:, step + 1] = gate[:, 2 * size : 3 * size] * np.tanh(cell[:, step + 1])
            logits = np.matmul(hidden[:, step + 1, None], outputs[:, step])[:, 0]
            logits += self._impossible[step]
            if self.problem.space.is_sparse:
                exists = self.problem.space.next_choices(chosen[:, :step])
                logits[:, : exists.shape[1]][~exists] = -np.inf
            logits -= logits.max(axis=1, keepdims=True)
            weights = np.exp(logits, out=logits)
            cumulative = weights.cumsum(axis=1)
            np.divide(weights, cumulative[:, -1:], out=probabilities[:, step])
            if draws is not None:
                chosen[:, step] = _drawn(weights, cumulative, draws[:, step])
            previous = chosen[:, step]
        return Pass(chosen, hidden, cell, gates, probabilities)

    def _step(
        self,
        runs: Ints,
        samples: Ints,
        advantages: Floats,
        drawn: Floats | None,
    ) -> None:
        """One step of Adam; ``drawn`` is the log-probability at the time of sampling, None if the ratio is 1."""
        passed = self._last
        if passed is None or len(runs) < self.rng.num_runs or (samples != passed.samples).any():
            passed = self._pass(runs, samples)
        self._last = None
        if drawn is not None:
            ratio = np.exp(_log_probability(passed) - drawn)
            is_clipped = np.where(advantages > 0, ratio > 1 + self.clip, ratio < 1 - self.clip)
            advantages = np.where(is_clipped, 0.0, advantages * ratio)
        gradient = self._gradient(runs, passed, advantages.astype(np.float32))
        self._num_steps[runs] += 1
        first = 1 / (1 - FIRST_DECAY ** self._num_steps[runs])
        second = 1 / (1 - SECOND_DECAY ** self._num_steps[runs])
        # lr · m̂ / (√v̂ + ε), with the corrections of both moments moved to the rate and to ε.
        rate = (self.learning_rate * first / np.sqrt(second)).astype(np.float32)
        epsilon = (EPSILON / np.sqrt(second)).astype(np.float32)
        for start in range(0, len(runs), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            rows = part if len(runs) == self.rng.num_runs else runs[part]
            self._adam(rows, gradient[part], rate[part], epsilon[part])

    def _adam(self, rows: Ints | slice, gradient: Array, rate: Array, epsilon: Array) -> None:
        """Move some rows of the parameters; the gradient is overwritten."""
        moment, square = self._first_moment[rows], self._second_moment[rows]
        # β · old + (1 − β) · new = β · (old − new) + new, without further memory
        moment -= gradient
        moment *= FIRST_DECAY
        moment += gradient
        gradient *= gradient
        square -= gradient
        square *= SECOND_DECAY
        square += gradient
        np.sqrt(square, out=gradient)
        gradient += epsilon
        np.divide(moment, gradient, out=gradient)
        gradient *= rate
        self._parameters[rows] -= gradient
        if not isinstance(rows, slice):  # copies
            self._first_moment[rows], self._second_moment[rows] = moment, square

    def _gradient(self, runs: Ints, passed: Pass, advantages: Array) -> Array:
        """Gradient of −A · log p(sample) − ``entropy_weight`` · entropy, shape (len(runs), number of parameters)."""
        _, recurrent, outputs = self._views(self._rows(self._parameters, runs))
        n, steps, size = len(runs), self._num_decisions, self.num_hidden
        gradient = self._gradients[:n]
        of_inputs, of_recurrent, of_outputs = self._views(gradient)
        of_inputs[:] = 0
        everyone = np.arange(n)
        of_logits = self._of_logits(passed, advantages)
        of_hidden = np.matmul(outputs, of_logits[..., None])[..., 0]  # (n, steps, size), from the logits alone
        np.multiply(passed.hidden[:, 1:, :, None], of_logits[:, :, None], out=of_outputs)
        of_gates = np.empty_like(passed.gates)
        transposed = recurrent.transpose(0, 2, 1)
        of_cell = np.zeros((n, size), dtype=np.float32)
        squashed = np.tanh(passed.cell[:, 1:])
        slope = passed.gates[:, :, 2 * size : 3 * size] * (1 - squashed**2)
        derivative = self._derivatives(passed, squashed)
        for step in reversed(range(steps)):
            of_state = of_hidden[:, step]
            if step + 1 < steps:
                of_state += np.matmul(of_gates[:, step + 1, None], transposed)[:, 0]
            gate = of_gates[:, step].reshape(n, 4, size)
            of_cell += of_state * slope[:, step]
            gate[:] = of_cell[:, None]
            gate[:, 2] = of_state
            gate *= derivative[:, step]
            of_inputs[everyone, passed.samples[:, step - 1] if step else self._width] += of_gates[:, step]
            of_cell *= passed.gates[:, step, size : 2 * size]
        np.matmul(passed.hidden[:, :-1].transpose(0, 2, 1), of_gates, out=of_recurrent)
        return gradient

    def _derivatives(self, passed: Pass, squashed: Array) -> Array:
        """Derivative of the cell (of the hidden state, for the output gate) by each gate's input."""
        n, steps, size = len(passed.samples), self._num_decisions, self.num_hidden
        gates = passed.gates.reshape(n, steps, 4, size)
        derivative = gates * (1 - gates)
        derivative[:, :, 3] = 1 - gates[:, :, 3] ** 2
        derivative[:, :, 0] *= gates[:, :, 3]
        derivative[:, :, 1] *= passed.cell[:, :-1]
        derivative[:, :, 2] *= squashed
        derivative[:, :, 3] *= gates[:, :, 0]
        return derivative

    def _of_logits(self, passed: Pass, advantages: Array) -> Array:
        """Gradient by the logits, shape (n, num_decisions, largest number of choices)."""
        p, n = passed.probabilities, len(passed.samples)
        gradient: Array = p * advantages[:, None, None]
        gradient[np.arange(n)[:, None], np.arange(self._num_decisions), passed.samples] -= advantages[:, None]
        if self.entropy_weight:
            logarithm = np.log(np.maximum(p, np.finfo(np.float32).tiny))
            entropy = -(p * logarithm).sum(axis=2, keepdims=True)
            gradient += np.float32(self.entropy_weight) * p * (logarithm + entropy)
        return gradient

    def _views(self, rows: Array) -> list[Array]:
        """Weights of inputs, hidden state and logits of some rows of parameters, without a copy."""
        views, start = [], 0
        for shape in self._shapes:
            end = start + int(np.prod(shape))
            views.append(rows[:, start:end].reshape(len(rows), *shape))
            start = end
        return views

    def _rows(self, array: Array, runs: Ints) -> Array:
        """The rows of some runs; no copy if they are all."""
        return array if len(runs) == self.rng.num_runs else array[runs]


def _log_probability(passed: Pass) -> Floats:
    chosen = np.take_along_axis(passed.probabilities, passed.samples[..., None], axis=2)[..., 0]
    logarithm: Floats = np.log(np.maximum(chosen, np.finfo(np.float32).tiny), dtype=np.float64)
    total: Floats = logarithm.sum(axis=1)
    return total


def _drawn(weights: Array, cumulative: Array, draws: Floats) -> Ints:
    """A choice of each run; one without weight is never chosen."""
    below: Ints = (cumulative <= draws[:, None] * cumulative[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
    chosen: Ints = np.minimum(below, last)
    return chosen
