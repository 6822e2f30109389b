"""Weight sharing: one network that holds every cell of NAS-Bench-201. Needs torch, and loads it on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nasbench_harness.optional import require_torch

if TYPE_CHECKING:
    from nasbench_harness.trainer.supernet.controller import Controller
    from nasbench_harness.trainer.supernet.costs import epoch_seconds
    from nasbench_harness.trainer.supernet.data import halved_images
    from nasbench_harness.trainer.supernet.optimizers import Adam
    from nasbench_harness.trainer.supernet.ranking import (
        NUM_WATCHED,
        choices_of,
        fixed_cells,
        ranked_accuracies,
    )
    from nasbench_harness.trainer.supernet.settings import PRESETS, Settings, settings_of
    from nasbench_harness.trainer.supernet.shared import SharedWeights, Step, random_cell
    from nasbench_harness.trainer.supernet.states import RunState

_PLACE = "nasbench_harness.trainer.supernet"
_HOMES = {
    f"{_PLACE}.controller": ("Controller",),
    f"{_PLACE}.costs": ("epoch_seconds",),
    f"{_PLACE}.data": ("halved_images",),
    f"{_PLACE}.optimizers": ("Adam",),
    f"{_PLACE}.ranking": ("NUM_WATCHED", "choices_of", "fixed_cells", "ranked_accuracies"),
    f"{_PLACE}.settings": ("PRESETS", "Settings", "settings_of"),
    f"{_PLACE}.shared": ("SharedWeights", "Step", "random_cell"),
    f"{_PLACE}.states": ("RunState",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_WITHOUT_TORCH = (f"{_PLACE}.settings", f"{_PLACE}.costs")

__all__ = [
    "NUM_WATCHED",
    "PRESETS",
    "Adam",
    "Controller",
    "RunState",
    "Settings",
    "SharedWeights",
    "Step",
    "choices_of",
    "epoch_seconds",
    "fixed_cells",
    "halved_images",
    "random_cell",
    "ranked_accuracies",
    "settings_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF[name]
    if home not in _WITHOUT_TORCH:
        require_torch("training")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
