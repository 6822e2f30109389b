"""DARTS, second order: the gradient of α looks one step of the weights ahead.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, in the form of Dong and Yang,
"NAS-Bench-201", ICLR 2020 (``nb201-official``) and Dong et al., "NATS-Bench", TPAMI 2021 (``nats-official``).

    w' = w − ξ (μ · momentum + ∇w L_train(w) + decay · w), with the learning rate ξ of the step
    v = ∇w' L_valid(w'), ε = .01 / ‖v‖
    ∇α = ∇α L_valid(w') − ξ (∇α L_train(w + ε v) − ∇α L_train(w − ε v)) / (2 ε)
    everything else as in ``darts-first``

Deviations: those of all six methods (docs/weight-sharing.md). The weights are put back from a copy after the step of α,
to the last bit; the published code adds and subtracts. The cell of the last epoch is returned.

Reference: 39.77 / 54.30 % (published validation and test accuracy on CIFAR-10, 50 epochs, mean of 3 runs); this package
has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_harness.trainer.supernet import Step
from nasbench_strategies._models.weight_sharing.alpha import AlphaMethod
from nasbench_strategies._models.weight_sharing.search import checked, search

RADIUS = 0.01  # of the finite difference, in units of 1 / ‖v‖


class SecondOrder(AlphaMethod):
    """Alternating steps of weights and α, where the step of α unrolls one step of the weights."""

    name: ClassVar[str] = "darts-second"

    def train_epoch(self, epoch: int) -> None:
        """For each batch, a step of α and a step of the weights, in the order of the preset."""
        for step in self.shared.steps(epoch):
            if self.settings.alpha_first:
                self.step_alpha(step)
            self.shared.step_weights(step.weights, step.rate, weights=self.logits.softmax(1))
            if not self.settings.alpha_first:
                self.step_alpha(step)

    def step_alpha(self, step: Step) -> None:
        """One step of α; the weights and their momenta stay."""
        self.logits.grad = self.unrolled_gradient(step)
        self.optimizer.step()

    def unrolled_gradient(self, step: Step) -> Tensor:
        """∇α of the validation loss after one step of the weights, shape (6, 5)."""
        shared, settings, rate = self.shared, self.settings, step.rate
        weights = list(shared.network.parameters())
        momenta = [shared.optimizer.momenta.get(name) for name in shared.optimizer.parameters]
        copies = [weight.detach().clone() for weight in weights]
        try:
            gradients = torch.autograd.grad(
                shared.loss(step.weights, weights=self.logits.softmax(1)), weights, materialize_grads=True
            )
            with torch.no_grad():
                for weight, gradient, momentum in zip(weights, gradients, momenta, strict=True):
                    change = gradient + settings.weight_decay * weight
                    if momentum is not None:
                        change = change + settings.momentum * momentum
                    weight.sub_(rate * change)
            statistics = [buffer.clone() for buffer in shared.network.buffers()]
            loss = shared.loss(step.selection, weights=self.logits.softmax(1))
            direct, *direction = torch.autograd.grad(loss, [self.logits, *weights], materialize_grads=True)
            for buffer, kept in zip(shared.network.buffers(), statistics, strict=True):  # w' is a network of its own
                buffer.copy_(kept)
            norm = torch.stack([part.norm() for part in direction]).norm()
            if not norm:
                return direct
            radius = RADIUS / norm
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    for weight, copy, part in zip(weights, copies, direction, strict=True):
                        weight.copy_(copy + sign * radius * part)
                end = shared.loss(step.weights, weights=self.logits.softmax(1))
                ends.append(torch.autograd.grad(end, [self.logits])[0])
            return direct - rate * (ends[0] - ends[1]) / (2 * radius)
        finally:
            with torch.no_grad():
                for weight, copy in zip(weights, copies, strict=True):
                    weight.copy_(copy)


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(SecondOrder)
def darts_second(
    problem: Problem,
    rng: RunStream,
    *,
    preset: str = "demo-cpu",
    epochs: int = 0,
    cost_model: str = "table-linear",
) -> ProgressGenerator:
    """One run.

    Args:
        problem: The search view; its training data are the two halves.
        rng: The run's stream.
        preset: ``demo-cpu``, or ``nb201-official`` or ``nats-official``, which are made for a GPU.
        epochs: Epochs of the search; 0: the preset's.
        cost_model: ``table-linear`` or ``published``.
    """
    return (yield from search(problem, rng, SecondOrder, preset, cost_model, epochs=epochs))
