"""Rows of numbers on disk while an archive is read: appended, never rewritten, so that reading can go on later."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import HarnessError, InvalidInputError, TableError
from nasbench_harness.files import try_lock
from nasbench_harness.importers.archives.trials import Trial, row_length
from nasbench_harness.tables.cache import refuse_link
from nasbench_harness.untrusted import read_text

_STATE = "state.json"
_FORMAT = 1
_MOST_STATE_BYTES = 1 << 20
_CHECKPOINT_EVERY = 100
_MOST_PENDING_BYTES = 64 << 20
_ROWS = re.compile(r"\d{1,3}\.[A-Za-z0-9-]{1,40}")
_LOCK = "lock"
_MOST_IMPORTS = 16


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder for one import, locked against other processes.

    It is the first of ``prefix``, ``prefix-1``, … that nobody has locked, so an import continues an interrupted
    one of the same archive stopped. It is removed at the end, but kept when the import is interrupted. It is also kept
    if the import is refused and rows were read: the same import with another name or --replace goes on with them.

    Raises:
        TableError: A symbolic link stands in place of the folder.
        OSError: The folder cannot be written.
    """
    refuse_link(parent)
    with ExitStack() as stack:
        for number in range(_MOST_IMPORTS):
            folder = parent / (f"{prefix}-{number}" if number else prefix)
            refuse_link(folder)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = stack.enter_context(_opened(folder / _LOCK))
                if try_lock(lock) and os.fstat(lock).st_ino == (folder / _LOCK).stat().st_ino:
                    break
            except FileNotFoundError:  # its owner has removed it since
                continue
        else:
            raise TableError(f"{_MOST_IMPORTS} imports of this archive run already: wait for one of them")
        try:
            yield folder
        except HarnessError as error:  # a damaged archive: the rows so far are of no use
            if not isinstance(error, InvalidInputError) or not any(folder.glob("*.rows")):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Descriptor of a file to lock, which is made; a symbolic link is not followed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class RecordStore:
    """One file of rows for each schedule and data set, and a mark of how many architectures they hold.

    Args:
        folder: Folder of the files; it is made if it does not exist.
        identity: Identity of the archive; a folder that holds another archive's rows is emptied.

    Attributes:
        done: Architectures whose rows are safe.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder
        self._identity = identity
        self._epochs: dict[str, int] = {}
        self._lengths: dict[str, int] = {}
        self._pending: dict[str, list[bytes]] = {}
        self._num_pending, self._pending_bytes = 0, 0
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
            self._pending_bytes += trial.numbers.nbytes
        self._num_pending += 1
        if self._num_pending >= _CHECKPOINT_EVERY or self._pending_bytes > _MOST_PENDING_BYTES:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write the pending rows and mark them as done."""
        for name, rows in self._pending.items():
            with self._path(name).open("ab") as file:
                file.writelines(rows)
                file.flush()
                os.fsync(file.fileno())
                self._lengths[name] = file.tell()
        self._pending.clear()
        self.done += self._num_pending
        self._num_pending, self._pending_bytes = 0, 0
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
        for path in self._folder.iterdir():  # nothing is written through a link
            if path.is_symlink():
                path.unlink()
        try:
            state = json.loads(read_text(self._folder / _STATE, _MOST_STATE_BYTES))
            if (state["format"], state["identity"]) != (_FORMAT, self._identity):
                raise ValueError("another archive")
            for name, length in state["lengths"].items():
                if not _ROWS.fullmatch(name):
                    raise ValueError("it names another file")
                if self._path(name).stat().st_size < length:
                    raise ValueError("rows are missing")
            self.done, self._epochs, self._lengths = int(state["done"]), state["epochs"], state["lengths"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.done, self._epochs, self._lengths = 0, {}, {}
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
