"""Rows of numbers on disk while an archive is read: appended, never rewritten, so that reading can go on later."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError
from nasbench_harness.tables.archives.trials import Trial, row_length

_STATE = "state.json"
_FORMAT = 1
_CHECKPOINT_EVERY = 100


class RecordStore:
    """One file of rows for each schedule and data set, and a mark of how many architectures they hold.

    Args:
        folder: Where the files lie; made where it does not exist.
        identity: What is being read; a folder that holds another archive's rows is emptied.

    Attributes:
        done: Architectures whose rows are safe.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._identity = identity
        self._epochs: dict[str, int] = {}
        self._lengths: dict[str, int] = {}
        self._pending: dict[str, list[bytes]] = {}
        self._num_pending = 0
        self.done = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def append(self, trials: Sequence[Trial]) -> None:
        """Add the rows of one architecture.

        Raises:
            TableError: A schedule has another number of epochs than before.
        """
        for trial in trials:
            epochs = self._epochs.setdefault(trial.schedule, trial.num_epochs)
            if epochs != trial.num_epochs:
                raise TableError(
                    f"the schedule {trial.schedule} has {trial.num_epochs} epochs here and {epochs} before"
                )
            self._pending.setdefault(f"{trial.schedule}.{trial.dataset}", []).append(trial.numbers.tobytes())
        self._num_pending += 1
        if self._num_pending >= _CHECKPOINT_EVERY:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write what is pending and mark it as done."""
        for name, rows in self._pending.items():
            with self._path(name).open("ab") as file:
                file.writelines(rows)
                file.flush()
                os.fsync(file.fileno())
                self._lengths[name] = file.tell()
        self._pending.clear()
        self.done += self._num_pending
        self._num_pending = 0
        state = {"format": _FORMAT, "identity": self._identity, "done": self.done}
        text = json.dumps({**state, "epochs": self._epochs, "lengths": self._lengths})
        temporary = self._folder / f"{_STATE}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self._folder / _STATE)

    def files(self) -> dict[tuple[str, str], tuple[Path, int]]:
        """(schedule, data set) -> file of rows and epochs."""
        keys = [(name.partition(".")[0], name.partition(".")[2]) for name in self._lengths]
        return {(schedule, dataset): (self._path(f"{schedule}.{dataset}"), self._epochs[schedule])
                for schedule, dataset in keys}  # fmt: skip

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.rows"

    def _resume(self) -> None:
        try:
            state = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
            if (state["format"], state["identity"]) != (_FORMAT, self._identity):
                raise ValueError("another archive")
            for name, length in state["lengths"].items():
                if self._path(name).stat().st_size < length:
                    raise ValueError("rows are missing")
            self.done, self._epochs, self._lengths = int(state["done"]), state["epochs"], state["lengths"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            (self._folder / _STATE).unlink(missing_ok=True)
        for path in self._folder.glob("*.rows"):  # what was written after the mark is dropped
            length = self._lengths.get(path.stem, 0)
            if length:
                os.truncate(path, length)
            else:
                path.unlink()


def rows_of(path: Path, dataset: str, num_epochs: int) -> Floats:
    """The rows of a file, memory-mapped, shape (num_trials, row_length)."""
    return np.memmap(path, dtype=np.float64, mode="r").reshape(-1, row_length(dataset, num_epochs))
