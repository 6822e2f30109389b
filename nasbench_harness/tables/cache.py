"""The cache: one folder per converted table, written whole or not at all, opened as memory maps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import HarnessError, InvalidInputError, TableError
from nasbench_harness.files import is_alive
from nasbench_harness.tables.location import VARIABLE, imported_folder
from nasbench_harness.tables.metadata import METADATA, StoredArray, array_file, metadata_of, table_from_metadata
from nasbench_harness.tables.table import Metric, MetricArray, Table
from nasbench_harness.untrusted import one_line, read_text, refuse_special_file

_DIGEST = "table.sha256"
_MOST_METADATA_BYTES = 256 << 20
_MOST_DIGEST_BYTES = 1_000
# The header of a file that np.save writes; nothing in it is evaluated.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>]f[248])', 'fortran_order': False, "
    rb"'shape': \((\d{1,9}), (\d{1,9}), (\d{1,9})\), \} *\n",
    re.DOTALL,
)
_MAGIC_BYTES = 10
_LONGEST_HEADER = 1_000


def write_table(table: Table, folder: Path, texts: Mapping[str, str] | None = None, *, replace: bool = False) -> str:
    """Write a table as memory-mappable arrays; ``folder`` appears complete or not at all.

    Two processes may write the same folder at once: the first to finish wins and both succeed. Temporary folders of
    processes that were killed are removed.

    Args:
        table: The table.
        folder: Its future folder.
        texts: Small files beside it, by name.
        replace: Take the place of a folder that exists; by default that one stays.

    Returns:
        The digest of the table that was to be written.

    Raises:
        InvalidInputError: The table's description could not be read again.
        TableError: The folder cannot be written, or a symbolic link stands in place of a folder.
    """
    try:
        refuse_link(folder.parent)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary = _temporary_folder(folder)
        try:
            digest = _write(table, temporary, texts or {})
            _put(temporary, folder, replace)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise TableError(
            f"cannot write the cache {folder.parent}: {error.strerror}; set {VARIABLE} to a folder you may write"
        ) from error
    return digest


def refuse_link(folder: Path) -> None:
    """Raise TableError if a symbolic link stands inside the cache: nothing is written or deleted through it."""
    if folder.is_symlink():
        raise TableError(
            f"{folder} is a symbolic link, which is not followed: delete the link, or set {VARIABLE} to the folder "
            "that the cache should be in"
        )


def hide(folder: Path) -> Path:
    """Move a folder of the cache, or a link, to a new hidden folder beside it, which is returned.

    Raises:
        OSError: It cannot be moved.
    """
    hidden = _temporary_folder(folder)
    try:
        folder.rename(hidden / folder.name)
    except OSError:
        hidden.rmdir()
        raise
    return hidden


def _temporary_folder(folder: Path) -> Path:
    """A new hidden folder beside ``folder`` whose name tells the host and the process that writes it."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    temporary = folder.with_name(f".{folder.name}-{host}-{os.getpid()}-{secrets.token_hex(4)}")
    temporary.mkdir()  # unlike tempfile.mkdtemp, with the permissions that the umask leaves
    return temporary


def _remove_abandoned(parent: Path) -> None:
    """Remove temporary folders of processes of this host that have ended."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    for path in parent.iterdir():
        match = re.fullmatch(rf"\..+-{host}-(\d{{1,9}})-[0-9a-f]{{8}}", path.name)
        if match and not is_alive(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)  # does not follow links


def _write(table: Table, temporary: Path, texts: Mapping[str, str]) -> str:
    digests: dict[str, str] = {}
    for dataset, entry in table.datasets.items():
        for name, column in entry.columns.items():
            path = temporary / array_file(dataset, name)
            values = column.values if column.values.dtype.kind == "f" else np.asarray(column.values, dtype=np.float64)
            np.save(path, np.ascontiguousarray(values), allow_pickle=False)
            digests[path.name] = _sha256(path)
    try:
        text = json.dumps(metadata_of(table, digests), indent=1)
        table_from_metadata(text, "", lambda metric, _: MetricArray(metric, np.empty((0, 0, 0))))  # nothing unreadable
    except (TypeError, TableError) as error:
        raise InvalidInputError(f"table {table.name} cannot be kept: {one_line(str(error))}") from error
    if len(text) > _MOST_METADATA_BYTES:
        raise TableError(f"the description of table {table.name} is larger than {_MOST_METADATA_BYTES >> 20} MB")
    digest = hashlib.sha256(text.encode()).hexdigest()
    for name, content in {**texts, METADATA: text, _DIGEST: digest}.items():
        (temporary / name).write_bytes(content.encode())  # the same bytes on every system
    return digest


def _put(temporary: Path, folder: Path, replace: bool) -> None:
    """Give the folder its name; a folder that is replaced is deleted only when the new one stands in its place."""
    if not (replace and (folder.is_dir() or folder.is_symlink())):
        refuse_link(folder)
        _rename(temporary, folder)
        return
    hidden = _temporary_folder(folder)
    try:
        with suppress(FileNotFoundError):  # another process replaces it, too
            folder.rename(hidden / folder.name)
        _rename(temporary, folder)
    except BaseException:  # also Ctrl-C
        with suppress(OSError):  # nothing was hidden, or a new one is there
            (hidden / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process was faster: its folder is as good
            raise


class CorruptTableError(TableError):
    """A cached table that is damaged; ``reason`` is the fault alone."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason
        is_imported = folder.parent == imported_folder()
        advice = "import it again with --replace" if is_imported else "delete that folder and run again"
        super().__init__(f"the cached table {folder} is corrupt ({one_line(reason)}): {advice}")

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        return CorruptTableError, (self.folder, self.reason)


class CachedColumn(MetricArray):
    """A column whose array is in the cache: mapped and compared with its digest when it is first read.

    Large tables hold much that a study never reads. In another process it is opened again, not copied there.

    Args:
        metric: Its meaning.
        folder: The table's folder.
        array: Its file, digest and shape.
    """

    folder: Path
    array: StoredArray

    def __init__(self, metric: Metric, folder: Path, array: StoredArray) -> None:
        for name, value in {"metric": metric, "folder": folder, "array": array}.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type, tuple[Metric, Path, StoredArray]]:
        return CachedColumn, (self.metric, self.folder, self.array)

    @cached_property
    def values(self) -> Floats:
        """The array, read-only.

        Raises:
            TableError: It is missing or damaged.
        """
        damage = self.damage()
        if damage:
            raise CorruptTableError(self.folder, damage)
        return self.mapped()

    def damage(self) -> str:
        """Damage of the file, in words; empty if there is none."""
        path = self.folder / self.array.file
        try:
            refuse_special_file(path)
            return "" if _sha256(path) == self.array.sha256 else f"{path.name} does not match its digest"
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror}"
        except HarnessError:
            return f"{path.name} is no file"

    def mapped(self) -> Floats:
        """The array as the file has it, whatever its digest.

        Raises:
            TableError: The file holds no array of the right shape.
        """
        path = self.folder / self.array.file
        try:
            refuse_special_file(path)
            with path.open("rb") as file:
                head = _HEADER.match(file.read(_LONGEST_HEADER))
            size = path.stat().st_size
        except OSError as error:
            raise CorruptTableError(self.folder, f"{path.name} cannot be read: {error.strerror}") from error
        except HarnessError as error:
            raise CorruptTableError(self.folder, f"{path.name} is no file") from error
        if head is None or int.from_bytes(head[1], "little") + _MAGIC_BYTES != head.end():
            raise CorruptTableError(self.folder, f"{path.name} is no array that this program writes")
        shape, kind = tuple(map(int, head.group(3, 4, 5))), np.dtype(head[2].decode())
        self._check(shape)
        if size != head.end() + math.prod(shape) * kind.itemsize:
            raise CorruptTableError(self.folder, f"{path.name} has {size:,} bytes, too many or too few for its shape")
        return np.memmap(path, dtype=kind, mode="r", offset=head.end(), shape=shape)

    def _check(self, shape: tuple[int, ...]) -> None:
        size, fidelities = self.array.num_architectures, self.array.num_fidelities
        if shape[0] != size or not shape[1] or shape[2] not in (1, fidelities):
            last = f"1 or {fidelities}" if fidelities > 1 else "1"
            raise CorruptTableError(self.folder, f"{self.array.file} has shape {shape}, not ({size}, …, {last})")


def open_table(folder: Path, *, is_checked: bool = True) -> Table:
    """Open a cached table; an array is mapped and compared with its digest when it is first read.

    Args:
        folder: The table's folder.
        is_checked: If not, all arrays are mapped now, whatever their digests.

    Raises:
        TableError: The metadata are missing or damaged; unchecked: an array cannot be mapped.
    """

    def column(metric: Metric, array: StoredArray) -> MetricArray:
        cached = CachedColumn(metric, folder, array)
        return cached if is_checked else MetricArray(metric, cached.mapped())

    with _explained(folder):
        text = read_text(folder / METADATA, _MOST_METADATA_BYTES)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest != read_text(folder / _DIGEST, _MOST_DIGEST_BYTES):
            raise TableError(f"{METADATA} does not match its digest")
        table = table_from_metadata(text, digest, column)
    return dataclasses.replace(table, folder=folder)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Every fault of a table's metadata as one line that names the folder and the remedy."""
    try:
        yield
    except OSError as error:
        name = Path(str(error.filename or METADATA)).name
        raise CorruptTableError(folder, f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorruptTableError(folder, f"{METADATA} or its digest is not UTF-8 text") from error
    except CorruptTableError:
        raise
    except HarnessError as error:
        raise CorruptTableError(folder, str(error)) from error


def verify_table(table: Table) -> None:
    """Compare every cached array with the digest that was recorded when it was written.

    Raises:
        TableError: An array differs.
    """
    if table.folder is None:
        return
    for finding in damaged_arrays(table.folder):
        raise CorruptTableError(table.folder, finding)


def damaged_arrays(folder: Path) -> Iterator[str]:
    """A line for each damaged array of a folder.

    Raises:
        TableError: The metadata are missing or damaged.
    """
    table = open_table(folder)
    for dataset in table.datasets.values():
        for column in dataset.columns.values():
            if isinstance(column, CachedColumn) and (damage := column.damage()):
                yield damage


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
