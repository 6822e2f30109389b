"""The shared weights in training: one supernet, the optimizer of its weights, and the two halves of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.training_data import TrainingData
from nasbench_harness.trainer.loop.devices import stated_arithmetic, torch_device
from nasbench_harness.trainer.supernet.images import Batch, Half
from nasbench_harness.trainer.supernet.network import NUM_EDGES, NUM_OPERATIONS, Choices, Supernet
from nasbench_harness.trainer.supernet.optimizers import WeightOptimizer
from nasbench_harness.trainer.supernet.settings import Settings

# Purposes of an epoch's random draws: each has a stream of its own, so that one more draw changes nothing else.
_ORDER, _SAMPLING, _CANDIDATES, _JUDGING, _ALPHA, _WEIGHTS = range(6)


class Step(NamedTuple):
    """One step of an epoch.

    Attributes:
        weights: Batch of the half that trains weights.
        selection: Batch of the other half, of the same size, drawn with replacement.
        rate: Learning rate of the weights.
    """

    weights: Batch
    selection: Batch
    rate: float


class SharedWeights:
    """A supernet in training.

    Args:
        data: The two halves.
        settings: All values of the search.
        seed: Seed of all draws.
        device: ``auto`` (cuda if there is one, else cpu) or a device's name.
        dtype: Precision.

    Attributes:
        network: The supernet.
        optimizer: Of its weights.
        weight_half: Images that train the weights.
        selection_half: Images that choose the architecture.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: Settings,
        seed: int,
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.settings, self.seed, self.device, self.dtype = settings, seed, torch_device(device), dtype
        halves = ((data.weight_images, data.weight_labels), (data.selection_images, data.selection_labels))
        self.weight_half, self.selection_half = (
            Half(images, labels, data, settings, self.device, dtype) for images, labels in halves
        )
        initial = int(self.generator(-1, _WEIGHTS).integers(2**62))
        is_running = settings.normalization == "running"
        self.network = Supernet(
            settings.num_cells, settings.channels, data.channels, data.num_classes, is_running, initial
        )
        self.network.to(device=self.device, dtype=dtype, memory_format=torch.channels_last)
        self.optimizer = WeightOptimizer(dict(self.network.named_parameters()), settings)
        self.steps_per_epoch = -(-self.weight_half.num_images // settings.batch_size)

    def arithmetic(self) -> AbstractContextManager[None]:
        """One thread on a CPU, full float32 on a GPU; all settings are put back at the end."""
        return stated_arithmetic(self.device)

    def generator(self, epoch: int, purpose: int) -> np.random.Generator:
        """Draws of one purpose in one epoch; they depend on the seed, not on what was drawn before."""
        return np.random.default_rng([self.seed, epoch + 1, purpose])

    def sampling(self, epoch: int) -> np.random.Generator:
        """Draws of the architectures that an epoch trains."""
        return self.generator(epoch, _SAMPLING)

    def candidates(self, epoch: int) -> np.random.Generator:
        """Draws of the cells that are judged after an epoch."""
        return self.generator(epoch, _CANDIDATES)

    def initial_alpha(self) -> Tensor:
        """Architecture parameters: 1e-3 times standard normal draws, shape (6, 5), shared by all cells."""
        drawn = 1e-3 * self.generator(-1, _ALPHA).standard_normal((NUM_EDGES, NUM_OPERATIONS))
        return torch.tensor(drawn, dtype=self.dtype, device=self.device, requires_grad=True)

    def steps(self, epoch: int) -> Iterator[Step]:
        """The steps of an epoch: every image of the first half once, in a new order; the last batch may be smaller."""
        settings, rng = self.settings, self.generator(epoch, _ORDER)
        order = rng.permutation(self.weight_half.num_images)
        self.network.train()
        for step in range(self.steps_per_epoch):
            positions = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            others = rng.integers(self.selection_half.num_images, size=len(positions))
            rate = settings.rate(epoch * self.steps_per_epoch + step, self.steps_per_epoch)
            yield Step(self.weight_half.batch(positions, rng), self.selection_half.batch(others, rng), rate)

    def loss(
        self, batch: Batch, choices: Choices | Sequence[Choices] | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Mean cross-entropy of a batch (arguments: see ``Supernet.forward``)."""
        return functional.cross_entropy(self.network(batch.images, choices, weights), batch.labels)

    def step_weights(
        self,
        batch: Batch,
        rate: float,
        choices: Choices | Sequence[Choices] | None = None,
        weights: Tensor | None = None,
    ) -> None:
        """One step of the weights on a batch of the first half; the architecture stays."""
        fixed = None if weights is None else weights.detach()
        self.loss(batch, choices, fixed).backward()
        self.optimizer.step(rate)

    def architecture_gradient(self, alpha: Tensor, loss: Tensor) -> None:
        """Gradient of a loss with respect to the architecture only, as ``alpha.grad``; no weight gets one."""
        (gradient,) = torch.autograd.grad(loss, [alpha])
        alpha.grad = gradient

    @torch.no_grad()
    def accuracies(self, cells: Sequence[Choices], images_of: Callable[[int], Ints], batch_size: int) -> Floats:
        """Share of correct images of each cell with the shared weights, shape (num_cells,); nothing is changed.

        Args:
            cells: The cells.
            images_of: Positions in the second half of the images that a cell, by its position, is judged on.
            batch_size: Images of one pass.
        """
        was_training = self.network.training
        self.network.eval()
        shares = np.zeros(len(cells))
        for position, cell in enumerate(cells):
            correct, total = 0, 0
            for images, labels in self.selection_half.plain_batches(images_of(position), batch_size):
                correct += int((self.network(images, cell).argmax(1) == labels).sum())
                total += len(labels)
            shares[position] = correct / total
        self.network.train(was_training)
        return shares

    def judged(self, cells: Sequence[Choices], epoch: int) -> Floats:
        """Accuracies of candidates after an epoch, on the same images for all or on a different batch each."""
        settings, rng = self.settings, self.generator(epoch, _JUDGING)
        available = self.selection_half.num_images
        size = min(settings.judged_images, available)
        if settings.judging == "same":
            positions = [rng.permutation(available)[:size]] * len(cells)
        else:
            # One batch after the other of a shuffled half, which begins again when it is used up.
            num_passes = -(-size * len(cells) // available)
            shuffled = np.concatenate([rng.permutation(available) for _ in range(num_passes)])
            positions = [shuffled[size * number : size * (number + 1)] for number in range(len(cells))]
        return self.accuracies(cells, positions.__getitem__, size)

    def state(self) -> dict[str, Any]:
        """Weights, statistics and momenta."""
        return {"network": self.network.state_dict(), "momenta": self.optimizer.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.restore(state["momenta"])


def random_cell(rng: np.random.Generator) -> tuple[int, ...]:
    """A uniform cell: one of the five operations on each of the six edges."""
    return tuple(rng.integers(NUM_OPERATIONS, size=NUM_EDGES).tolist())
