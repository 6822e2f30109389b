"""The folder of a study: stored segments, missing seeds, stale segments."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.errors import InvalidInputError, StoreError
from nasbench_harness.files import remove_abandoned, replacing, temporary_name
from nasbench_harness.store.identity import run_id
from nasbench_harness.store.locks import not_writable, updating
from nasbench_harness.store.segments import DamagedSegmentError, read_record, read_segment
from nasbench_harness.untrusted import below

_SEGMENT_NAME = re.compile(r"seeds-(\d{1,9})-(\d{1,9})\.parquet")
_FOLDERS = frozenset(
    {
        "damaged", "export", "failures", "notes", "report", "runs", "states", "superseded", "tables", "timings",
        "traces", "verification",
    }
)  # fmt: skip
_MAX_NAME = 150  # letters of a strategy's reference or label in the name of a file; file systems allow 255


@dataclass(frozen=True)
class Segment:
    """A file that holds the runs with seeds first … last."""

    path: Path
    first: int
    last: int


@dataclass(frozen=True)
class Damage:
    """A file among the segments that is none of them, and why."""

    path: Path
    reason: str


class StudyFolder:
    """A study on disk.

    Args:
        path: The folder; made when something is written.

    Attributes:
        path: The folder, absolute: a strategy may change the current folder.
        shown: The folder as it was named, for messages.

    Raises:
        InvalidInputError: ``path`` is a file, or no folder can have this name.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.shown = path.absolute(), path
        for part in (path, *path.parents):
            try:
                is_other = part.exists() and not part.is_dir()
            except (OSError, ValueError) as error:  # e.g. a name that is too long
                reason = error.strerror if isinstance(error, OSError) else error
                raise InvalidInputError(f"no folder can be {str(part)[:80]!r}…: {reason}: name another one") from None
            if is_other:
                raise InvalidInputError(
                    f"{part} is a file, but the study's folder should be there: name another folder"
                )

    @property
    def study_file(self) -> Path:
        """Record of the last command."""
        return self.path / "study.toml"

    def study_text(self) -> bytes:
        """Content of the study file; empty when there is none.

        Raises:
            InvalidInputError: It cannot be read.
        """
        try:
            return self.study_file.read_bytes() if self.study_file.is_file() else b""
        except OSError as error:
            raise InvalidInputError(f"cannot read the study file {self.study_file}: {error.strerror}") from error

    @property
    def report_folder(self) -> Path:
        """Folder of generated tables and figures."""
        return self.path / "report"

    @property
    def export_folder(self) -> Path:
        """Folder of exported rows."""
        return self.path / "export"

    def trace_path(self, sha256: str) -> Path:
        """File of the rows of a trace from elsewhere."""
        return below(self.path / "traces", f"{sha256[:16]}.parquet")

    def runs_folder(self, identity: Mapping[str, Any]) -> Path:
        """Folder of one strategy's segments on one task."""
        reference = re.sub(r"[^A-Za-z0-9.-]+", "-", identity["strategy"])
        name = f"{reference[:_MAX_NAME]}-{run_id(identity)}"
        return below(self.task_folder(str(identity["task"])), name)

    def task_folder(self, task: str) -> Path:
        """Folder of all runs on a task.

        Raises:
            InvalidInputError: The name would lead elsewhere.
        """
        if len(task) > _MAX_NAME:
            raise InvalidInputError(f"{task[:80]!r}… cannot name a task: a folder has its name")
        return below(self.path / "runs", task)

    def show(self, path: Path) -> Path:
        """A path below the folder as messages name it."""
        return self.shown / path.relative_to(self.path)

    def segments(self, identity: Mapping[str, Any]) -> list[Segment]:
        """Segments of one strategy on one task, by first seed; damaged ones are left out.

        Raises:
            StoreError: A file cannot be read.
        """
        return self.scan(identity)[0]

    def scan(self, identity: Mapping[str, Any]) -> tuple[list[Segment], list[Damage]]:
        """Segments of one strategy on one task, by first seed, and the files there that are damaged or misplaced.

        Raises:
            StoreError: A file cannot be read.
        """
        folder, runs = self.runs_folder(identity), run_id(identity)
        found, damaged = [], []
        for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else []:
            try:
                found.append(_checked(path, runs))
            except DamagedSegmentError as error:
                damaged.append(Damage(path, error.reason))
            except StoreError:
                if path.exists():  # else another command has moved it
                    raise
        return sorted(found, key=lambda segment: (segment.first, -segment.last)), damaged

    def segment_path(self, identity: Mapping[str, Any], first: int, last: int) -> Path:
        """Name to write the segment of these seeds under, which are in one cell of the grid.

        Raises:
            InvalidInputError: A link leads out of the study's folder.
        """
        folder = self.runs_folder(identity)
        refuse_links(self, folder)
        return folder / f"seeds-{first}-{last}.parquet"

    def stale_segments(self, segments: Iterable[Segment], code: str) -> list[Segment]:
        """Segments that were produced by another version of the strategy's code."""
        return [segment for segment in segments if read_record(segment.path).get("code") != code]

    def supersede(self, segment: Segment) -> None:
        """Move a segment out of the way; nothing is deleted."""
        code = re.sub(r"[^A-Za-z0-9]", "", str(read_record(segment.path).get("code")))[:8] or "unknown"
        self._move(segment.path, self.path / "superseded", code)

    def set_aside(self, damage: Damage) -> None:
        """Move a damaged segment out of the way; nothing is deleted."""
        self._move(damage.path, self.path / "damaged")

    def _move(self, path: Path, to: Path, *parts: str) -> None:
        target = to.joinpath(path.parent.relative_to(self.path / "runs"), *parts, path.name)
        counter = 0
        refuse_links(self, target.parent)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            while target.exists():
                counter += 1
                target = target.with_name(f"{path.stem}.{counter}.parquet")
            os.replace(path, target)
        except FileNotFoundError:  # another command has moved it
            return
        except OSError as error:
            raise InvalidInputError(f"cannot move {path} to {target.parent}: {error.strerror}") from error

    def write_text(self, path: Path, text: str) -> None:
        """Write a small file whole or not at all.

        Raises:
            InvalidInputError: The folder cannot be written.
        """
        self.write_bytes(path, text.encode(errors="backslashreplace"))  # messages may hold parts of file names

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Write a small file whole or not at all (see ``write_text``)."""
        with self.writing(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave an empty file under the name

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """A temporary name to write a file under, which becomes ``path`` when all went well.

        Raises:
            InvalidInputError: The folder cannot be written, or a link leads out of the study's folder.
        """
        refuse_links(self, path.parent)
        temporary = temporary_name(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        except OSError as error:
            raise not_writable(path, error) from error
        finally:
            with suppress(OSError):  # a file stands in place of the folder
                temporary.unlink(missing_ok=True)

    @contextmanager
    def replacing(self, folder: Path) -> Iterator[Path]:
        """A temporary folder for generated files of a study (see ``files.replacing``).

        Raises:
            InvalidInputError: The folder cannot be written, or a link leads out of the study's folder.
        """
        refuse_links(self, folder)
        try:
            with replacing(folder, lambda: updating(self.path)) as temporary:
                yield temporary
        except OSError as error:
            raise not_writable(folder, error) from error

    def remove_abandoned(self) -> None:
        """Remove temporary files of dead writers; folders that are none of a study's are not looked through."""
        remove_abandoned(self.path, _FOLDERS)

    def write_json(self, path: Path, value: Any) -> None:
        """Write JSON with sorted keys (see ``write_text``)."""
        self.write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def check_links(study: StudyFolder) -> None:
    """Refuse a study with a link among its own folders, before anything is run (see ``refuse_links``)."""
    for name in sorted(_FOLDERS):
        refuse_links(study, study.path / name)


def refuse_links(study: StudyFolder, folder: Path) -> None:
    """Refuse to write through a link: in a study that somebody else made, it can lead anywhere.

    Raises:
        InvalidInputError: The folder, or one above it inside the study, is a link.
    """
    for part in (folder, *folder.parents):
        if part == study.path:
            return
        if part.is_symlink() and study.path in part.parents:
            raise InvalidInputError(
                f"{study.show(part)} is a link: nothing is written outside the study's folder; remove the link"
            )


def _checked(path: Path, runs: str) -> Segment:
    """The segment in a file, which must hold the runs that its name and its folder promise."""
    match = _SEGMENT_NAME.fullmatch(path.name)
    if match is None:
        raise DamagedSegmentError(path, "does not have the name of a segment")
    if _stored(path, _stamp(path)) != (runs, int(match[1]), int(match[2])):
        raise DamagedSegmentError(path, "does not hold the runs of its name and folder")
    return Segment(path, int(match[1]), int(match[2]))


@lru_cache(maxsize=4096)
def _stored(path: Path, _: tuple[int, int, int]) -> tuple[str, int, int]:
    """Run id and first and last seed of a segment that is whole."""
    record, columns = read_segment(path, ["seed"])
    seeds = columns.get("seed")
    if seeds is None or not len(seeds) or seeds.dtype.kind != "i" or not set(np.diff(seeds).tolist()) <= {0, 1}:
        raise DamagedSegmentError(path, "does not hold its runs one after the other")
    return str(record.get("run_id")), int(seeds[0]), int(seeds[-1])


def _stamp(path: Path) -> tuple[int, int, int]:
    """Properties that change with a file's content."""
    try:
        found = path.stat()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def named_segments(folder: Path) -> list[Segment]:
    """Segments that the names in a runs folder promise; no file is opened, so that a writer is not disturbed."""
    try:
        matches = [(path, _SEGMENT_NAME.fullmatch(path.name)) for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return [Segment(path, int(match[1]), int(match[2])) for path, match in matches if match]


def describe_damage(folder: StudyFolder, damaged: Sequence[Damage]) -> str:
    """A line about files that are moved aside."""
    others = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    first = damaged[0]
    return (
        f"damaged segment{'s' * (len(damaged) > 1)}: {folder.show(first.path)} {first.reason}{others}; moved to "
        "damaged/; their seeds run again"
    )


def file_name(label: str) -> str:
    """A label as part of a file's name; labels that differ in other characters only stay apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-")[:_MAX_NAME]
    return plain if plain == label else f"{plain}-{sha256(label.encode()).hexdigest()[:8]}"
