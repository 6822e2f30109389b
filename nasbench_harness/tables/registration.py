"""Adding and removing imported tables: any ``Table`` becomes one, whatever it was read from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import numpy as np

from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.tables.cache import hide, open_table, refuse_link, verify_table, write_table
from nasbench_harness.tables.imported import (
    SPEC_DIGEST,
    SUMMARY,
    digest_of_spec,
    imported_names,
    imported_table_folder,
    summary_of,
)
from nasbench_harness.tables.location import SPEC
from nasbench_harness.tables.metadata import is_metric_name
from nasbench_harness.tables.registry import load_table, table_entry_points, tasks_of_tables, trained_task_names
from nasbench_harness.tables.table import Dataset, Table
from nasbench_harness.untrusted import fault_of_text, is_name


def register_table(table: Table, *, replace: bool = False, spec: str = "") -> Table:
    """Keep a table in the cache under its name; from then on its data sets are tasks like any other.

    An import of a CSV or Parquet file has checked that runs can be scored; tasks of other tables check it when loaded.
    ``tables list`` prints the provenance's ``source``. Two processes may register the same table at once; both succeed.

    Args:
        table: The table; nothing in it may depend on this machine or on the time.
        replace: Take the place of a table of this name that has other content.
        spec: Text of the specification that it was imported with; kept beside it.

    Returns:
        The table as it is in the cache, memory-mapped.

    Raises:
        InvalidInputError: A name cannot be used, a shape is wrong, or the name belongs to another table.
        TableError: The cache cannot be written, or the table of this name is damaged.
    """
    check_names(table.name, table.datasets)
    _check_texts(table)
    for name, dataset in table.datasets.items():
        _check_dataset(f"{table.name}-{name}", dataset)
    folder = imported_table_folder(table.name)
    texts = {SUMMARY: summary_of(table), **({SPEC: spec, SPEC_DIGEST: digest_of_spec(spec)} if spec else {})}
    digest = write_table(table, folder, texts, replace=replace)
    load_table.cache_clear()
    stored = open_table(folder)
    verify_table(stored)
    if stored.digest != digest:
        raise name_is_taken(table.name)
    return stored


def name_is_taken(name: str) -> InvalidInputError:
    """The error for a name that belongs to a table with other content."""
    return InvalidInputError(
        f"there is another table named {name}: give this one another --name, or --replace that one"
    )


def remove_table(name: str) -> None:
    """Delete an imported table.

    Raises:
        InvalidInputError: The table came with a package.
        UnknownNameError: There is no such table.
        TableError: The cache cannot be written.
    """
    if name in table_entry_points():
        raise InvalidInputError(f"table {name} is no imported one: it belongs to an installed package")
    if name not in imported_names():
        raise UnknownNameError("imported table", name, imported_names())
    folder = imported_table_folder(name)
    refuse_link(folder.parent)
    try:
        shutil.rmtree(hide(folder))  # hidden first, so that nobody finds half a table
    except OSError as error:
        raise TableError(f"cannot remove {folder}: {error.strerror}") from error
    load_table.cache_clear()


def check_names(table: str, datasets: Mapping[str, object]) -> None:
    """Raise InvalidInputError unless table and data sets can have these names."""
    if not datasets:
        raise InvalidInputError(f"table {table} has no data set")
    for kind, name in [("table", table), *(("data set", name) for name in datasets)]:
        if not is_name(name):
            raise InvalidInputError(
                f"{name!r} cannot name a {kind}: use small letters, digits, '.', '_' and '-', at most 64 of them"
            )
    if table in table_entry_points():
        raise InvalidInputError(f"table {table} comes with an installed package: give the imported one another name")
    taken = {task: owner for task, owner, _ in tasks_of_tables() if owner != table}
    for dataset in datasets:
        if f"{table}-{dataset}" in trained_task_names():
            raise InvalidInputError(f"there is a task {table}-{dataset} that trains on demand: use another name")
        if f"{table}-{dataset}" in taken:
            owner = taken[f"{table}-{dataset}"]
            raise InvalidInputError(f"table {owner} has a task {table}-{dataset} already: use another name")


def _check_texts(table: Table) -> None:
    provenance = table.provenance
    texts = [(f"the {key} of table {table.name}", getattr(provenance, key)) for key in ("source", "version", "license")]
    for name, dataset in table.datasets.items():
        task = f"{table.name}-{name}"
        texts.append((f"the title of {task}", dataset.title))
        texts += [(f"a note of {task}", note) for note in dataset.notes]
        texts += [(f"the unit of {metric} in {task}", column.metric.unit) for metric, column in dataset.columns.items()]
    for place, text in texts:
        if fault := fault_of_text(text):
            raise InvalidInputError(f"{place} {fault}: write it as plain text on one line")


def _check_dataset(task: str, dataset: Dataset) -> None:
    searched = [column for column in dataset.columns.values() if column.metric.role == "search"]
    if not searched:
        raise InvalidInputError(f"{task} has no metric with the role search: there is nothing to search by")
    tests = [column for column in dataset.columns.values() if column.metric.role == "test"]
    for column in (*searched[:1], *tests[:1]):
        if np.isnan(column.values).all():
            raise InvalidInputError(f"{task}: {column.metric.name} has no value at all: leave it out")
    if list(dataset.fidelities) != sorted(set(dataset.fidelities)):
        raise InvalidInputError(f"{task}: fidelities must ascend, not {list(dataset.fidelities)}")
    num_fidelities = max(len(dataset.fidelities), 1)
    for name, column in dataset.columns.items():
        if not is_metric_name(name) or name != column.metric.name:
            raise InvalidInputError(f"{name!r} cannot name a metric of {task}: use small letters, digits and '_'")
        shape, rows = column.values.shape, dataset.space.num_architectures
        if len(shape) != 3 or shape[0] != rows or not shape[1] or shape[2] not in (1, num_fidelities):
            raise InvalidInputError(
                f"{name} of {task} must have shape (num_architectures, num_replicates, num_fidelities) = "
                f"({rows}, …, 1 or {num_fidelities}), not {shape}"
            )
