"""Files of ``proxies build``: read whole, or refused in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.proxies import shipped_content
from nasbench_harness.untrusted import one_line, refuse_special_file

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("initialization", "batch", "architecture")  # rows are sorted by these
_TEXTS = ("proxy", "method", "data", "initialization")
_NUMBERS = ("num_cells", "channels", "side")


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """Scores of some architectures under some initializations and batches.

    Attributes:
        architectures: Indices, shape (num_architectures,).
        initializations: Numbers of initializations.
        batches: Numbers of batches.
        scores: By name, shape (num_initializations, num_batches, num_architectures), NaN if missing.
        provenance: Set of architectures; data, size and initialization of every column.
        digest: sha256 of the file.
    """

    architectures: Ints
    initializations: tuple[int, ...]
    batches: tuple[int, ...]
    scores: Mapping[str, Floats]
    provenance: Mapping[str, Any]
    digest: str


def read_scores(path: Path | None = None) -> ScoreFile:
    """Read a file of ``proxies build``; None: the shipped one.

    Raises:
        InvalidInputError: There is no such file, or it holds something else.

    Example:
        >>> read_scores().scores["meco"].shape
        (1, 1, 15625)
    """
    import pandas  # noqa: F401 - pyarrow imports it for arrays and then loses a Ctrl-C or SIGTERM
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path is not None:
            refuse_special_file(path)
        content = shipped_content() if path is None else path.read_bytes()
        table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
        provenance = json.loads(table.schema.metadata[b"provenance"])
    except InvalidInputError:
        raise
    except FileNotFoundError:
        raise InvalidInputError(f"there is no file {path}: make one with proxies build") from None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{path or 'the shipped table'} is no file of scores: make one with proxies build"
        ) from (error)
    fault = next(_faults(table, provenance), "")
    if fault:
        shown = path or "the shipped table"
        raise InvalidInputError(f"{shown} is no file of scores, as {fault}: make it again with proxies build")
    keys = [table[name].to_numpy().astype(np.int64) for name in KEYS]
    initializations, batches, architectures = (np.unique(key) for key in keys)
    shape, order = (len(initializations), len(batches), len(architectures)), np.lexsort(keys[::-1])
    return ScoreFile(
        architectures,
        tuple(initializations.tolist()),
        tuple(batches.tolist()),
        {name: _values(table, name)[order].reshape(shape) for name in table.column_names if name not in KEYS},
        provenance,
        hashlib.sha256(content).hexdigest(),
    )


def _values(table: pa.Table, name: str) -> Floats:
    values: Floats = table[name].to_numpy().astype(np.float64)
    return values


def _faults(table: pa.Table, provenance: Any) -> Iterator[str]:
    """Differences from a file of ``proxies build``, the first one first; each check relies on those before."""
    columns = provenance.get("columns") if isinstance(provenance, dict) else None
    if not isinstance(columns, dict) or not _is_text(provenance.get("set")):
        yield "its metadata do not describe the set of architectures and the columns"
        return
    if any(not _is_text(provenance.get(key, "")) for key in ("note", "command")):
        yield "its metadata hold a note or a command that is no line of text"
    names = [name for name in table.column_names if name not in KEYS]
    if len(set(table.column_names)) < len(table.column_names):
        yield "two columns have one name"
    for name in sorted(KEYS + tuple(columns), key=lambda name: name not in KEYS):
        if name not in table.column_names:
            yield f"column {one_line(name, 60)} is missing"
    for name in names:
        if name not in columns:
            yield f"its metadata do not describe column {one_line(name, 60)}"
        elif not name.isidentifier() or not _is_described(columns[name]):
            yield f"its metadata describe column {one_line(name, 60)} incompletely"
    if not names or not table.num_rows:
        yield "it holds no scores"
    yield from _faults_of_numbers(table, names)


def _faults_of_numbers(table: pa.Table, names: list[str]) -> Iterator[str]:
    import pyarrow as pa

    most = {"architecture": NASBench201Space().num_architectures - 1}
    for name in KEYS:
        column = table[name]
        if not pa.types.is_integer(column.type) or column.null_count:
            yield f"column {name} does not hold whole numbers"
            return
        low, high = int(column.to_numpy().min()), int(column.to_numpy().max())
        if low < 0 or high > most.get(name, 2**16 - 1):
            yield f"column {name} holds {low if low < 0 else high}, and may hold 0 … {most.get(name, 2**16 - 1):,}"
    for name in names:
        if not pa.types.is_floating(table[name].type):
            yield f"column {name} does not hold numbers with a fraction"
        elif np.isinf(_values(table, name)).any():
            yield f"column {name} holds an infinite number, and a missing score is NaN"
    keys = np.stack([table[name].to_numpy().astype(np.int64) for name in KEYS])
    if np.unique(keys, axis=1).shape[1] < table.num_rows:
        yield "it holds an architecture twice under one initialization and one batch"
    elif table.num_rows != np.prod([len(np.unique(key)) for key in keys]):
        yield "it does not have every architecture under every initialization and batch"


def _is_described(entry: Any) -> bool:
    """Whether the metadata of a column hold everything that reports print."""
    if not isinstance(entry, dict) or not isinstance(entry.get("macro"), dict):
        return False
    numbers = [entry["macro"].get(key) for key in _NUMBERS] + [entry.get("batch_size")]
    return all(_is_text(entry.get(key)) for key in _TEXTS) and all(type(number) is int for number in numbers)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()
