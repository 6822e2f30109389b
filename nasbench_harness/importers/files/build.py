"""Importing a file as a table, and extending a table by the columns of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace as changed
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.importers.files.metrics import Layout, check_axes, column_of, fidelities_of, layout_of
from nasbench_harness.importers.files.reader import Content, TableFile
from nasbench_harness.importers.files.rows import key_rows, number_columns, refuse_repeated, rows_of, text_columns
from nasbench_harness.importers.files.spec import ExtendSpec, ImportSpec, MetricSpec, read_spec
from nasbench_harness.spaces import ProductSpace, SearchSpace
from nasbench_harness.tables.extending import joined_digests
from nasbench_harness.tables.location import SPEC
from nasbench_harness.tables.registration import check_names, register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, MetricArray, Provenance, Table
from nasbench_harness.untrusted import fault_of_text, one_line

_Metrics = Mapping[str, MetricSpec]
_Layouts = Mapping[str, Layout]
MOST_VALUES = 1 << 28  # 2 GiB


def import_table(file: Path, spec: Path, name: str | None = None, *, replace: bool = False) -> Table:
    """Import a CSV or Parquet file; its data sets are tasks from then on.

    Args:
        file: The table file.
        spec: The specification (TOML).
        name: Name of the table; default: the specification's.
        replace: Take the place of another table of this name.

    Raises:
        InvalidInputError: A mistake in one of the files, with its place; nothing was imported.
        TableError: The cache cannot be written.
    """
    table = read_table(file, spec, name)
    _check_scores(table, spec)
    return register_table(table, replace=replace, spec=spec.read_text(encoding="utf-8"))


def read_table(file: Path, spec_path: Path, name: str | None = None) -> Table:
    """The table of a file and its specification, in memory (see ``import_table``)."""
    spec = read_spec(spec_path, ImportSpec)
    table_name = _name(name, spec.name, spec_path, spec.datasets)
    source = TableFile(file, spec.delimiter)
    layouts = {key: _layouts(dataset.metrics, source) for key, dataset in spec.datasets.items()}
    numbers = [*number_columns(spec.space), *_columns_in(layouts)]
    content = source.read(text_columns(spec.space), numbers)
    space, rows = rows_of(spec.space, content, table_name)
    datasets, room = {}, MOST_VALUES
    for key, dataset in spec.datasets.items():
        task = f"{spec_path}, {key}"
        fidelities = fidelities_of(task, dataset.fidelities, layouts[key])
        room -= _num_values(dataset.metrics, layouts[key], space, fidelities)
        _check_room(room, spec_path)
        columns = _columns(dataset.metrics, layouts[key], content, rows, space, fidelities)
        check_axes(task, columns, fidelities)
        default = dataset.default_fidelity
        if default is not None and default not in fidelities:
            known = ", ".join(map(str, fidelities)) or "none"
            raise InvalidInputError(f"{task}: default_fidelity {default} is none of its fidelities ({known})")
        data = tuple(dataset.data)
        datasets[key] = Dataset(dataset.title, space, columns, fidelities, default_fidelity=default, data=data)
    return Table(table_name, datasets, Provenance(spec.source, spec.version, spec.license, _digest(file)))


def extend_table(base: str, file: Path, spec: Path, name: str | None = None, *, replace: bool = False) -> Table:
    """Join further columns to a table by its architectures; the result is an imported table of its own.

    Architectures that are not in the file have no value there.

    Args:
        base: Name of the table to extend.
        file: The file with the columns.
        spec: The specification (TOML).
        name: Name of the new table; default: the specification's.
        replace: Take the place of another table of this name.

    Raises:
        InvalidInputError: A mistake in one of the files, with its place; nothing was imported.
        TableError: The cache cannot be written.
    """
    old = load_table(base)
    table = extended_table(old, file, spec, name)
    _check_scores(table, spec)
    return register_table(table, replace=replace, spec=_with_decisions(spec, _decisions_of(old)))


def extended_table(base: Table, file: Path, spec_path: Path, name: str | None = None) -> Table:
    """The extended table, in memory (see ``extend_table``)."""
    spec = read_spec(spec_path, ExtendSpec)
    table_name = _name(name, spec.name, spec_path, base.datasets)
    if table_name == base.name:
        raise InvalidInputError(f"the extended table needs another name than {base.name}: give --name")
    source = TableFile(file, spec.delimiter)
    for key, extension in spec.datasets.items():
        _check_new(base, key, extension.metrics, spec_path)
    layouts = {key: _layouts(extension.metrics, source) for key, extension in spec.datasets.items()}
    numbers = _columns_in(layouts)
    is_index = spec.key_format == "index"
    content = source.read(() if is_index else spec.key, [*spec.key, *numbers] if is_index else numbers)
    datasets, room = dict(base.datasets), MOST_VALUES
    for key, extension in spec.datasets.items():
        old = base.datasets[key]
        fidelities = fidelities_of(f"{spec_path}, {key}", list(old.fidelities), layouts[key])
        room -= _num_values(extension.metrics, layouts[key], old.space, fidelities)
        _check_room(room, spec_path)
        rows = _rows_in(base, old.space, content, spec)
        columns = _columns(extension.metrics, layouts[key], content, rows, old.space, fidelities)
        joined = {**old.columns, **columns}
        check_axes(f"{spec_path}, {key}", joined, fidelities)
        datasets[key] = changed(old, columns=joined, fidelities=fidelities)
    return Table(table_name, datasets, _joined(base.provenance, spec, file))


def coverage(base: Table, extended: Table) -> dict[str, int]:
    """Number of architectures that have a value of a new metric, by data set that has new metrics."""
    counts = {}
    for key, dataset in extended.datasets.items():
        new = [column for name, column in dataset.columns.items() if name not in base.datasets[key].columns]
        if new:
            has_value = [(~np.isnan(column.values)).any(axis=(1, 2)) for column in new]
            counts[key] = int(np.any(has_value, axis=0).sum())
    return counts


def _name(given: str | None, own: str | None, spec_path: Path, datasets: Mapping[str, object]) -> str:
    name = own if given is None else given
    if not name:
        raise InvalidInputError(f"the table has no name: give --name, or name = … in {spec_path}")
    try:
        check_names(name, datasets)
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}" if given else f"{spec_path}: {error}") from None
    return name


def _check_scores(table: Table, spec_path: Path) -> None:
    """Raise InvalidInputError unless runs on each of its data sets can be scored."""
    for dataset in table.datasets:
        try:
            make_task(table, dataset)
        except (InvalidInputError, TableError) as error:
            raise InvalidInputError(f"{spec_path}: {error}") from error


def _layouts(metrics: _Metrics, source: TableFile) -> _Layouts:
    return {name: layout_of(metric, source) for name, metric in metrics.items()}


def _columns_in(layouts: Mapping[str, _Layouts]) -> list[str]:
    return [
        name
        for of_dataset in layouts.values()
        for layout in of_dataset.values()
        for names in layout.values()
        for name in names
    ]


def _columns(
    metrics: _Metrics,
    layouts: _Layouts,
    content: Content,
    rows: Ints,
    space: SearchSpace,
    fidelities: tuple[int, ...],
) -> dict[str, MetricArray]:
    size = space.num_architectures
    return {
        name: column_of(name, metric, layouts[name], content, rows, size, fidelities)
        for name, metric in metrics.items()
    }


def _num_values(metrics: _Metrics, layouts: _Layouts, space: SearchSpace, fidelities: tuple[int, ...]) -> int:
    """Numbers that the arrays of a data set hold, whether the file has them or not."""
    per_architecture = 0
    for name, layout in layouts.items():
        num_epochs = len(fidelities) or 1 if metrics[name].proportional_to_epochs else len(layout)
        per_architecture += num_epochs * len(next(iter(layout.values())))
    return per_architecture * space.num_architectures


def _check_room(room: int, spec_path: Path) -> None:
    if room < 0:
        raise InvalidInputError(
            f"{spec_path}: architectures × replicates × epochs of all metrics are more than {MOST_VALUES:,} values, "
            "which is too much for one table: leave out metrics or epochs"
        )


def _check_new(base: Table, dataset: str, metrics: _Metrics, spec_path: Path) -> None:
    if dataset not in base.datasets:
        raise UnknownNameError("data set", dataset, base.datasets, f"table {base.name}")
    has_cost = bool(base.metrics(dataset, "cost"))
    for name, metric in metrics.items():
        if has_cost and metric.role == "cost":
            raise InvalidInputError(f"{spec_path}: {base.name}-{dataset} has a cost already: give {name} another role")
        if name in base.datasets[dataset].columns:
            raise InvalidInputError(f"{spec_path}: {base.name}-{dataset} has a metric {name} already: give it another")


def _rows_in(base: Table, space: SearchSpace, content: Content, spec: ExtendSpec) -> Ints:
    if len(spec.key) == 1:
        rows = key_rows(space, content, spec.key[0], spec.key_format)
    elif type(space) is not ProductSpace:
        raise InvalidInputError(f"an architecture of the space {space.name} is named by one column: give one as key")
    else:
        names = spec.decisions or _decisions_of(base)
        rows = _rows_by_decisions(space, content, names if sorted(names) == sorted(spec.key) else spec.key)
    refuse_repeated(content, rows, spec.key[0])
    return rows


def _decisions_of(base: Table) -> tuple[str, ...]:
    """Names of a product's decisions, if the specification that it was imported or extended with has them."""
    if base.folder is None or not (base.folder / SPEC).is_file():
        return ()
    with suppress(InvalidInputError):
        return tuple(read_spec(base.folder / SPEC, ImportSpec).space.decisions)
    with suppress(InvalidInputError):
        return read_spec(base.folder / SPEC, ExtendSpec).decisions
    return ()  # that of an older version


def _with_decisions(spec: Path, names: tuple[str, ...]) -> str:
    """Text of an extension's specification, with the names of the decisions, which a further extension needs."""
    text = spec.read_text(encoding="utf-8")
    is_complete = not names or bool(read_spec(spec, ExtendSpec).decisions)
    return text if is_complete else f"decisions = {json.dumps(names, ensure_ascii=False)}\n{text}"


def _rows_by_decisions(space: ProductSpace, content: Content, columns: tuple[str, ...]) -> Ints:
    """Architectures by columns that hold the choices of a product, in the order of its decisions."""
    import pyarrow.compute as pc

    joined = pc.binary_join_element_wise(*(content.texts[column] for column in columns), space.separator)
    combined = changed(content, texts={columns[0]: joined})
    return key_rows(space, combined, columns[0], "string")


def _digest(file: Path) -> dict[str, str]:
    if fault := fault_of_text(file.name):
        raise InvalidInputError(f"the name of {one_line(str(file))} {fault}: rename the file")
    with file.open("rb") as opened:
        return {file.name: hashlib.file_digest(opened, "sha256").hexdigest()}


def _joined(old: Provenance, spec: ExtendSpec, file: Path) -> Provenance:
    licenses = old.license if spec.license == old.license else f"{old.license}; {spec.license}"
    digests = joined_digests(old.sha256, _digest(file))
    return Provenance(f"{old.source}; with {spec.source}", old.version, licenses, digests, old.origin)
