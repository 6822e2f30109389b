"""Blocks: Parquet files of up to 100 runs, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_harness.arrays import AnyArray
from nasbench_harness.errors import StoreError

CELL = 100  # seeds of one block
_RECORD = b"nasbench_harness"
# Chosen by measuring: the fastest encoding of each column that is not much larger than the smallest.
_ENCODINGS = {
    "architecture": "DELTA_BINARY_PACKED",
    "recommended": "DELTA_BINARY_PACKED",
    "cost_s": "BYTE_STREAM_SPLIT",
    "finished_s": "BYTE_STREAM_SPLIT",
}


def write_block(path: Path, columns: Mapping[str, AnyArray], record: Mapping[str, Any]) -> None:
    """Write a block under a temporary name, force it to disk, then rename it.

    Args:
        path: Final name; the folder is made.
        columns: Flat columns of equal length.
        record: JSON-able description that goes into the file's footer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    table = pa.table({name: _as_arrow(column) for name, column in columns.items()})
    table = table.replace_schema_metadata({_RECORD: json.dumps(record)})
    try:
        with temporary.open("wb") as file:
            pq.write_table(
                table,
                file,
                compression="lz4",
                use_dictionary=[name for name in columns if name.startswith("value_")],
                column_encoding={name: encoding for name, encoding in _ENCODINGS.items() if name in columns},
                write_statistics=False,
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """The description in a block's footer.

    Raises:
        StoreError: The file is torn, or is no block.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise _torn(path) from error
    if _RECORD not in metadata:
        raise StoreError(f"{path} was not written by nasbench-harness: move it elsewhere and run again")
    record: dict[str, Any] = json.loads(metadata[_RECORD])
    return record


def read_columns(path: Path, names: Sequence[str] | None = None) -> dict[str, AnyArray]:
    """Columns of a block, default all of them; names that it lacks are left out.

    Raises:
        StoreError: The file is torn.
    """
    try:
        with pq.ParquetFile(path) as file:
            stored = file.schema_arrow.names
            present = stored if names is None else [name for name in names if name in stored]
            table = file.read(present, use_threads=False)
        return {name: _as_numpy(table[name]) for name in present}
    except (OSError, pa.ArrowException) as error:
        raise _torn(path) from error


def _as_arrow(column: AnyArray) -> Any:
    """The column's memory as an Arrow array (``pa.array`` would copy it, and import pandas)."""
    buffer = pa.py_buffer(np.ascontiguousarray(column))
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, buffer])


def _as_numpy(column: Any) -> AnyArray:
    """The column's memory as a read-only array (``np.asarray`` would import pandas)."""
    array = column.combine_chunks()
    is_number = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    if array.null_count or not is_number:
        raise pa.ArrowInvalid("a column of a block holds numbers only")
    dtype = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _torn(path: Path) -> StoreError:
    return StoreError(f"{path} is torn or no Parquet file: move or delete it, the same command runs its seeds again")
