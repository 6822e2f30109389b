"""Trains architectures: networks, image data, recipes and the training loop. Needs torch, and loads it on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nasbench_harness.optional import require_torch

if TYPE_CHECKING:
    from nasbench_harness.trainer.building import build_parts, table_rules
    from nasbench_harness.trainer.data.images import ImageData, SealedTest, load_data
    from nasbench_harness.trainer.loop.devices import Execution
    from nasbench_harness.trainer.loop.keys import cache_key
    from nasbench_harness.trainer.loop.processes import num_processes_of, train_many
    from nasbench_harness.trainer.loop.trained import evaluate_sealed
    from nasbench_harness.trainer.loop.training import TrainingResult, estimate_seconds, network_structure, train
    from nasbench_harness.trainer.recipe import RECIPES, Recipe, recipe_of

_HOMES = {
    "nasbench_harness.trainer.building": ("build_parts", "table_rules"),
    "nasbench_harness.trainer.data.images": ("ImageData", "SealedTest", "load_data"),
    "nasbench_harness.trainer.loop.devices": ("Execution",),
    "nasbench_harness.trainer.loop.keys": ("cache_key",),
    "nasbench_harness.trainer.loop.processes": ("num_processes_of", "train_many"),
    "nasbench_harness.trainer.loop.trained": ("evaluate_sealed",),
    "nasbench_harness.trainer.loop.training": ("TrainingResult", "estimate_seconds", "network_structure", "train"),
    "nasbench_harness.trainer.recipe": ("RECIPES", "Recipe", "recipe_of"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_WITHOUT_TORCH = "nasbench_harness.trainer.recipe"

__all__ = [
    "RECIPES",
    "Execution",
    "ImageData",
    "Recipe",
    "SealedTest",
    "TrainingResult",
    "build_parts",
    "cache_key",
    "estimate_seconds",
    "evaluate_sealed",
    "load_data",
    "network_structure",
    "num_processes_of",
    "recipe_of",
    "table_rules",
    "train",
    "train_many",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF[name]
    if home != _WITHOUT_TORCH:
        require_torch("training")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
