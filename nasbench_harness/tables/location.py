"""Folders of tables; imports nothing heavy, so that names can be listed quickly."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NASBENCH_HARNESS_CACHE"
# The table of cells that this package trained; it is a table like any other if the file is there.
TRAINED_CELLS = Path(__file__).parent / "data" / "tiny201.parquet"
TRAINED_CELLS_SHA256 = "7fca772c2eeef3f8f484392a6daccb8128105f0054769c6830937bc72f5ad7e3"
SPEC = "spec.toml"  # the specification that a table was imported with, beside its arrays


def cache_folder() -> Path:
    """Folder of all converted tables: ``NASBENCH_HARNESS_CACHE``, else the platform's cache folder.

    It is absolute: a strategy may change the current folder.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("nasbench-harness", appauthor=False).expanduser()


def imported_folder() -> Path:
    """Folder of the tables that people imported, one folder each; a table may be moved as a whole."""
    return cache_folder() / "imported"
