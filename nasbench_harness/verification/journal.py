"""The journal of a verification: one line for each finished training, on disk before the next begins."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from nasbench_harness.errors import InvalidInputError


@dataclass(frozen=True)
class Entry:
    """One finished training.

    Attributes:
        key: Hash of everything that decides its result.
        architecture: Official string.
        seed: Training seed.
        accuracy: Validation accuracy after the last epoch, percent; chance where the training diverged.
        curve: Validation accuracy after each epoch.
        diverged: Whether the loss became infinite.
        seconds: Real seconds, for information only.
    """

    key: str
    architecture: str
    seed: int
    accuracy: float
    curve: tuple[float, ...]
    diverged: bool
    seconds: float


class Journal:
    """Lines of JSON; a torn last line, left by a killed process, is cut off.

    Args:
        path: The file; made with its folder when the first line is written.

    Attributes:
        notice: What was cut off, for the user; empty where nothing was.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.notice = path, ""
        self.entries: dict[str, Entry] = {}
        if path.is_file():
            self._read()

    def append(self, entries: Iterable[Entry]) -> None:
        """Write finished trainings and force them to disk; at once, so that lines of two processes never mix."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        finished = list(entries)
        with self.path.open("ab", buffering=0) as file:
            file.write("".join(json.dumps(asdict(entry)) + "\n" for entry in finished).encode())
            os.fsync(file.fileno())
        for entry in finished:
            self.entries.setdefault(entry.key, entry)

    def _read(self) -> None:
        text = self.path.read_text(encoding="utf-8", errors="replace")
        lines = text.split("\n")
        torn = lines.pop()  # empty where the last line is whole
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                entry = Entry(**{**record, "curve": tuple(record["curve"])})
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidInputError(
                    f"{self.path}, line {number} is damaged ({error}): delete the line, its training is repeated"
                ) from error
            self.entries.setdefault(entry.key, entry)  # what was written first stands
        if torn:
            self.notice = f"{self.path}: the last line was torn and is dropped; its training is repeated"
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.replace(temporary, self.path)
