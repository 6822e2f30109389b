"""From an official archive to a table: recognized, read one architecture at a time, kept as arrays."""

from __future__ import annotations

import hashlib
import os
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
from nasbench_harness.tables.imported import imported_names
from nasbench_harness.tables.location import imported_folder
from nasbench_harness.tables.registration import check_names, name_is_taken, register_table
from nasbench_harness.tables.registry import load_table
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
        InvalidInputError: There is no such archive or schedule, a name cannot be used, or it belongs to another table.
        TableError: It is damaged, or differs from official archives; nothing was imported.
    """
    if name is not None:
        check_names(name, {"cifar10-valid-200": None})
    wanted = _names_of(schedules)
    marks = "\n".join([str(path.resolve()), *sorted(wanted)])
    prefix = f".archive-{hashlib.sha256(marks.encode()).hexdigest()[:16]}"
    try:
        with work_folder(imported_folder(), prefix) as folder:
            table = read_archive(path, folder, name, wanted, progress, replace=replace)
            return register_table(table, replace=replace)
    except OSError as error:
        raise TableError(f"cannot write the cache {imported_folder()}: {error.strerror}") from error


def read_archive(
    path: Path,
    folder: Path,
    name: str | None = None,
    schedules: Sequence[str] = (),
    progress: Progress | None = None,
    *,
    replace: bool = True,
) -> Table:
    """The table of an official archive, its arrays memory-mapped from ``folder`` (see ``import_archive``)."""
    return read_source(recognize(path), path, folder, name, schedules, progress, replace=replace)


def read_source(
    source: Source,
    path: Path,
    folder: Path,
    name: str | None = None,
    schedules: Sequence[str] = (),
    progress: Progress | None = None,
    *,
    replace: bool = True,
) -> Table:
    """The table of a source of official results; ``path`` is named in messages and in the provenance.

    Without ``replace`` the name of another table is refused before the source is read.
    """
    digest, wanted = source.digest(), _names_of(schedules)

    def on_first(found: Sequence[str], space: SearchSpace) -> None:
        if unknown := [schedule for schedule in wanted if schedule not in found]:
            raise InvalidInputError(f"{path} has the training schedules {', '.join(found)}, not {', '.join(unknown)}")
        if not replace:
            _check_free(_name_of(source, space) if name is None else name, digest, wanted or found)

    reading = _Reading(RecordStore(folder, " ".join([digest, *sorted(wanted)])), wanted, on_first)
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
    file_name = Path(os.path.abspath(path)).name  # that of "." is the folder's; links keep theirs
    kind = _name_of(source, space)
    version = _VERSION.search(file_name)
    count = f"{reading.num_read:,} of {space.num_architectures:,} architectures"
    provenance = Provenance(
        source=f"{_TITLES[kind]}, {source.kind} {file_name} with {count}",
        version=version[0] if version else "unknown",
        license="MIT",
        sha256={file_name: digest},
        origin=source.origin,
    )
    return Table(kind if name is None else name, datasets, provenance)


def _names_of(schedules: Sequence[str]) -> list[str]:
    if isinstance(schedules, str):
        raise InvalidInputError(f"schedules is a list, e.g. [{schedules!r}], not a text")
    return [str(schedule) for schedule in schedules]


def _name_of(source: Source, space: SearchSpace) -> str:
    is_older = source.benchmark == _TITLES["nas-bench-201"] and space is _cells()
    return "nas-bench-201" if is_older else _NAMES[space.name]


def _check_free(name: str, digest: str, schedules: Sequence[str]) -> None:
    """Refuse the name of a table of another archive or of other schedules; reading for minutes would be in vain."""
    if name in imported_names():
        table = load_table(name)
        is_same = {key.rpartition("-")[2] for key in table.datasets} == set(schedules)
        if not is_same or digest not in table.provenance.sha256.values():
            raise name_is_taken(name)


class _Reading:
    """Architectures on their way from an archive into a store.

    Args:
        store: The store.
        schedules: Training schedules to keep; empty: all.
        on_first: Called with the schedules and the space of the first architecture that is read, before it is kept.

    Attributes:
        num_read: Architectures so far, those of an earlier call included.
    """

    def __init__(
        self, store: RecordStore, schedules: Sequence[str], on_first: Callable[[Sequence[str], SearchSpace], None]
    ) -> None:
        self.store = store
        self._on_first: Callable[[Sequence[str], SearchSpace], None] | None = on_first
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
        states = {_SCHEDULES.get(key, key) if type(key) is str else "": state for key, state in results.items()}
        if len(states) < len(results) or not all(_SCHEDULE.fullmatch(schedule) for schedule in states):
            raise TableError("it has a training schedule that no official archive has")
        trials = []
        for schedule, state in states.items():
            is_wanted = not self._schedules or schedule in self._schedules
            if is_wanted or self._on_first is not None:
                space, row = _place(state)
            if self._on_first is not None:
                self._on_first(list(states), space)
                self._on_first = None
            if is_wanted:
                trials += trials_of(schedule, state, index, row)
        return trials


def _place(state: Any) -> tuple[SearchSpace, int]:
    text = state.get("arch_str") if type(state) is dict else None
    if type(text) is not str:
        raise TableError("it has no architecture string")
    space = _space_of([text])
    try:
        return space, space.from_string(text)
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
