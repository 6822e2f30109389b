"""Which tables and tasks there are: found through entry points, named without importing their modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_harness.errors import HarnessError, UnknownNameError

if TYPE_CHECKING:
    from nasbench_harness.tables.table import Table

GROUP = "nasbench_harness.tables"
# Counts changes of how tables are converted; part of the cache folder's name.
_CONVERSION = 3


@cache
def table_entry_points() -> dict[str, EntryPoint]:
    """Entry point of every installed table provider, by table name."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def source_file(entry: EntryPoint) -> Path:
    """File of an entry point's module, found without importing anything."""
    top, *rest = entry.module.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise HarnessError(f"entry point {entry.name}: package {top} is not importable: reinstall it")
    return Path(spec.submodule_search_locations[0], *rest).with_suffix(".py")


@cache
def describe_table(name: str) -> tuple[str, dict[str, str]]:
    """First docstring line of a table's provider and its {data set: title}, read from the source."""
    tree = ast.parse(source_file(_entry(name)).read_text(encoding="utf-8"))
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return summary, dict(_constant(tree, "DATASETS"))


def task_names() -> list[str]:
    """Every task, ``<table>-<data set>``, in the order of the tables' entry points."""
    return [task for task, _, _ in _tasks()]


def split_task_name(task: str) -> tuple[str, str]:
    """Table and data set of a task.

    Raises:
        UnknownNameError: There is no such task.
    """
    for name, table, dataset in _tasks():
        if name == task:
            return table, dataset
    raise UnknownNameError("task", task, task_names())


@cache
def load_table(name: str) -> Table:
    """Open a table from the cache, converting it first where it is not there yet.

    Raises:
        UnknownNameError: There is no such table.
        TableError: Its source or its cache is damaged.
    """
    from nasbench_harness.tables.cache import open_table, verify_table, write_table

    entry = _entry(name)
    folder = table_folder(name)
    if not folder.exists():
        write_table(entry.load()(), folder)
    table = open_table(folder)
    verify_table(table)
    return table


def table_folder(name: str) -> Path:
    """Cache folder of a table; its name holds the version of the package that the table is read from."""
    from nasbench_harness.tables.cache import cache_folder

    tree = ast.parse(source_file(_entry(name)).read_text(encoding="utf-8"))
    return cache_folder() / "tables" / f"{name}-{version(_constant(tree, 'PACKAGE'))}-{_CONVERSION}"


def _entry(name: str) -> EntryPoint:
    if name not in table_entry_points():
        raise UnknownNameError("table", name, table_entry_points())
    return table_entry_points()[name]


def _tasks() -> Iterator[tuple[str, str, str]]:
    for table in table_entry_points():
        for dataset in describe_table(table)[1]:
            yield f"{table}-{dataset}", table, dataset


def _constant(tree: ast.Module, name: str) -> Any:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise HarnessError(f"a table provider must define the constant {name} at the top of its module")
