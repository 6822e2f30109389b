"""Settings of weight-sharing searches: three presets, with the differences of each method.

Dong and Yang, "NAS-Bench-201", ICLR 2020, and Dong, Liu, Musial and Gabrys, "NATS-Bench", TPAMI 2021: both published
their search code with these values.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from nasbench_harness.errors import InvalidInputError, UnknownNameError

METHODS = ("darts-first", "darts-second", "gdas", "rsps", "setn", "enas")
JUDGING = ("rsps", "setn", "enas")  # methods that derive their cell by judging candidates with the shared weights


@dataclass(frozen=True)
class Settings:
    """All values of a weight-sharing search.

    Attributes:
        name: Name of the preset.
        epochs: Passes over the images that train the weights.
        num_cells: Number of cells per stage.
        channels: Channels of the first stage; each reduction doubles them.
        batch_size: Images of one step, in both halves.
        learning_rate: First rate of the weights.
        final_rate: Rate of the weights when the cosine ends.
        rate_period: Epochs until the cosine reaches ``final_rate``; it rises again afterwards. 0: all epochs.
        momentum: Momentum of the weights' optimizer.
        nesterov: Whether the momentum has Nesterov's form.
        weight_decay: Decay of all weights.
        alpha_rate: Learning rate of the architecture parameters (Adam).
        alpha_betas: Decay rates of Adam's two moments.
        alpha_epsilon: Constant in Adam's denominator.
        alpha_decay: Weight decay of the architecture parameters.
        normalization: Statistics of all normalizations outside of training: ``running``, or of the ``batch``.
        gradient_clip: Largest norm of the weights' gradient; 0: no bound.
        alpha_first: Second order only: the architecture step comes before the step of the weights.
        draw_per_cell: Random sampling draws a cell for each place of the network instead of one for the batch.
        flip: Mirror half of the images, if the data allows it.
        padding_divisor: Random crops come from images padded by side // this many pixels.
        num_judged: Candidates that are judged when a method derives its cell from samples.
        judged_images: Images on which a candidate is judged.
        judge_every: Epochs between two judgments; the last epoch is always judged.
        judging: All candidates are judged on the ``same`` images, or on a ``different`` batch each as in the published
            code.
        gradient: Gradient of the operations that were not sampled: the sum of the output's gradient as in the
            published code (``official``), or its product with the operation's output (``paper``).
        baseline: The baseline is ``frozen`` within an epoch as in the published code, or ``moving``.
        controller_updates: Updates of a controller per epoch.
        controller_samples: Cells sampled per update of a controller.
        reward_images: Images on which the reward of a controller's sample is measured.
        ranking_images: Images on which the report's fixed cells are ranked.
    """

    name: str
    epochs: int = 250
    num_cells: int = 5
    channels: int = 16
    batch_size: int = 64
    learning_rate: float = 0.025
    final_rate: float = 0.001
    rate_period: int = 0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    alpha_rate: float = 3e-4
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_epsilon: float = 1e-8
    alpha_decay: float = 1e-3
    normalization: Literal["running", "batch"] = "running"
    gradient_clip: float = 0.0
    alpha_first: bool = True
    draw_per_cell: bool = False
    flip: bool = True
    padding_divisor: int = 8
    num_judged: int = 100
    judged_images: int = 512
    judge_every: int = 1
    judging: Literal["same", "different"] = "different"
    gradient: Literal["official", "paper"] = "official"
    baseline: Literal["frozen", "moving"] = "frozen"
    controller_updates: int = 50
    controller_samples: int = 20
    reward_images: int = 64
    ranking_images: int = 5_000

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of the weights at a step, counted from 0 over all epochs: a cosine with a value per step."""
        period = self.rate_period or self.epochs
        height = 0.5 * (1 + math.cos(math.pi * step / (steps_per_epoch * period)))
        return self.final_rate + (self.learning_rate - self.final_rate) * height

    def derives(self, method: str, epoch: int, last: int) -> bool:
        """Whether a method derives a cell after an epoch, counted from 0; ``last`` is the run's last epoch.

        A method that judges candidates does so every ``judge_every`` epochs; the others read their parameters.
        """
        return method not in JUDGING or epoch == last or (epoch + 1) % self.judge_every == 0


def settings_of(preset: str, method: str, **changes: Any) -> Settings:
    """Settings of a method in a preset.

    Args:
        preset: ``nb201-official``, ``nats-official`` or ``demo-cpu``.
        method: One of METHODS.
        **changes: Fields with other values; None keeps the preset's value.

    Raises:
        UnknownNameError: There is no such preset or method.
        InvalidInputError: A value is out of range.

    >>> settings_of("nb201-official", "darts-first").epochs
    50
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    values = {"name": preset, **_PRESETS[preset][""], **_PRESETS[preset].get(method, {})}
    values |= {name: value for name, value in changes.items() if value is not None}
    settings = Settings(**values)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.type == "int" and value < (0 if field.name == "rate_period" else 1):
            raise InvalidInputError(f"preset {preset}: {field.name} must be at least 1, not {value}")
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            raise UnknownNameError(name, str(getattr(settings, name)), choices)
    return settings


_CHOICES = {
    "normalization": ("running", "batch"),
    "judging": ("same", "different"),
    "gradient": ("official", "paper"),
    "baseline": ("frozen", "moving"),
}


_CONTROLLER: dict[str, Any] = {"alpha_rate": 1e-3, "alpha_epsilon": 1e-3, "alpha_decay": 0.0}
_CONTROLLER_2020: dict[str, Any] = {**_CONTROLLER, "alpha_betas": (0.0, 0.999)}
_DARTS_2020: dict[str, Any] = {"epochs": 50, "gradient_clip": 5.0}
_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "nb201-official": {
        "": {},
        "darts-first": _DARTS_2020,
        "darts-second": _DARTS_2020,
        "enas": {
            **_CONTROLLER_2020,
            "learning_rate": 0.05,
            "final_rate": 5e-4,
            "rate_period": 10,
            "batch_size": 128,
            "weight_decay": 2.5e-4,
            "gradient_clip": 5.0,
            "reward_images": 128,
        },
    },
    "nats-official": {
        "": {"epochs": 100, "normalization": "batch", "alpha_first": False},
        "rsps": {"draw_per_cell": True},
        "enas": {**_CONTROLLER, "reward_images": 512},
    },
    "demo-cpu": {
        "": {
            "num_cells": 1,
            "channels": 8,
            "learning_rate": 0.05,
            "alpha_rate": 3e-3,
            "normalization": "batch",
            "judge_every": 10,
            "judged_images": 256,
            "judging": "same",
            "baseline": "moving",
            "controller_updates": 20,
            "ranking_images": 1_000,
        },
        "darts-first": {"epochs": 12},
        "darts-second": {"epochs": 5},
        "gdas": {"epochs": 30},
        "rsps": {"epochs": 40},
        "setn": {"epochs": 12},
        "enas": {**_CONTROLLER_2020, "epochs": 20},
    },
}
PRESETS = tuple(_PRESETS)
