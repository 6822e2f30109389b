"""ENAS: a recurrent controller samples cells, and learns from their accuracy with the shared weights.

Pham, Guan, Zoph, Le and Dean, "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018, in the form of
the code published with NAS-Bench-201 (ICLR 2020) and NATS-Bench (TPAMI 2021).

    repeat for each epoch: train the weights of sampled cells, a new one for each batch of the first half
                           update the controller: 50 times 20 samples, a batch of the second half each
                               reward r = accuracy + 1e-4 · entropy; REINFORCE with baseline b, gradient at most 5
    judge 100 sampled cells on images of the second half; return the most accurate

Deviations: those of all six methods (docs/weight-sharing.md).

- Baseline: with ``baseline="frozen"``, as in the published code of 2020, an epoch's samples are compared with the last
  baseline of the epoch before, which each moves by a hundredth of its own reward. In the first epoch each is compared
  with its own accuracy, so only the entropy teaches. The code of 2021 keeps an epoch's mean baseline instead of its
  last. With ``moving`` a sample is compared with the mean of earlier rewards, whose older ones fade.
- Reward: the entropy in it has no gradient of its own; in the published code it has one. The images are drawn with
  replacement and not augmented; the published code goes through the half, that of 2020 with augmented images.
- Judging: the code of 2020 judges 10 cells in each epoch and 100 after the last, on 128 augmented images each. The
  official presets judge 100 on 512 plain images in each epoch.
- Controller: all initial values are within ±.1, and a layer has one bias. The published code leaves the biases and the
  second layer as torch draws them, and has two biases for each layer.
- Under ``demo-cpu`` the baseline moves, a controller has 20 updates per epoch, and judging is that of ``rsps``.

The cell of the last epoch is returned.

Reference: 37.51 / 53.89 % (published validation and test accuracy on CIFAR-10, 250 epochs, mean of 3 runs); this
package has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_harness.trainer.supernet import Adam, Controller, SharedWeights
from nasbench_strategies._models.weight_sharing.method import Cell, Judging
from nasbench_strategies._models.weight_sharing.search import checked, search

ENTROPY_WEIGHT, BASELINE_DECAY, CLIP = 1e-4, 0.99, 5.0


class Baseline:
    """The reward that a sample is compared with.

    Args:
        is_frozen: As in the published code: only the epoch's last reward moves the baseline, and a sample is compared
            with the baseline that its own reward would make. Else each reward moves it after its comparison.
    """

    def __init__(self, is_frozen: bool) -> None:
        self.is_frozen = is_frozen
        self.value: float | None = None
        self._next: float | None = None

    def advantage(self, accuracy: float, reward: float) -> float:
        """Reward less baseline of one sample."""
        if self.is_frozen:
            self._next = accuracy if self.value is None else self._moved(self.value, reward)
            return reward - self._next
        before = reward if self.value is None else self.value  # the first sample has nothing to be compared with
        self.value = self._moved(before, reward)
        return reward - before

    def end_epoch(self) -> None:
        """The epoch's last baseline is compared with from now on."""
        if self.is_frozen:
            self.value = self._next

    @staticmethod
    def _moved(before: float, reward: float) -> float:
        return before - (1 - BASELINE_DECAY) * (before - reward)


class ControllerSearch(Judging):
    """Cells sampled by the controller, in training and in judging."""

    name: ClassVar[str] = "enas"

    def __init__(self, shared: SharedWeights) -> None:
        super().__init__(shared)
        self.controller = Controller(shared.seed).to(device=shared.device, dtype=shared.dtype)
        self.optimizer = Adam.of(dict(self.controller.named_parameters()), self.settings)
        self.baseline = Baseline(self.settings.baseline == "frozen")

    def train_epoch(self, epoch: int) -> None:
        """Train the weights, then the controller."""
        rng = self.shared.sampling(epoch)
        for step in self.shared.steps(epoch):
            (cell,) = self.sampled(1, rng)
            self.shared.step_weights(step.weights, step.rate, cell)
        for _ in range(self.settings.controller_updates):
            self.update_controller(rng)
        self.baseline.end_epoch()

    def update_controller(self, rng: np.random.Generator) -> None:
        """One update by the mean of ``controller_samples`` samples."""
        settings = self.settings
        sampled = self.controller.sample(rng.random((settings.controller_samples, self.controller.num_edges)))
        advantages = []
        for cell, entropy in zip(sampled.choices.tolist(), sampled.entropy.tolist(), strict=True):
            positions = rng.integers(self.shared.selection_half.num_images, size=settings.reward_images)
            shares = self.shared.accuracies([cell], lambda _, chosen=positions: chosen, settings.reward_images)
            accuracy = float(shares[0])
            advantages.append(self.baseline.advantage(accuracy, accuracy + ENTROPY_WEIGHT * entropy))
        weights = torch.tensor(advantages, dtype=self.shared.dtype, device=self.shared.device)
        (-sampled.log_probability * weights).mean().backward()
        self.optimizer.step(CLIP)

    def candidates(self, epoch: int) -> list[Cell]:
        """Cells that the controller samples now."""
        return self.sampled(self.settings.num_judged, self.shared.candidates(epoch))

    def sampled(self, number: int, rng: np.random.Generator) -> list[Cell]:
        """Cells of the controller."""
        with torch.no_grad():
            choices = self.controller.sample(rng.random((number, self.controller.num_edges))).choices
        return [tuple(cell) for cell in choices.tolist()]

    def state(self) -> dict[str, Any]:
        """Controller, its moments and the baseline."""
        return {
            "controller": self.controller.state_dict(),
            "adam": self.optimizer.state(),
            "baseline": self.baseline.value,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.controller.load_state_dict(state["controller"])
        self.optimizer.restore(state["adam"])
        self.baseline.value = state["baseline"]


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(ControllerSearch)
def enas(
    problem: Problem,
    rng: RunStream,
    *,
    preset: str = "demo-cpu",
    epochs: int = 0,
    cost_model: str = "table-linear",
    judging: str = "",
    baseline: str = "",
) -> ProgressGenerator:
    """One run.

    Args:
        problem: The search view; its training data are the two halves.
        rng: The run's stream.
        preset: ``demo-cpu``, or ``nb201-official`` or ``nats-official``, which are made for a GPU.
        epochs: Epochs of the search; 0: the preset's.
        cost_model: ``table-linear`` or ``published``.
        judging: Candidates see the ``same`` images or a ``different`` batch each; empty: the preset's choice.
        baseline: ``frozen`` or ``moving``; empty: the preset's choice.
    """
    changes = {"epochs": epochs, "judging": judging, "baseline": baseline}
    return (yield from search(problem, rng, ControllerSearch, preset, cost_model, **changes))
