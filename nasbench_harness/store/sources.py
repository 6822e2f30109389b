"""Tables that a study's runs were made with: noted beside them, so that a missing or another table is named."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError, StoreError
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.segments import read_record
from nasbench_harness.tables.imported import fault_of_spec, imported_names
from nasbench_harness.tables.location import SPEC
from nasbench_harness.tables.registry import refuse_damaged
from nasbench_harness.tables.table import Table
from nasbench_harness.untrusted import below, one_line

_FOLDER = "tables"


def note_tables(folder: StudyFolder, tasks: Iterable[tuple[str, Table]]) -> None:
    """Write name, digest and source of each table, and copy the specification that it was imported with.

    Args:
        folder: The study.
        tasks: Name and table of each task.
    """
    tables: dict[str, tuple[Table, list[str]]] = {}
    for task, table in tasks:
        tables.setdefault(table.name, (table, []))[1].append(task)
    for name, (table, names) in tables.items():
        note = {
            "name": name,
            "digest": table.digest,
            "source": table.provenance.source,
            "version": table.provenance.version,
            "tasks": sorted({*names, *_note_of(folder, name).get("tasks", [])}),
        }
        folder.write_json(below(folder.path / _FOLDER, f"{name}.json"), note)
        if table.folder is not None and (table.folder / SPEC).is_file() and not fault_of_spec(table.folder):
            folder.write_bytes(_spec(folder, name), (table.folder / SPEC).read_bytes())


def check_task_exists(folder: StudyFolder, task: str, known: Iterable[str]) -> None:
    """Refuse a task of a study whose table is not here.

    Raises:
        TableError: The table is here, but damaged.
        StoreError: The study has runs or a note of the task, but there is no such task; names table and digest.
    """
    if task.partition("@")[0] in known:  # a task with choices left out has the table of the whole one
        return
    notes = [note for note in _notes(folder) if task in note["tasks"]]
    try:
        digests = sorted(_stored_digests(folder, task))
    except InvalidInputError:  # no folder can have this name, so that the study has no runs of it
        digests = []
    if notes:
        name = notes[0]["name"]
        is_other = name in imported_names()  # it lacks the task
        refuse_damaged(task.partition("@")[0])
        raise StoreError(
            f"the table {name} of the study {folder.shown} is not here{', another one has its name' * is_other}: "
            f"digest {one_line(notes[0]['digest'][:16])}, source {_first_line(notes[0]['source'])}: "
            f"{_import(folder, name, ' --replace' * is_other)}"
        )
    if digests:
        raise StoreError(
            f"the table of the task {task} of the study {folder.shown} is not here (digest {digests[0][:16]}): import "
            "it again under its old name"
        )


def check_digest(folder: StudyFolder, task: str, table: Table) -> None:
    """Refuse a table that has the name, but not the content of the one that a task's runs were made with.

    Raises:
        StoreError: No stored run of the task was made with it; names both digests.
    """
    digests = _stored_digests(folder, task, table.digest)
    if not digests or table.digest in digests:
        return
    note = _note_of(folder, table.name)
    version = f", version {one_line(note['version'])}" if note and note["version"] else ""
    source = f" ({_first_line(note['source'])}{version})" if note else ""
    advice = _import(folder, table.name, " --replace") if table.name in imported_names() else "bring that version back"
    digest = one_line(min(digests)[:16])
    raise StoreError(
        f"the runs of {task} in {folder.shown} were made with a table {table.name} of digest {digest}"
        f"{source}, but the one here has digest {table.digest[:16]}: {advice}, or compare under another --out"
    )


def _stored_digests(folder: StudyFolder, task: str, enough: str = "") -> set[str]:
    """Digests of the tables that stored runs of a task were made with; ends when ``enough`` is among them."""
    digests: set[str] = set()
    for runs in sorted(folder.task_folder(task).glob("*/")):
        for path in sorted(runs.glob("*.parquet")):
            with suppress(StoreError, KeyError, TypeError):  # damaged segments are found elsewhere
                digests.add(str(read_record(path)["identity"]["table"]))
                break
        if enough in digests:
            break
    return digests


def _notes(folder: StudyFolder) -> list[dict[str, Any]]:
    paths = sorted((folder.path / _FOLDER).glob("*.json"))
    return [note for path in paths if (note := _note_of(folder, path.stem))]


def _note_of(folder: StudyFolder, table: str) -> dict[str, Any]:
    """The note of a table; empty if there is none, or it is damaged: the next command writes it again."""
    try:
        note = json.loads(below(folder.path / _FOLDER, f"{table}.json").read_text(encoding="utf-8"))
        texts = [note["name"], note["digest"], note["source"], note["version"], *note["tasks"]]
    except (InvalidInputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return note if note["name"] == table and all(isinstance(text, str) for text in texts) else {}


def _import(folder: StudyFolder, table: str, flags: str) -> str:
    """How to get a table back."""
    path = _spec(folder, table)
    if path.is_file():
        spec = shlex.quote(str(folder.show(path)))
        return f"nasbench-harness tables import FILE --spec {spec} --name {shlex.quote(table)}{flags}"
    return f"import that one again as {table}{flags}"


def _spec(folder: StudyFolder, table: str) -> Path:
    return below(folder.path / _FOLDER, f"{table}.toml")


def _first_line(text: str) -> str:
    return one_line(text.partition("\n")[0]) or "unknown"
