"""Names of training results in a cache: equal names mean the same numbers, up to the device's rounding."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import torch

from nasbench_harness.trainer.data.images import ImageData
from nasbench_harness.trainer.loop.devices import Execution
from nasbench_harness.trainer.recipe import Recipe


def cache_key(
    architecture: str,
    seed: int,
    recipe: Recipe,
    data: ImageData,
    execution: Execution,
) -> str:
    """sha256 of everything that a training result depends on.

    Raises:
        InvalidInputError: The device is unknown, not there, or cannot compile.
    """
    fields = key_fields(architecture, seed, recipe, data, execution)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def origin_digest(recipe: Recipe, data: ImageData, execution: Execution) -> str:
    """sha256 of the fields that all results in one table share: all but architecture and seed."""
    return cache_key("", 0, recipe, data, execution)


def key_fields(
    architecture: str,
    seed: int,
    recipe: Recipe,
    data: ImageData,
    execution: Execution,
) -> dict[str, object]:
    """Fields that determine a training result, by name; the recipe's fields one by one.

    A CPU is always deterministic, and always the same.
    """
    kind = execution.checked_device().type
    return {
        "architecture": architecture,
        "seed": seed,
        **{f"recipe.{field}": value for field, value in dataclasses.asdict(recipe).items()},
        "data": data.digest,
        "split": data.split_digest,
        "device": kind,
        "dtype": recipe.gpu_dtype if kind == "cuda" else "float32",
        "torch": ".".join(torch.__version__.split(".")[:2]),
        **({"compiler": execution.backend} if execution.compiled else {}),
        **({"deterministic": True} if execution.deterministic and kind != "cpu" else {}),
    }
