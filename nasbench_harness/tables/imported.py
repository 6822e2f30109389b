"""Imported tables by name: one folder each, described by a small file that is read without numpy."""

from __future__ import annotations

import json
from pathlib import Path

from nasbench_harness.tables.location import imported_folder
from nasbench_harness.untrusted import fault_of_text, is_name, read_text

SUMMARY = "summary.json"
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
    """Source of an imported table and its {data set: title}; a damaged one says so and has no data sets."""
    try:
        summary = json.loads(read_text(imported_table_folder(name) / SUMMARY, _MOST_BYTES))
        texts = {str(key): str(title) for key, title in summary["datasets"].items()}
        if not all(map(is_name, texts)) or any(map(fault_of_text, (*texts.values(), str(summary["summary"])))):
            raise ValueError("it holds names or texts that no table has")
        return str(summary["summary"]), texts
    # It is read without checks of every part: a wrong kind of value shows as one of these.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"damaged (no readable {SUMMARY}): import it again with --replace, or remove it", {}
