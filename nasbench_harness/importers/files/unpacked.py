"""The bytes of a file, unpacked if it is compressed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from threading import Lock
from typing import Any

from nasbench_harness.errors import InvalidInputError

LARGEST_FILE = 8 << 30
# A compressed file may hold so many times its own size, and so many bytes more; genuine tables stay below 30 times.
_MOST_EXPANSION = 100
_FREE_EXPANSION = 64 << 20


class Unpacked(io.RawIOBase):
    """The bytes of a file; a file that unpacks to far more than its size is refused.

    Args:
        path: The file.
        is_packed: Whether it is compressed by gzip.
    """

    def __init__(self, path: Path, is_packed: bool) -> None:
        super().__init__()
        self._path = path
        self._file = gzip.open(path, "rb") if is_packed else path.open("rb")  # noqa: SIM115 - closed with this object
        room = path.stat().st_size * _MOST_EXPANSION + _FREE_EXPANSION
        self._room = min(room, LARGEST_FILE) if is_packed else LARGEST_FILE
        self._reading = Lock()
        self._is_finished = False

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes; returns their number, 0 at the end.

        Raises:
            InvalidInputError: The file unpacks to too much.
        """
        with self._reading:
            if self._is_finished:
                return 0
            piece = self._file.read(len(buffer))
            buffer[: len(piece)] = piece
            self._room -= len(piece)
            if self._room < 0:
                raise InvalidInputError(
                    f"{self._path} unpacks to more than {_MOST_EXPANSION} times its size: if that is right, unpack it "
                    "first"
                )
            return len(piece)

    def close(self) -> None:
        """Wait for a read in another thread, close the file, and end later reads at once.

        Arrow reads ahead in a thread of its own. If that thread calls Python while the interpreter ends, the process
        is aborted.
        """
        with self._reading:
            self._is_finished = True
            self._file.close()
        super().close()
