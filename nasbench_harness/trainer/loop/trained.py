"""Networks after training, and the only way to measure them on the sealed test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer.data.batches import plain_batches
from nasbench_harness.trainer.loop.devices import stated_arithmetic, torch_device
from nasbench_harness.trainer.networks.network import Network, count_correct
from nasbench_harness.trainer.networks.structure import Structure

if TYPE_CHECKING:
    from nasbench_harness.trainer.data.images import SealedTest
    from nasbench_harness.trainer.loop.training import TrainingResult


@dataclass(frozen=True, eq=False)
class TrainedStack:
    """The networks of a stack of seeds, in memory of the CPU.

    Attributes:
        structure: Structure of each network.
        seeds: Training seed of each group.
        state: Parameters and running statistics.
        mean: Mean of each channel, as the images were normalized for training.
        std: The same.
    """

    structure: Structure
    seeds: tuple[int, ...]
    state: Mapping[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def network(self, device: torch.device) -> Network:
        """The stack as one network on a device."""
        network = Network(self.structure, self.seeds)
        network.load_state_dict(dict(self.state))
        return network.to(device=device, memory_format=torch.channels_last)


def evaluate_sealed(results: Sequence[TrainingResult], sealed: SealedTest, device: str = "auto") -> list[float]:
    """Accuracy in percent of trained networks on the sealed test part; for reports, never for selecting.

    Args:
        results: Of trainings with ``keep_networks``.
        sealed: The test part, named explicitly: training cannot reach it.
        device: As for ``train``.

    Returns:
        One accuracy per result; chance if the training diverged.

    Raises:
        InvalidInputError: There is no test part, a network was not kept, or the device cannot be used.
    """
    images, labels = sealed.open()
    chosen = torch_device(device)
    images, labels = images.permute(0, 2, 3, 1).contiguous().to(chosen), labels.to(chosen)
    stacks = {id(result.network): result.network for result in results}
    with stated_arithmetic(chosen):
        correct = {key: _correct(stack, images, labels) for key, stack in stacks.items()}
    accuracies = []
    for result in results:
        stack = stacks[id(result.network)]
        share = correct[id(stack)][stack.seeds.index(result.seed)] / len(labels) if stack else 0.0
        accuracies.append(100 / stack.structure.num_classes if result.diverged and stack else 100 * share)
    return accuracies


def _correct(stack: TrainedStack | None, images: Tensor, labels: Tensor) -> list[int]:
    if stack is None:
        raise InvalidInputError("these networks were not kept: train with keep_networks=True")
    mean, std = (torch.tensor(values, device=labels.device) for values in (stack.mean, stack.std))
    network = stack.network(labels.device)
    counts: list[int] = count_correct(network, plain_batches(images, labels, mean, std, len(stack.seeds)))[0].tolist()
    return counts
