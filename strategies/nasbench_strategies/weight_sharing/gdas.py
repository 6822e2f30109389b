"""GDAS: one sampled operation on each edge, with a Gumbel softmax that passes the gradient straight through.

Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR 2019, in the form of the code
published with NAS-Bench-201 (ICLR 2020) and NATS-Bench (TPAMI 2021).

    p = softmax((log softmax α + Gumbel noise) / τ); the cell is argmax p; τ falls from 10 to .1 in equal steps
    repeat for each batch: one step of the weights of a sampled cell on the first half
                           one step of α by another sampled cell on a batch of the second half
    the cell: the operation with the largest α on each edge

Deviations: those of all six methods (docs/weight-sharing.md). ``gradient="paper"`` gives the operations that were not
sampled their own gradient, and pays a joint pass for it. The default is the published code's (see
``Settings.gradient``). The cell of the last epoch is returned.

Reference: 89.89 / 93.61 % (published validation and test accuracy on CIFAR-10, 250 epochs, mean of 3 runs); this
package has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_strategies._models.weight_sharing.alpha import AlphaMethod
from nasbench_strategies._models.weight_sharing.method import Cell
from nasbench_strategies._models.weight_sharing.search import checked, search

FIRST_TEMPERATURE, LAST_TEMPERATURE = 10.0, 0.1


class SampledCell(NamedTuple):
    """A sampled cell and its one-hot weights (6, 5), whose gradient is that of the relaxed sample."""

    choices: Cell
    weights: Tensor


def temperature(epoch: int, num_epochs: int) -> float:
    """τ of an epoch, counted from 0: from 10 to .1 in equal steps; 10 if there is one epoch only."""
    share = epoch / (num_epochs - 1) if num_epochs > 1 else 0.0
    return FIRST_TEMPERATURE + (LAST_TEMPERATURE - FIRST_TEMPERATURE) * share


def gumbel_noise(uniforms: np.ndarray) -> np.ndarray:
    """Standard Gumbel draws of uniform ones in [0, 1); finite for 0 too."""
    noise: np.ndarray = -np.log(-np.log(np.maximum(uniforms, 2.0**-54)))
    return noise


def sample_cell(logits: Tensor, tau: float, rng: np.random.Generator) -> SampledCell:
    """One sample of a cell; takes one draw for each operation of each edge.

    Args:
        logits: α, shape (6, 5).
        tau: Temperature.
        rng: Source of the noise.
    """
    noise = torch.tensor(gumbel_noise(rng.random(tuple(logits.shape))), dtype=logits.dtype, device=logits.device)
    relaxed = ((logits.log_softmax(1) + noise) / tau).softmax(1)
    chosen = relaxed.detach().argmax(1)
    one_hot = torch.zeros_like(relaxed).scatter_(1, chosen[:, None], 1.0)
    # The difference is exactly zero, so that the forward pass is that of the hard cell to the last bit.
    return SampledCell(tuple(chosen.tolist()), one_hot + (relaxed - relaxed.detach()))


class GumbelSearch(AlphaMethod):
    """Alternating steps of weights and α, each by a cell of its own."""

    name: ClassVar[str] = "gdas"

    def train_epoch(self, epoch: int) -> None:
        """For each batch, a step of the weights, then a step of α."""
        tau, rng = temperature(epoch, self.settings.epochs), self.shared.sampling(epoch)
        for step in self.shared.steps(epoch):
            with torch.no_grad():
                trained = sample_cell(self.logits, tau, rng)
            self.shared.step_weights(step.weights, step.rate, trained.choices)
            drawn = sample_cell(self.logits, tau, rng)
            # Without choices the network computes all operations, and each factor has its own gradient.
            choices = drawn.choices if self.settings.gradient == "official" else None
            loss = self.shared.loss(step.selection, choices, drawn.weights)
            self.shared.architecture_gradient(self.logits, loss)
            self.optimizer.step()


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(GumbelSearch)
def gdas(
    problem: Problem,
    rng: RunStream,
    *,
    preset: str = "demo-cpu",
    epochs: int = 0,
    cost_model: str = "table-linear",
    gradient: str = "",
) -> ProgressGenerator:
    """One run.

    Args:
        problem: The search view; its training data are the two halves.
        rng: The run's stream.
        preset: ``demo-cpu``, or ``nb201-official`` or ``nats-official``, which are made for a GPU.
        epochs: Epochs of the search; 0: the preset's.
        cost_model: ``table-linear`` or ``published``.
        gradient: ``official`` or ``paper``; empty: the preset's.
    """
    return (yield from search(problem, rng, GumbelSearch, preset, cost_model, epochs=epochs, gradient=gradient))
