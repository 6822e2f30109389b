"""Folders of tables; imports nothing heavy, so that names can be listed quickly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "NASBENCH_HARNESS_CACHE"
SPEC = "spec.toml"  # the specification that a table was imported with, beside its arrays


def cache_folder() -> Path:
    """Folder of all converted tables: ``NASBENCH_HARNESS_CACHE``, else the platform's cache folder.

    It is absolute: a strategy may change the current folder.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "nasbench-harness"


def imported_folder() -> Path:
    """Folder of the tables that people imported, one folder each; a table may be moved as a whole."""
    return cache_folder() / "imported"
