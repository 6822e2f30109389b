"""DARTS, first order: a weighted sum of all operations, whose weights follow the gradient on held-out images.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, in the form of Dong and Yang,
"NAS-Bench-201", ICLR 2020 (``nb201-official``) and Dong et al., "NATS-Bench", TPAMI 2021 (``nats-official``).

    α is (6 edges × 5 operations), 1e-3 times normal draws, shared by all cells
    repeat for each batch: one step of the weights on the first half, mixed by softmax(α)
                           one step of α on a batch of the second half
    the cell: the operation with the largest α on each edge, none included

Deviations: those of all six methods (docs/weight-sharing.md). The cell of the last epoch is returned.

Reference: 39.77 / 54.30 % (published validation and test accuracy on CIFAR-10, 50 epochs, mean of 3 runs); this package
has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from typing import ClassVar

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_strategies._models.weight_sharing.alpha import AlphaMethod
from nasbench_strategies._models.weight_sharing.search import checked, search


class FirstOrder(AlphaMethod):
    """Alternating gradient steps of weights and α, both through the sum of all operations."""

    name: ClassVar[str] = "darts-first"

    def train_epoch(self, epoch: int) -> None:
        """For each batch, a step of the weights, then a step of α."""
        for step in self.shared.steps(epoch):
            self.shared.step_weights(step.weights, step.rate, weights=self.logits.softmax(1))
            loss = self.shared.loss(step.selection, weights=self.logits.softmax(1))
            self.shared.architecture_gradient(self.logits, loss)
            self.optimizer.step()


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(FirstOrder)
def darts_first(
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
    return (yield from search(problem, rng, FirstOrder, preset, cost_model, epochs=epochs))
