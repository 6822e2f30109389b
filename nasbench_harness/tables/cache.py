"""The cache: one folder per converted table, written whole or not at all, opened as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from nasbench_harness.errors import TableError
from nasbench_harness.tables.table import Table, metadata_of, table_from_metadata

VARIABLE = "NASBENCH_HARNESS_CACHE"
_METADATA = "table.json"
_DIGEST = "table.sha256"


def cache_folder() -> Path:
    """Folder of all converted tables: ``NASBENCH_HARNESS_CACHE``, else the platform's cache folder."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "nasbench-harness"


def write_table(table: Table, folder: Path) -> None:
    """Write a table as memory-mappable arrays; ``folder`` appears complete or not at all.

    Two processes may write the same folder at once: the first to finish wins and both succeed.

    Raises:
        TableError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        _write_and_rename(table, folder, temporary)
    except OSError as error:
        raise TableError(
            f"cannot write the cache {folder.parent}: {error.strerror}; set {VARIABLE} to a folder you may write"
        ) from error


def _write_and_rename(table: Table, folder: Path, temporary: Path) -> None:
    try:
        files: dict[tuple[str, str], tuple[str, str]] = {}
        for dataset, entry in table.datasets.items():
            for name, column in entry.columns.items():
                path = temporary / f"{dataset}.{name}.npy"
                np.save(path, np.ascontiguousarray(column.values), allow_pickle=False)
                files[dataset, name] = (path.name, _sha256(path))
        text = json.dumps(metadata_of(table, files), indent=1)
        (temporary / _METADATA).write_text(text, encoding="utf-8")
        (temporary / _DIGEST).write_text(hashlib.sha256(text.encode()).hexdigest(), encoding="utf-8")
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster: its folder is as good
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def open_table(folder: Path) -> Table:
    """Open a cached table as memory maps; the arrays' contents are checked by ``verify_table``.

    Raises:
        TableError: The metadata or an array is missing or damaged.
    """
    try:
        text = (folder / _METADATA).read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest != (folder / _DIGEST).read_text(encoding="utf-8"):
            raise ValueError(f"{_METADATA} does not match its digest")
        return table_from_metadata(text, digest, folder)
    except Exception as error:  # a flipped bit in an array's header can raise nearly anything
        raise _corrupt(folder, str(error) or type(error).__name__) from error


def verify_table(table: Table) -> None:
    """Compare every cached array with the digest that was recorded when it was written.

    Raises:
        TableError: An array differs.
    """
    if table.folder is None:
        return
    metadata = json.loads((table.folder / _METADATA).read_text(encoding="utf-8"))
    for dataset in metadata["datasets"].values():
        for column in dataset["columns"]:
            if _sha256(table.folder / column["file"]) != column["sha256"]:
                raise _corrupt(table.folder, f"{column['file']} does not match its digest")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _corrupt(folder: Path, reason: str) -> TableError:
    return TableError(f"the cached table {folder} is corrupt ({reason}): delete that folder and run again")
