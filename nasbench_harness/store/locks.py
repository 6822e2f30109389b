"""Commands that work on one study at the same time.

Locks belong to open files, so the operating system releases them when a process ends, however it ends. If there
are none (Windows, some network file systems), nothing is locked. Two commands that begin in the same moment may then
overwrite each other's study.toml. Stored runs are safe in any case.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock

_RECORD, _COMMANDS = ".record.lock", ".commands.lock"
_MAX_WAIT_S = 60.0


@contextmanager
def updating(folder: Path) -> Iterator[None]:
    """Change small files of a study that other commands may change, too, while no other command does.

    Raises:
        InvalidInputError: The folder cannot be written, or another command keeps the lock.
    """
    with _open(folder / _RECORD) as file:
        end_s = time.monotonic() + _MAX_WAIT_S
        while not try_lock(file):
            if time.monotonic() > end_s:
                fault = f"another command has kept {file.name} locked for {_MAX_WAIT_S:.0f} s"
                raise InvalidInputError(f"{fault}: wait until it ends, or end it, and repeat this command")
            time.sleep(0.02)
        yield


class Presence:
    """A command says that it works on a study, until ``end`` is called or its process ends.

    Args:
        folder: The study's folder; call this inside ``updating``.

    Attributes:
        is_alone: Whether no other command works on the study.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] | None = None
        self._file = _open(folder / _COMMANDS)
        self.is_alone = try_lock(self._file)
        try_lock(self._file, is_shared=True)

    def end(self) -> None:
        """The command is done."""
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        self.end()


def _open(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise not_writable(path, error) from error


def not_writable(path: Path, error: OSError) -> InvalidInputError:
    """A file of a study that cannot be written, with the reason and the remedy."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space" if is_full else "make it writable"
    return InvalidInputError(f"cannot write {path}: {error.strerror}: {remedy}, or choose another --out")
