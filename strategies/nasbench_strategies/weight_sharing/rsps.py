"""RSPS, random search with parameter sharing: train uniform cells, then judge random ones with the shared weights.

Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019, in the form of the code
published with NAS-Bench-201 (ICLR 2020) and NATS-Bench (TPAMI 2021).

    repeat for each batch: draw a uniform cell; one step of its weights on the first half
    judge 100 random cells on images of the second half; return the most accurate

Deviations: those of all six methods (docs/weight-sharing.md). A judgment costs the passes that it makes. Under
``demo-cpu`` all candidates are judged on the same images and every tenth epoch only; the official presets judge each on
a batch of its own (``judging``). The code of 2021 draws a node's edges again if all are none; here such nodes stay. The
cell of the last epoch is returned.

Reference: 80.42 / 84.07 % (published validation and test accuracy on CIFAR-10, 250 epochs, mean of 3 runs); this
package has not repeated the official setting, which is made for a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nasbench_harness import Needs, Problem, ProgressGenerator, RunStream, declare
from nasbench_harness.trainer.supernet import random_cell
from nasbench_strategies._models.weight_sharing.method import Cell, Judging
from nasbench_strategies._models.weight_sharing.search import checked, search


class RandomSharing(Judging):
    """Uniform sampling in training and in judging."""

    name: ClassVar[str] = "rsps"

    def train_epoch(self, epoch: int) -> None:
        """One step of the weights for each batch, by a uniform cell or by one for each place of the network."""
        rng, num_places = self.shared.sampling(epoch), self.shared.network.num_super_cells
        for step in self.shared.steps(epoch):
            if self.settings.draw_per_cell:
                self.shared.step_weights(step.weights, step.rate, [random_cell(rng) for _ in range(num_places)])
            else:
                self.shared.step_weights(step.weights, step.rate, random_cell(rng))

    def candidates(self, epoch: int) -> list[Cell]:
        """Uniform cells."""
        rng = self.shared.candidates(epoch)
        return [random_cell(rng) for _ in range(self.settings.num_judged)]

    def state(self) -> dict[str, Any]:
        """Nothing besides the weights."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore."""


@declare(needs=Needs(torch=True, training_data=True), max_runs=1, reproducible="platform")
@checked(RandomSharing)
def rsps(
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
    return (yield from search(problem, rng, RandomSharing, preset, cost_model, epochs=epochs, judging=judging))
