"""From an official archive to a table: recognized, read one architecture at a time, kept as arrays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.importers.archives.columns import datasets_of
from nasbench_harness.importers.archives.records import RecordStore, rows_of, work_folder
from nasbench_harness.importers.archives.sources import Source, recognize
from nasbench_harness.importers.archives.trials import Trial, trials_of
from nasbench_harness.spaces import NASBench201Space, ProductSpace, SearchSpace
from nasbench_harness.tables.location import imported_folder
from nasbench_harness.tables.registration import check_names, register_table
from nasbench_harness.tables.table import Provenance, Table

# Receives how many architectures were read, and how many there are where that is known.
Progress = Callable[[int, int | None], None]

# What NAS-Bench-201 calls its schedules -> their epochs, as NATS-Bench calls them.
_SCHEDULES = {"less": "12", "full": "200"}
_SCHEDULE = re.compile(r"\d{1,3}")
# Genuine archives have up to 32,768 architectures and three schedules.
_MOST_ARCHITECTURES = 100_000
_MOST_SCHEDULES = 10
_VERSION = re.compile(r"v\d+_\d+(-[0-9a-f]{5,6})?")
_CHANNELS = tuple(str(width) for width in range(8, 65, 8))
_NAMES = {"nasbench201": "nats-tss", "nats-sss": "nats-sss"}
_TITLES = {
    "nats-tss": "NATS-Bench, topology search space",
    "nats-sss": "NATS-Bench, size search space",
    "nas-bench-201": "NAS-Bench-201",
}


def import_archive(
    path: Path,
    name: str | None = None,
    *,
    schedules: Sequence[str] = (),
    replace: bool = False,
    progress: Progress | None = None,
) -> Table:
    """Import an official archive; its data sets are tasks from then on.

    Rows that were read before an interruption are kept in the cache, and the same call continues from there.

    Args:
        path: ``NAS-Bench-201-*.pth``, a NATS-Bench ``*-simple`` folder or tar file, or ``NATS-*.pickle.pbz2``.
        name: Name of the table; default: ``nats-tss``, ``nats-sss`` or ``nas-bench-201``.
        schedules: Training schedules to keep, by their epochs, e.g. ``["200"]``; default: all.
        replace: Take the place of another table of this name.
        progress: Called after every architecture.

    Raises:
        InvalidInputError: There is no such archive, or a name cannot be used.
        TableError: It is damaged, or differs from official archives; nothing was imported.
    """
    if name is not None:
        check_names(name, {"cifar10-valid-200": None})
    marks = "\n".join([str(path.resolve()), *sorted(schedules)])
    prefix = f".archive-{hashlib.sha256(marks.encode()).hexdigest()[:16]}"
    try:
        with work_folder(imported_folder(), prefix) as folder:
            return register_table(read_archive(path, folder, name, schedules, progress), replace=replace)
    except OSError as error:
        raise TableError(f"cannot write the cache {imported_folder()}: {error.strerror}") from error


def read_archive(
    path: Path,
    folder: Path,
    name: str | None = None,
    schedules: Sequence[str] = (),
    progress: Progress | None = None,
) -> Table:
    """The table of an official archive, its arrays memory-mapped from ``folder`` (see ``import_archive``)."""
    return read_source(recognize(path), path, folder, name, schedules, progress)


def read_source(
    source: Source,
    path: Path,
    folder: Path,
    name: str | None = None,
    schedules: Sequence[str] = (),
    progress: Progress | None = None,
) -> Table:
    """The table of a source of official results; ``path`` is named in messages and in the provenance."""
    digest = source.digest()
    reading = _Reading(RecordStore(folder, " ".join([digest, *sorted(schedules)])), schedules)
    total = source.num_architectures()

    def on_architecture(index: int, results: Callable[[], Any]) -> None:
        try:
            reading.add(index, results)
        except TableError as error:
            raise TableError(f"architecture {index}: {error}") from error
        if progress is not None:
            progress(reading.num_read, total)

    names = source.read(on_architecture)
    reading.store.checkpoint()
    space = _space_of(names)
    _check_rows(path, reading.store, names, space)
    datasets = datasets_of(reading.store.files(), space, folder)
    if not datasets:
        raise TableError(f"{path} holds no validation accuracy of the schedules wanted: there is nothing to search by")
    kind = "nas-bench-201" if path.name.startswith("NAS-Bench-201") else _NAMES[space.name]
    version = _VERSION.search(path.name)
    count = f"{reading.num_read:,} of {space.num_architectures:,} architectures"
    provenance = Provenance(
        source=f"{_TITLES[kind]}, {source.kind} {path.name} with {count}",
        version=version[0] if version else "unknown",
        license="MIT",
        sha256={path.name: digest},
        origin=source.origin,
    )
    return Table(kind if name is None else name, datasets, provenance)


class _Reading:
    """Architectures on their way from an archive into a store.

    Attributes:
        num_read: Architectures so far, those of an earlier call included.
    """

    def __init__(self, store: RecordStore, schedules: Sequence[str]) -> None:
        self.store = store
        self.num_read = 0
        self._schedules = schedules
        self._num_skipped = store.done
        self._seen: set[int] = set()

    def add(self, index: int, results: Callable[[], Any]) -> None:
        """Read and keep one architecture, unless an earlier call did."""
        if index in self._seen:
            raise TableError("it stands in the archive twice")
        if not 0 <= index < _MOST_ARCHITECTURES:
            raise TableError(f"its number is not below {_MOST_ARCHITECTURES:,}")
        self._seen.add(index)
        self.num_read += 1
        if self.num_read > self._num_skipped:
            self.store.append(self._trials(index, results()))

    def _trials(self, index: int, results: Any) -> list[Trial]:
        if type(results) is not dict:
            raise TableError("its results are no dictionary of training schedules")
        if len(results) > _MOST_SCHEDULES:
            raise TableError(f"it has {len(results):,} training schedules, more than {_MOST_SCHEDULES}")
        trials = []
        for key, state in results.items():
            schedule = _SCHEDULES.get(key, key) if type(key) is str else ""
            if not _SCHEDULE.fullmatch(schedule):
                raise TableError("it has a training schedule that no official archive has")
            if not self._schedules or schedule in self._schedules:
                trials += trials_of(schedule, state, index, _row(state))
        return trials


def _row(state: Any) -> int:
    text = state.get("arch_str") if type(state) is dict else None
    if type(text) is not str:
        raise TableError("it has no architecture string")
    try:
        return _space_of([text]).from_string(text)
    except InvalidInputError as error:
        raise TableError(str(error)) from error


def _space_of(names: list[str]) -> SearchSpace:
    return _cells() if names and names[0].startswith("|") else _widths()


@cache
def _cells() -> SearchSpace:
    return NASBench201Space()


@cache
def _widths() -> SearchSpace:
    return ProductSpace("nats-sss", [_CHANNELS] * 5)


def _check_rows(path: Path, store: RecordStore, names: list[str], space: SearchSpace) -> None:
    """Every trial belongs to the architecture that the archive's list names, once."""
    for (_, dataset), (file, num_epochs) in store.files().items():
        header = np.array(rows_of(file, dataset, num_epochs)[:, :3]).astype(np.int64)
        if len(np.unique(header[:, 1:], axis=0)) < len(header):
            raise TableError(f"{path} cannot be read: it holds results of an architecture twice")
        for index, row in np.unique(header[:, :2], axis=0).tolist():
            if not 0 <= index < len(names) or names[index] != space.to_string(row):
                raise TableError(
                    f"{path} cannot be read: architecture {index} is not the one that its list meta_archs names"
                )
