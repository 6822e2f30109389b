"""The state of one run on disk: a search that was killed continues after its last whole epoch, with the same bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from nasbench_harness.trainer.loop.states import SavedState
from nasbench_harness.trainer.supernet.settings import Settings


class RunState:
    """The file that holds a run's state; a file of other settings or another torch is ignored.

    Args:
        folder: Folder of the run's own; None: nothing is kept.
        settings: All values of the search.
        device: Where tensors are restored.
    """

    def __init__(self, folder: Path | None, settings: Settings, device: torch.device) -> None:
        self._file = None if folder is None else SavedState(folder, ["supernet"])
        self._device = device
        origin = {**dataclasses.asdict(settings), "torch": torch.__version__, "device": device.type}
        self._origin = repr(sorted(origin.items()))

    def read(self) -> dict[str, Any] | None:
        """The state, or None if there is none that can be used."""
        state = None if self._file is None else self._file.read(self._device)
        return state if state is not None and state.get("origin") == self._origin else None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state; the file is complete at any moment.

        Raises:
            InvalidInputError: It cannot be written.
        """
        if self._file is not None:
            self._file.write({**state, "origin": self._origin})
