"""Imported tables by name: one folder each, described by a small file that is read without numpy."""

from __future__ import annotations

import hashlib
import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_harness.files import write_whole
from nasbench_harness.tables.location import SPEC, imported_folder
from nasbench_harness.untrusted import fault_of_text, is_name, one_line, read_text

if TYPE_CHECKING:
    from nasbench_harness.tables.table import Table

SUMMARY = "summary.json"
SPEC_DIGEST = "spec.sha256"
_MOST_BYTES = 1 << 20


def imported_names() -> list[str]:
    """Names of all imported tables, sorted."""
    folder = imported_folder()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if is_name(path.name) and path.is_dir())


def imported_table_folder(name: str) -> Path:
    """Folder of an imported table."""
    return imported_folder() / name


def describe_imported(name: str) -> tuple[str, dict[str, str]]:
    """Source of an imported table and its {data set: title}; a damaged one says so and has no data sets.

    If the small file is lost or damaged, it is written again from the table.
    """
    try:
        summary = json.loads(read_text(imported_table_folder(name) / SUMMARY, _MOST_BYTES))
        texts = {str(key): str(title) for key, title in summary["datasets"].items()}
        if not texts or not all(map(is_name, texts)):
            raise ValueError("it holds names that no data set has")
        if any(map(fault_of_text, (*texts.values(), str(summary["summary"])))):
            raise ValueError("it holds texts that no table has")
        return str(summary["summary"]), texts
    # It is read without checks of every part: a wrong kind of value shows as one of these.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _described_again(imported_table_folder(name))


def description_of(table: Table) -> tuple[str, dict[str, str]]:
    """Source of a table and its {data set: title}."""
    return table.provenance.source, {name: dataset.title for name, dataset in table.datasets.items()}


def summary_of(table: Table) -> str:
    """Text of the small file that lists a table."""
    source, titles = description_of(table)
    return json.dumps({"summary": source, "datasets": titles}, indent=1, ensure_ascii=False)


def fault_of_spec(folder: Path) -> str:
    """Damage of the specification that a table was imported with, in words; empty if there is none, or no such file."""
    try:
        recorded = read_text(folder / SPEC_DIGEST, _MOST_BYTES) if (folder / SPEC_DIGEST).exists() else ""
        if recorded or (folder / SPEC).exists():
            text = read_text(folder / SPEC, _MOST_BYTES)
            if recorded and digest_of_spec(text) != recorded:
                return f"{SPEC} does not match its digest"
            tomllib.loads(text)  # a table that was imported by an older version has no digest of it
    except OSError as error:
        return f"{SPEC} cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return f"{SPEC} is no TOML"
    return ""


def digest_of_spec(text: str) -> str:
    """Digest that stands beside a specification."""
    return hashlib.sha256(text.encode()).hexdigest()


def _described_again(folder: Path) -> tuple[str, dict[str, str]]:
    from nasbench_harness.tables.cache import CorruptTableError, open_table

    try:
        table = open_table(folder)
    except CorruptTableError as error:
        return f"damaged ({one_line(error.reason)}): import it again with --replace, or remove it", {}
    if not (folder.is_symlink() or folder.parent.is_symlink()):  # nothing is written through a link
        with suppress(OSError):  # the next command reads the table again
            write_whole(folder / SUMMARY, summary_of(table).encode())
    return description_of(table)
