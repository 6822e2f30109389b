"""Imported tables by name: one folder each, described by a small file that is read without numpy."""

from __future__ import annotations

import json
from pathlib import Path

from nasbench_harness.tables.location import imported_folder

SUMMARY = "summary.json"


def imported_names() -> list[str]:
    """Names of all imported tables, sorted."""
    folder = imported_folder()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def imported_table_folder(name: str) -> Path:
    """Folder of an imported table."""
    return imported_folder() / name


def describe_imported(name: str) -> tuple[str, dict[str, str]]:
    """Source of an imported table and its {data set: title}; a damaged one says so and has no data sets."""
    try:
        summary = json.loads((imported_table_folder(name) / SUMMARY).read_text(encoding="utf-8"))
        return str(summary["summary"]), {str(key): str(title) for key, title in summary["datasets"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"damaged (no readable {SUMMARY}): import it again with --replace, or remove it", {}
