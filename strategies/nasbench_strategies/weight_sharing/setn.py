"""SETN: uniform cells train the weights, a joint pass trains α, and the most probable cells are judged.

Dong and Yang, "One-Shot Neural Architecture Search via Self-Evaluated Template Network", ICCV 2019, in the form of the
code published with NAS-Bench-201 (ICLR 2020) and NATS-Bench (TPAMI 2021).

    repeat for each batch: one step of the weights of a uniform cell on the first half
                           one step of α on a batch of the second half, through the sum of all operations
    judge the 100 cells with the largest probability under softmax(α) on images of the second half; return the best

Deviations: those of all six methods (docs/weight-sharing.md). A judgment costs the passes that it makes; see ``rsps``
for the images. The cell of the last epoch is returned.

Reference: 84.04 / 87.64 % (published validation and test accuracy on CIFAR-10, 250 epochs, mean of 3 runs); this
package has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_harness.trainer.supernet import random_cell
from nasbench_strategies._models.weight_sharing.alpha import AlphaMethod
from nasbench_strategies._models.weight_sharing.method import Cell, Judging
from nasbench_strategies._models.weight_sharing.search import checked, search


def most_probable(probabilities: list[list[float]], number: int) -> list[Cell]:
    """Cells of the largest product of their operations' probabilities, in falling order.

    Args:
        probabilities: Of each operation on each edge, shape (num_edges, num_operations).
        number: Number of cells.
    """
    logarithms = np.log(np.maximum(np.array(probabilities), 1e-300))
    sums = np.zeros(1)
    for edge in logarithms:
        sums = (sums[:, None] + edge).ravel()
    cells = list(product(range(logarithms.shape[1]), repeat=len(logarithms)))
    return [cells[position] for position in np.argsort(-sums, kind="stable")[:number].tolist()]


class TemplateNetwork(Judging, AlphaMethod):
    """Uniform paths for the weights, the sum of all operations for α."""

    name: ClassVar[str] = "setn"

    def train_epoch(self, epoch: int) -> None:
        """For each batch, a step of the weights, then a step of α."""
        rng = self.shared.sampling(epoch)
        for step in self.shared.steps(epoch):
            self.shared.step_weights(step.weights, step.rate, random_cell(rng))
            loss = self.shared.loss(step.selection, weights=self.logits.softmax(1))
            self.shared.architecture_gradient(self.logits, loss)
            self.optimizer.step()

    def candidates(self, epoch: int) -> list[Cell]:  # noqa: ARG002 - other methods draw
        """The most probable cells."""
        return most_probable(self.alpha(), self.settings.num_judged)


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(TemplateNetwork)
def setn(
    problem: Problem,
    rng: RunStream,
    *,
    preset: str = "demo-cpu",
    epochs: int = 0,
    cost_model: str = "table-linear",
    judging: str = "",
) -> ProgressGenerator:
    """One run.

    Args:
        problem: The search view; its training data are the two halves.
        rng: The run's stream.
        preset: ``demo-cpu``, or ``nb201-official`` or ``nats-official``, which are made for a GPU.
        epochs: Epochs of the search; 0: the preset's.
        cost_model: ``table-linear`` or ``published``.
        judging: Candidates see the ``same`` images or a ``different`` batch each; empty: the preset's choice.
    """
    return (yield from search(problem, rng, TemplateNetwork, preset, cost_model, epochs=epochs, judging=judging))
