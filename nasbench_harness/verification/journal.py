"""The journal of a verification: a line for each finished training, on disk before the next begins.

A line is also kept of each design that was judged, because looking several times confirms more often by chance.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Annotated, ClassVar, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock
from nasbench_harness.journal import with_checksum, without_checksum

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes apart there
    fcntl = None  # type: ignore[assignment]


Line = TypeVar("Line")


@dataclass(frozen=True)
class TrainingRecord:
    """One finished training.

    Attributes:
        key: Hash of everything that decides its result.
        architecture: Official string.
        seed: Training seed.
        accuracy: Validation accuracy after the last epoch, percent; chance if the training diverged.
        curve: Validation accuracy after each epoch.
        diverged: Whether the loss became infinite.
        seconds: Real seconds, for information only.
        notice: A line that the reader should know about this training, or nothing.
        test_accuracy: Accuracy on the sealed test part, percent; None if it was not measured.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    key: str
    architecture: str
    seed: int
    accuracy: Annotated[float, Field(ge=0, le=100)]
    curve: tuple[Annotated[float, Field(ge=0, le=100)], ...]
    diverged: bool
    seconds: float
    notice: str = ""
    test_accuracy: Annotated[float, Field(ge=0, le=100)] | None = None


@dataclass(frozen=True)
class _Judged:
    """A design that was judged, by its digest."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    judged: str


class Journal:
    """Lines of JSON. A truncated last line, left by a killed process, is ignored; of equal keys the first stands.

    Args:
        path: The file; there may be none yet.

    Attributes:
        entries: Finished trainings by key.
        judged: Digests of the designs that were judged, in their order.
        notice: Lines that were ignored, for the user; empty if there were none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.notice = path, ""
        self.entries: dict[str, TrainingRecord] = {}
        self.judged: list[str] = []
        self._is_truncated = False
        self._file: IO[bytes] | None = None
        if path.is_file():
            self._read()

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Journal]:
        """The journal for this process alone, ready to be appended to; opening it changes nothing.

        Raises:
            InvalidInputError: It cannot be written, another process has it, or a line is damaged.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from error
        with file:
            _hold(file, path)
            journal = cls(path)
            journal._file = file
            yield journal

    def append(self, entries: Iterable[TrainingRecord]) -> None:
        """Write finished trainings and force them to disk.

        Raises:
            InvalidInputError: The disk is full, or the journal was not opened.
        """
        finished = list(entries)
        self._write(finished)
        for entry in finished:
            self.entries.setdefault(entry.key, entry)

    def judge(self, digest: str) -> int:
        """Note that a design was judged; its number among all designs that were, from 1.

        Raises:
            InvalidInputError: The disk is full, or the journal was not opened.
        """
        if digest not in self.judged:
            self._write([_Judged(digest)])
            self.judged.append(digest)
        return self.judged.index(digest) + 1

    def _write(self, lines: Sequence[TrainingRecord | _Judged]) -> None:
        if self._file is None:
            raise InvalidInputError(f"{self.path} was read only: open it to append")
        try:
            if self._is_truncated:
                os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)
            self._is_truncated = True  # until all lines are whole on the disk
            left = "".join(json.dumps(with_checksum(asdict(line))) + "\n" for line in lines).encode()
            while left:  # an almost full disk takes a part without an error, and raises it for the rest
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
            self._is_truncated = False
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _read(self) -> None:
        lines = self.path.read_bytes().split(b"\n")
        truncated = lines.pop()  # empty if the last line is whole
        notices = []
        for number, line in enumerate(lines, start=1):
            try:
                content = json.dumps(without_checksum(json.loads(line)))
                if line.startswith(b'{"judged"'):
                    self.judged.append(_adapter(_Judged).validate_json(content).judged)
                    continue
                entry = _adapter(TrainingRecord).validate_json(content)
            except (ValueError, AttributeError, RecursionError) as error:
                raise InvalidInputError(
                    f"{self.path}, line {number} is damaged ({_reason(error)}): "
                    "delete the line, its training is repeated"
                ) from error
            if self.entries.setdefault(entry.key, entry).accuracy != entry.accuracy:
                notices.append(f"{self.path}, line {number} has another accuracy of a training: the first stands")
        if truncated:
            self._is_truncated = True
            notices.append(f"{self.path}: the last line is incomplete and is dropped; its training is repeated")
        self.notice = "; ".join(notices)


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])


@cache
def _adapter(kind: type[Line]) -> TypeAdapter[Line]:
    return TypeAdapter(kind)


def _hold(file: IO[bytes], path: Path) -> None:
    """Keep other processes out until the file is closed, also by the process's death."""
    if not try_lock(file):
        raise InvalidInputError(
            f"another process verifies in {path.parent}: wait until it has ended; the same command then goes on"
        )


def _cannot_write(path: Path, error: OSError) -> InvalidInputError:
    return InvalidInputError(f"cannot write {path}: {error.strerror}")
