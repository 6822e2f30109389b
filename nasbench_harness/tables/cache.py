"""The cache: one folder per converted table, written whole or not at all, opened as memory maps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError
from nasbench_harness.tables.location import VARIABLE, imported_folder
from nasbench_harness.tables.table import Column, Metric, Table, metadata_of, table_from_metadata

METADATA = "table.json"
_DIGEST = "table.sha256"


def write_table(table: Table, folder: Path, texts: Mapping[str, str] | None = None, *, replace: bool = False) -> str:
    """Write a table as memory-mappable arrays; ``folder`` appears complete or not at all.

    Two processes may write the same folder at once: the first to finish wins and both succeed.

    Args:
        table: The table.
        folder: Where it shall lie.
        texts: Small files that lie beside it, by name.
        replace: Take the place of a folder that exists; by default that one stays.

    Returns:
        The digest of the table that was to be written.

    Raises:
        TableError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            digest = _write(table, temporary, texts or {})
            temporary.chmod(0o755)
            _put(temporary, folder, replace)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise TableError(
            f"cannot write the cache {folder.parent}: {error.strerror}; set {VARIABLE} to a folder you may write"
        ) from error
    return digest


def _write(table: Table, temporary: Path, texts: Mapping[str, str]) -> str:
    files: dict[tuple[str, str], tuple[str, str]] = {}
    for dataset, entry in table.datasets.items():
        for name, column in entry.columns.items():
            path = temporary / f"{dataset}.{name}.npy"
            np.save(path, np.ascontiguousarray(column.values), allow_pickle=False)
            files[dataset, name] = (path.name, _sha256(path))
    text = json.dumps(metadata_of(table, files), indent=1)
    digest = hashlib.sha256(text.encode()).hexdigest()
    for name, content in {**texts, METADATA: text, _DIGEST: digest}.items():
        (temporary / name).write_text(content, encoding="utf-8")
    return digest


def _put(temporary: Path, folder: Path, replace: bool) -> None:
    if replace and folder.is_dir():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with suppress(FileNotFoundError):  # another process replaces it, too
                folder.rename(old / folder.name)
            _put(temporary, folder, replace=False)
        finally:
            shutil.rmtree(old, ignore_errors=True)
        return
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process was faster: its folder is as good
            raise


class CachedColumn(Column):
    """A column whose array lies in the cache: mapped and compared with its digest when it is first read.

    Large tables hold much that a study never reads. In another process it is opened again, not copied there.

    Args:
        metric: What it means.
        path: The array.
        sha256: Of the file.
    """

    path: Path
    sha256: str

    def __init__(self, metric: Metric, path: Path, sha256: str) -> None:
        for name, value in {"metric": metric, "path": path, "sha256": sha256}.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type, tuple[Metric, Path, str]]:
        return CachedColumn, (self.metric, self.path, self.sha256)

    @cached_property
    def values(self) -> Floats:
        """The array, read-only.

        Raises:
            TableError: It is missing or damaged.
        """
        damage = _damage(self.path, self.sha256)
        if damage:
            raise _corrupt(self.path.parent, damage)
        return _mapped(self.path)


def open_table(folder: Path, *, is_checked: bool = True) -> Table:
    """Open a cached table; an array is mapped and compared with its digest when it is first read.

    Args:
        folder: Where it lies.
        is_checked: Else all arrays are mapped now, whatever they hold.

    Raises:
        TableError: The metadata are missing or damaged; unchecked: an array cannot be mapped.
    """

    def column(metric: Metric, file: str, sha256: str) -> Column:
        return CachedColumn(metric, folder / file, sha256) if is_checked else Column(metric, _mapped(folder / file))

    try:
        text = (folder / METADATA).read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest != (folder / _DIGEST).read_text(encoding="utf-8"):
            raise ValueError(f"{METADATA} does not match its digest")
        return dataclasses.replace(table_from_metadata(text, digest, column), folder=folder)
    except Exception as error:  # a flipped bit in an array's header can raise nearly anything
        raise _corrupt(folder, str(error) or type(error).__name__) from error


def verify_table(table: Table) -> None:
    """Compare every cached array with the digest that was recorded when it was written.

    Raises:
        TableError: An array differs.
    """
    if table.folder is None:
        return
    for finding in damaged_arrays(table.folder):
        raise _corrupt(table.folder, finding)


def damaged_arrays(folder: Path) -> Iterator[str]:
    """What is wrong with the arrays of a folder whose metadata is whole, a line for each array that is."""
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    for dataset in metadata["datasets"].values():
        for column in dataset["columns"]:
            damage = _damage(folder / column["file"], column["sha256"])
            if damage:
                yield damage


def _damage(path: Path, sha256: str) -> str:
    """What is wrong with an array's file; empty where nothing is."""
    try:
        return "" if _sha256(path) == sha256 else f"{path.name} does not match its digest"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"


def _mapped(path: Path) -> Floats:
    array: Floats = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _corrupt(folder: Path, reason: str) -> TableError:
    advice = (
        "import it again with --replace" if folder.parent == imported_folder() else "delete that folder and run again"
    )
    return TableError(f"the cached table {folder} is corrupt ({reason}): {advice}")
