"""Segments: Parquet files of up to 100 runs, written whole or not at all, with a digest of every byte."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_harness.arrays import AnyArray
from nasbench_harness.errors import StoreError
from nasbench_harness.files import write_whole

SEEDS_PER_SEGMENT = 100  # seeds of one segment
_RECORD = b"nasbench_harness"
# The digest stands in the footer, as text behind its key. It is that of the whole file with zeros in its own place.
_DIGEST_KEY = b"nasbench_harness.sha256"
_NO_DIGEST = b"0" * 64
_BEFORE_DIGEST = _DIGEST_KEY + b"\x18\x40"  # how Parquet's footer writes the key and the length of its value
# Chosen by measuring: the fastest encoding of each column that is not much larger than the smallest.
_ENCODINGS = {
    "architecture": "DELTA_BINARY_PACKED",
    "recommended": "DELTA_BINARY_PACKED",
    "cost_s": "BYTE_STREAM_SPLIT",
    "finished_s": "BYTE_STREAM_SPLIT",
}


class DamagedSegmentError(StoreError):
    """A segment that is truncated, altered, or not of this package; ``reason`` says which."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}: move it elsewhere and run again")
        self.path, self.reason = path, reason


def write_segment(path: Path, columns: Mapping[str, AnyArray], record: Mapping[str, Any]) -> None:
    """Write a segment under a temporary name, force it to disk, then rename it.

    Args:
        path: Final name; the folder is made.
        columns: Flat columns of equal length.
        record: JSON-able description that goes into the file's footer.
    """
    write_whole(path, _with_digest(_parquet(columns, record)))


def read_record(path: Path) -> dict[str, Any]:
    """The description in a segment's footer; every byte of the file is compared with the digest first.

    Segments of the first versions have no digest. They count as damaged, as nobody can know whether they are whole.

    Raises:
        DamagedSegmentError: The file is truncated or altered, or is no segment.
        StoreError: The file cannot be read.
    """
    return _record(path, _read(path))


def read_columns(path: Path, names: Sequence[str] | None = None) -> dict[str, AnyArray]:
    """Columns of a segment, default all of them; names that are not in it are left out (see ``read_record``)."""
    return _columns(path, _read(path), names)


def read_segment(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Both at once (see ``read_record``)."""
    content = _read(path)
    return _record(path, content), _columns(path, content, names)


def _record(path: Path, content: bytes) -> dict[str, Any]:
    try:
        metadata = pq.read_metadata(pa.BufferReader(content)).metadata or {}
        record = json.loads(metadata[_RECORD]) if _RECORD in metadata else None
    except Exception as error:  # a footer without a digest can be altered in ways that raise nearly anything
        raise _truncated(path) from error
    if not isinstance(record, dict):
        raise DamagedSegmentError(path, "was not written by nasbench-harness")
    if _BEFORE_DIGEST not in content:
        raise _truncated(path) if _DIGEST_KEY in metadata else DamagedSegmentError(path, "has no digest of its content")
    return record


def _columns(path: Path, content: bytes, names: Sequence[str] | None) -> dict[str, AnyArray]:
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            stored = file.schema_arrow.names
            present = stored if names is None else [name for name in names if name in stored]
            table = file.read(present, use_threads=False)
        return {name: _as_numpy(table[name]) for name in present}
    except Exception as error:  # as above
        raise _truncated(path) from error


def _parquet(columns: Mapping[str, AnyArray], record: Mapping[str, Any]) -> bytearray:
    table = pa.table({name: _as_arrow(column) for name, column in columns.items()})
    table = table.replace_schema_metadata({_RECORD: json.dumps(record)})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="lz4",
        use_dictionary=[name for name in columns if name.startswith("value_")],
        column_encoding={name: encoding for name, encoding in _ENCODINGS.items() if name in columns},
        write_statistics=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_DIGEST_KEY: _NO_DIGEST})
    return bytearray(memoryview(sink.getvalue()))


def _with_digest(content: bytearray) -> bytearray:
    place = content.rindex(_BEFORE_DIGEST + _NO_DIGEST) + len(_BEFORE_DIGEST)
    content[place : place + len(_NO_DIGEST)] = sha256(content).hexdigest().encode()
    return content


def _read(path: Path) -> bytes:
    """The bytes of a file, compared with their digest if they have one."""
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise DamagedSegmentError(path, "is a folder, not a segment") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}: make it readable, or move it elsewhere") from error
    found = content.rfind(_BEFORE_DIGEST)
    if found >= 0:
        place = found + len(_BEFORE_DIGEST)
        end = place + len(_NO_DIGEST)
        view = memoryview(content)
        digest = sha256(view[:place])
        digest.update(_NO_DIGEST)
        digest.update(view[end:])
        if digest.hexdigest().encode() != content[place:end]:
            raise DamagedSegmentError(path, "does not match its digest")
    return content


def _as_arrow(column: AnyArray) -> Any:
    """The column's memory as an Arrow array (``pa.array`` would copy it, and import pandas)."""
    buffer = pa.py_buffer(np.ascontiguousarray(column))
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, buffer])


def _as_numpy(column: Any) -> AnyArray:
    """The column's memory as a read-only array (``np.asarray`` would import pandas)."""
    array = column.combine_chunks()
    is_number = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    if array.null_count or not is_number:
        raise pa.ArrowInvalid("a column of a segment holds numbers only")
    dtype = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _truncated(path: Path) -> DamagedSegmentError:
    return DamagedSegmentError(path, "is truncated or no Parquet file")
