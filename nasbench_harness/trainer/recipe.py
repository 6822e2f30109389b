"""Recipes: every rule of a training as one frozen record, so that numbers of different rules are never mixed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Literal

from nasbench_harness.errors import InvalidInputError, UnknownNameError


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    SGD with momentum on the mean cross-entropy, weight decay on all parameters, shuffled batches of which the last may
    be smaller, result of the last epoch. Nothing is clipped, smoothed or averaged.

    Attributes:
        name: Name of the preset.
        space: Kind of networks: cells of NAS-Bench-201, or the widths of NATS-Bench.
        epochs: Passes over the training images.
        batch_size: Images of one step.
        learning_rate: The highest.
        momentum: Of SGD.
        nesterov: Nesterov's form of momentum.
        weight_decay: On all parameters, normalizations and biases included.
        schedule: Cosine to 0 with one value per epoch, or one per step.
        warmup_steps: Steps over which the rate rises in proportion.
        flip: Mirror half of the images, if the data allows it.
        padding_divisor: Random crops from images padded by side // this many pixels.
        num_cells: Cells of each stage.
        channels: Channels of the first stage; widths are scaled by channels / 16.
        stack: Seeds that train as one network. Rounding depends on it, so it is part of the recipe.
        num_replicates: Seeds that a table of trained architectures holds.
        flops_per_s: Converts operations to the simulated cost of a training.
        gpu_dtype: Precision of convolutions on a GPU; a CPU always uses float32.
    """

    name: str
    space: Literal["cells", "widths"]
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    schedule: Literal["cosine_per_epoch", "cosine_per_step"]
    warmup_steps: int
    flip: bool
    padding_divisor: int
    num_cells: int
    channels: int
    stack: int
    num_replicates: int
    flops_per_s: float
    gpu_dtype: Literal["float32", "bfloat16"]

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "padding_divisor", "num_cells", "channels", "stack", "num_replicates")
        for field in counts:
            if getattr(self, field) < 1:
                raise InvalidInputError(f"recipe {self.name}: {field} must be at least 1, got {getattr(self, field)}")

    @property
    def is_official(self) -> bool:
        """Whether a published table was made with it."""
        return self in _PUBLISHED

    @property
    def digest(self) -> str:
        """sha256 over all fields."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0 over all epochs."""
        if self.schedule == "cosine_per_epoch":
            done = (step // steps_per_epoch) / self.epochs
        else:
            done = step / (self.epochs * steps_per_epoch)
        warmth = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * warmth * 0.5 * (1 + math.cos(math.pi * done))

    def cost_s(self, flops: int, num_images: int) -> float:
        """Simulated seconds of one training: forward and backward pass of every image in every epoch."""
        return 3 * flops * num_images * self.epochs / self.flops_per_s


def recipe_of(name: str) -> Recipe:
    """The preset of this name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]


_OFFICIAL = Recipe(
    name="nb201-200",
    space="cells",
    epochs=200,
    batch_size=256,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="cosine_per_epoch",
    warmup_steps=0,
    flip=True,
    padding_divisor=8,
    num_cells=5,
    channels=16,
    stack=1,
    num_replicates=3,
    flops_per_s=4.5e11,  # the table's own GPU: .51 h for the average cell
    gpu_dtype="float32",
)
_ANIMALS = dataclasses.replace(
    _OFFICIAL,
    name="animals8-10",
    epochs=10,
    batch_size=64,
    schedule="cosine_per_step",
    warmup_steps=20,
    num_cells=1,
    channels=8,
    stack=3,
    flops_per_s=1e10,
    gpu_dtype="bfloat16",
)
_PUBLISHED = (
    _OFFICIAL,
    dataclasses.replace(_OFFICIAL, name="nb201-12", epochs=12),
    dataclasses.replace(_OFFICIAL, name="nats-sss-90", space="widths", epochs=90, num_cells=1, num_replicates=1),
)
_ALL = (
    *_PUBLISHED,
    _ANIMALS,
    dataclasses.replace(_ANIMALS, name="animals8-1", epochs=1),
    dataclasses.replace(_ANIMALS, name="animals8-widths-10", space="widths", channels=4),
)
RECIPES = {recipe.name: recipe for recipe in _ALL}
