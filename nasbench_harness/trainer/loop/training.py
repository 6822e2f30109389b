"""Trains architectures from scratch: stacks of seeds, one synchronization an epoch, result of the last epoch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer.data.batches import DeviceImages, draw_epoch
from nasbench_harness.trainer.data.images import ImageData
from nasbench_harness.trainer.loop.devices import DEFAULT, Execution, synchronize
from nasbench_harness.trainer.loop.fitting import with_fitting_stack
from nasbench_harness.trainer.loop.keys import cache_key
from nasbench_harness.trainer.loop.momentum import Momentum
from nasbench_harness.trainer.loop.states import SavedState
from nasbench_harness.trainer.loop.trained import TrainedStack
from nasbench_harness.trainer.networks.network import Network, count_correct
from nasbench_harness.trainer.networks.structure import Structure, is_widths, structure_of
from nasbench_harness.trainer.recipe import Recipe

_TIMED_STEPS = 20

Epoch = tuple[list[float], list[float], list[bool]]  # accuracy, loss, whether all is finite, of each seed


@dataclass(frozen=True)
class TrainingResult:
    """Result of one training.

    Attributes:
        architecture: As it was given.
        seed: Training seed.
        accuracy: Percent of the validation images after the last epoch; chance if it diverged.
        curve: The same after each epoch.
        train_loss: Mean cross-entropy of each epoch's training images, as they were trained on.
        diverged: A loss or a logit was not finite.
        seconds: This seed's share of the stack's seconds.
        stack: Seeds that trained as one network. Smaller than the recipe's if memory was too small: rounding differs
            then, so the result belongs to ``dataclasses.replace(recipe, stack=stack)``.
        notice: A line that the user should read, or nothing.
        network: The stack that this seed was part of, if it was to be kept.
    """

    architecture: str
    seed: int
    accuracy: float
    curve: tuple[float, ...]
    train_loss: tuple[float, ...]
    diverged: bool
    seconds: float
    stack: int
    notice: str = ""
    network: TrainedStack | None = field(default=None, repr=False, compare=False)


def train(
    architecture: str,
    recipe: Recipe,
    data: ImageData,
    seeds: Sequence[int],
    execution: Execution = DEFAULT,
    *,
    keep_networks: bool = False,
    states: Path | None = None,
) -> list[TrainingResult]:
    """Train an architecture once with each seed.

    Seeds train in stacks of ``recipe.stack``; a last stack that is smaller is filled with seeds whose results are
    dropped, so that every result is rounded alike. A CPU uses one thread. If memory is too small, the stack is
    halved, never the batch, and the results say so.

    Args:
        architecture: Official NAS-Bench-201 string, or five widths if the recipe trains widths.
        recipe: All rules.
        data: Images; the test part is not opened.
        seeds: Training seeds, distinct and not negative.
        execution: Device and arithmetic.
        keep_networks: Keep the trained networks, for ``evaluate_sealed``.
        states: Folder that keeps the state of an unfinished training of more than half a minute. After a kill the same
            call continues after the last epoch that was saved, with the same result. None: nothing is kept.

    Returns:
        One result per seed, in their order.

    Raises:
        InvalidInputError: Architecture, seeds or device cannot be used.
        HarnessError: The device's memory is too small for one seed.
    """
    structure = network_structure(architecture, recipe, data)
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise InvalidInputError(f"training seeds must be distinct and not negative, got {list(seeds)}")

    def on_device(fitting: Recipe, device: torch.device) -> list[TrainingResult]:
        results = []
        with execution.applied(device):
            images = DeviceImages(data, fitting, device, torch.float32)
            for start in range(0, len(seeds), fitting.stack):
                wanted = seeds[start : start + fitting.stack]
                stack = [*wanted, *_spare_seeds(wanted, fitting.stack)]
                run = StackTraining(structure, fitting, images, stack, execution.backend)
                saved = None
                if states is not None:
                    keys = [cache_key(architecture, seed, fitting, data, execution) for seed in stack]
                    saved = SavedState(states, keys)
                results += _run_to_the_end(run, architecture, data, keep_networks, saved)[: len(wanted)]
        notice = _notice(architecture, recipe, fitting.stack)
        return [dataclasses.replace(result, notice=notice) for result in results]

    return with_fitting_stack(architecture, recipe, execution, on_device)


def _notice(architecture: str, recipe: Recipe, stack: int) -> str:
    if stack == recipe.stack:
        return ""
    return (
        f"{recipe.stack} seeds of {architecture} do not fit into memory together: trained {stack} at a time, which "
        "rounds differently"
    )


def estimate_seconds(architecture: str, recipe: Recipe, data: ImageData, execution: Execution = DEFAULT) -> float:
    """Seconds that ``recipe.stack`` seeds will take: times some steps and an evaluation, and extrapolates.

    If the network is compiled, the first step is added for each size of a batch: each stack is compiled anew.

    Raises:
        InvalidInputError: Architecture or device cannot be used.
        HarnessError: The device's memory is too small for one seed.
    """
    structure = network_structure(architecture, recipe, data)

    def measured(fitting: Recipe, device: torch.device) -> float:
        with execution.applied(device):
            images = DeviceImages(data, fitting, device, torch.float32)
            return _seconds_of_a_stack(structure, fitting, images, execution) * -(-recipe.stack // fitting.stack)

    return with_fitting_stack(architecture, recipe, execution, measured)


def _seconds_of_a_stack(structure: Structure, recipe: Recipe, images: DeviceImages, execution: Execution) -> float:
    device = images.labels.device
    run = StackTraining(structure, recipe, images, list(range(recipe.stack)), execution.backend)
    # The first step also prepares; an epoch of one step is timed with it.
    start, first, last, first_s = perf_counter(), 0, min(run.steps_per_epoch, 1 + _TIMED_STEPS), 0.0
    for number in run.steps(epoch=0):
        if number == 1 < last:
            synchronize(device)
            first_s = perf_counter() - start
            start, first = perf_counter(), number
        if number == last:
            break
    synchronize(device)
    per_step = (perf_counter() - start) / (last - first)
    start = perf_counter()
    run.evaluate()
    synchronize(device)
    num_compiled = 0 if execution.backend is None else 1 + (images.num_train % recipe.batch_size > 0)
    return num_compiled * first_s + recipe.epochs * (per_step * run.steps_per_epoch + perf_counter() - start)


def network_structure(architecture: str, recipe: Recipe, data: ImageData) -> Structure:
    """The network that a recipe makes of an architecture for this data.

    Raises:
        InvalidInputError: The text is no architecture, or one of the other space.
    """
    structure = structure_of(architecture, recipe.num_cells, recipe.channels, data.channels, data.num_classes)
    if is_widths(architecture) != (recipe.space == "widths"):
        raise InvalidInputError(f"recipe {recipe.name} trains {recipe.space}, got {architecture!r}")
    return structure


class StackTraining:
    """A stack of seeds in training.

    Args:
        structure: Of one seed's network.
        recipe: All rules.
        images: On the device.
        seeds: Training seeds.
        backend: Of torch's compiler; None: the network is not compiled.
    """

    def __init__(
        self,
        structure: Structure,
        recipe: Recipe,
        images: DeviceImages,
        seeds: Sequence[int],
        backend: str | None = None,
    ) -> None:
        device = images.labels.device
        self.structure, self.recipe, self.images, self.seeds = structure, recipe, images, seeds
        self.network = Network(structure, seeds)
        self.network.to(device=device, dtype=images.mean.dtype, memory_format=torch.channels_last)
        self.forward: Callable[[Tensor], Tensor] = self.network
        if backend is not None:
            torch.compiler.reset()  # of networks before: it compiles few versions of one class only
            self.forward = torch.compile(self.network, backend=backend, dynamic=False)
        self.autocast = torch.autocast(
            device.type,
            torch.bfloat16,
            enabled=device.type == "cuda" and recipe.gpu_dtype == "bfloat16",
            cache_enabled=False,  # each weight is used once
        )
        self.optimizer = Momentum(self.network, recipe)
        self.steps_per_epoch = math.ceil(images.num_train / recipe.batch_size)
        self.loss_sum = torch.zeros(len(seeds), dtype=images.mean.dtype, device=device)

    def steps(self, epoch: int) -> Iterator[int]:
        """Train one epoch; yields the number of steps done. ``loss_sum`` holds the epoch's summed losses after it."""
        images, recipe = self.images, self.recipe
        draws = draw_epoch(self.seeds, epoch, images.num_train, images.padding, images.flip)
        self.network.train()
        self.loss_sum.zero_()
        for step, drawn in enumerate(images.batch_draws(draws, recipe.batch_size)):
            rate = recipe.rate(epoch * self.steps_per_epoch + step, self.steps_per_epoch)
            self._step(*drawn, rate)
            yield step + 1

    def _step(self, order: Tensor, top: Tensor, left: Tensor, is_flipped: Tensor, rate: float) -> None:
        batch, labels = self.images.train_batch(order, top, left, is_flipped)
        with self.autocast:
            logits = self.forward(batch)
        losses = mean_losses(logits, labels)
        losses.sum().backward()
        self.optimizer.step(rate)
        self.loss_sum += losses.detach() * len(batch)

    def epoch(self, epoch: int) -> Epoch:
        """Train one epoch: accuracy in percent, mean training loss and whether all is finite, of each seed."""
        for _ in self.steps(epoch):
            pass
        counts, is_finite = self.evaluate()
        measured = torch.stack([part.to(self.loss_sum.dtype) for part in (counts, self.loss_sum, is_finite)])
        correct, loss_sum, finite = measured.cpu().double()  # the epoch's only synchronization
        losses = (loss_sum / self.images.num_train).tolist()
        return (
            (100 * correct / len(self.images.valid_labels)).tolist(),
            losses,
            [one == 1 and math.isfinite(loss) for loss, one in zip(losses, finite.tolist(), strict=True)],
        )

    def state(self, epochs: Sequence[Epoch], seconds: float) -> dict[str, Any]:
        """Everything that the next epoch and the result depend on, given the results and seconds of all epochs."""
        return {
            "network": self.network.state_dict(),
            "momenta": self.optimizer.momenta,
            "epochs": list(epochs),
            "seconds": seconds,
        }

    def restore(self, state: dict[str, Any]) -> tuple[list[Epoch], float]:
        """Continue from a state; returns the results and seconds of its epochs."""
        self.network.load_state_dict(state["network"])
        self.optimizer.momenta = dict(state["momenta"])
        return list(state["epochs"]), float(state["seconds"])

    @torch.no_grad()
    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Correct validation images, and whether all logits are finite, of each seed, shapes (stack,)."""
        return count_correct(self.network, self.images.valid_batches(len(self.seeds)))


def mean_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each seed, shape (stack,), of logits (stack, n, num_classes) and labels (stack, n)."""
    flat = logits.flatten(0, 1)
    flat = flat.float() if flat.dtype == torch.bfloat16 else flat
    losses = functional.cross_entropy(flat, labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(1)


def _run_to_the_end(
    run: StackTraining, architecture: str, data: ImageData, keep_network: bool, saved: SavedState | None
) -> list[TrainingResult]:
    num_epochs, stack = run.recipe.epochs, len(run.seeds)
    state = None if saved is None else saved.read(run.images.labels.device)
    epochs, earlier_s = ([], 0.0) if state is None else run.restore(state)
    start = perf_counter()
    for epoch in range(len(epochs), num_epochs):
        epochs.append(run.epoch(epoch))
        if saved is not None and epoch + 1 < num_epochs and saved.is_due:
            saved.write(run.state(epochs, earlier_s + perf_counter() - start))
    seconds = (earlier_s + perf_counter() - start) / stack
    if saved is not None:
        saved.remove()
    accuracies, losses, is_finite = zip(*epochs, strict=True)
    network = None
    if keep_network:
        state = {name: value.cpu() for name, value in run.network.state_dict().items()}
        network = TrainedStack(run.structure, tuple(run.seeds), state, data.mean, data.std)
    results = []
    for position, seed in enumerate(run.seeds):
        lives = [all(epoch[position] for epoch in is_finite[: end + 1]) for end in range(num_epochs)]
        curve = tuple(epoch[position] if alive else data.chance for epoch, alive in zip(accuracies, lives, strict=True))
        results.append(
            TrainingResult(
                architecture=architecture,
                seed=seed,
                accuracy=curve[-1],
                curve=curve,
                train_loss=tuple(epoch[position] for epoch in losses),
                diverged=not lives[-1],
                seconds=seconds,
                stack=stack,
                network=network,
            )
        )
    return results


def _spare_seeds(wanted: Sequence[int], stack: int) -> list[int]:
    return [max(wanted) + number for number in range(1, stack - len(wanted) + 1)]
