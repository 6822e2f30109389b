"""The journal of a long command: it continues after an interruption with the piece that was not finished."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock

CHECKSUM = "checksum"


def with_checksum(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry and, as its last field, the checksum of all others, so that a changed bit is noticed.

    Args:
        entry: JSON values.

    Example:
        >>> with_checksum({"piece": 0})
        {'piece': 0, 'checksum': '878723e355238dae'}
    """
    return {**entry, CHECKSUM: _checksum(entry)}


def without_checksum(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry that ``with_checksum`` was given; an entry without checksum is returned as it is.

    Raises:
        ValueError: The checksum belongs to other values.

    Example:
        >>> without_checksum(with_checksum({"piece": 0}))
        {'piece': 0}
    """
    content = {name: value for name, value in entry.items() if name != CHECKSUM}
    if CHECKSUM in entry and entry[CHECKSUM] != _checksum(content):
        raise ValueError("it differs from its checksum")
    return content


def _checksum(entry: Mapping[str, Any]) -> str:
    return sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def append_to_disk(file: IO[str], text: str) -> None:
    """Append to an open file, and force it to the disk.

    Raises:
        InvalidInputError: The disk did not take it. The file is closed, and its last line may be incomplete.
    """
    try:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):  # closing tries to write the rest
            file.close()
        raise InvalidInputError(f"cannot write {file.name}: {error.strerror}") from error


class LineJournal:
    """Finished pieces of a long command: a line of JSON each, on the disk before the next one begins.

    The first line holds the settings that the pieces belong to. One process at a time uses the file.

    Args:
        path: The file; its folder is made.
        settings: JSON values.

    Attributes:
        entries: Pieces that are finished, in the order of the file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "journal.jsonl"
        >>> with LineJournal(path, {"seed": 1}) as journal:
        ...     journal.add({"piece": 0})
        >>> with LineJournal(path, {"seed": 1}) as journal:
        ...     journal.entries
        [{'piece': 0}]
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self._settings = path, json.loads(json.dumps(settings))
        self.entries: list[dict[str, Any]] = []

    def __enter__(self) -> LineJournal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"cannot write {self.path}: {error.strerror}: name another --out") from error
        try:
            if not try_lock(self._file):
                raise InvalidInputError(f"another process writes {self.path}: wait, or name another --out")
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep a finished piece.

        Raises:
            InvalidInputError: The disk did not take it.
        """
        self.entries.append(dict(entry))
        self._write(entry)

    def damaged(self) -> InvalidInputError:
        """The mistake of a journal whose entries cannot be used."""
        return InvalidInputError(f"{self.path} is damaged: delete it, and all of it is done again")

    def _read(self) -> None:
        self._file.seek(0)
        try:
            text = self._file.read()
            whole = text[: text.rfind("\n") + 1]  # a line without its end was being written when the process died
            if len(whole) < len(text):
                self._file.truncate(len(whole.encode()))
            if not whole:
                self._write({"settings": self._settings})
                return
            first, *self.entries = [without_checksum(json.loads(line)) for line in whole.splitlines()]
            settings = dict(first["settings"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self.damaged() from error
        if settings != self._settings:
            known = self._settings.keys() | settings.keys()
            different = sorted(key for key in known if settings.get(key) != self._settings.get(key))
            raise InvalidInputError(
                f"{self.path} belongs to other settings ({', '.join(different)}): delete it, or name another --out"
            )

    def _write(self, entry: Mapping[str, Any]) -> None:
        append_to_disk(self._file, json.dumps(with_checksum(entry), separators=(",", ":")) + "\n")
