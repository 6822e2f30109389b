"""Reading the needed columns of a CSV or Parquet file, with the place of each mistake."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.importers.files.unpacked import LARGEST_FILE, Unpacked
from nasbench_harness.untrusted import bounded_lines, one_line, refuse_special_file

_EMPTY = ("", "NaN", "nan", "NA")  # cells without a value
_MOST_ROWS = 10_000_000
_MOST_CELLS = 1 << 27  # cells of the columns that are read: 1 GiB of numbers
_MOST_TEXT_BYTES = 1 << 30  # of all keys together
_LONGEST_LINE = 4 << 20
_MOST_REPEATED = 1 << 28  # bytes of a dictionary times rows: below, the texts cannot be longer than allowed
# Encodings of Parquet whose text is no longer than a page of the file says.
_PLAIN_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
_BROKEN = (OSError, EOFError, zlib.error, UnicodeError, csv.Error, pa.ArrowException)


@dataclass(frozen=True)
class Content:
    """Columns of a file.

    Attributes:
        path: The file.
        num_rows: Number of its rows.
        texts: Text columns, pyarrow arrays (num_rows,) without nulls.
        numbers: Number columns (num_rows,), NaN if a cell is empty.
        place: Place of a row in the file, e.g. ``line 7``.
    """

    path: Path
    num_rows: int
    texts: Mapping[str, Any]
    numbers: Mapping[str, Floats]
    place: Callable[[int], str]

    def error(self, row: int, column: str, message: str) -> InvalidInputError:
        """The mistake in a cell, with its place."""
        return InvalidInputError(f"{self.path}, {self.place(row)}, column {column!r}: {one_line(message)}")

    def refuse(self, wrong: Bools, column: str, message: str | Callable[[int], str]) -> None:
        """Raise InvalidInputError for the first row that is ``wrong`` (num_rows,)."""
        if wrong.any():
            row = int(wrong.argmax())
            raise self.error(row, column, message if isinstance(message, str) else message(row))


class TableFile:
    """A CSV (also .gz) or Parquet file.

    Raises:
        InvalidInputError: It is missing, empty, or of another kind.
    """

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self.path, self.delimiter = path, delimiter
        self.is_parquet = path.suffix.lower() in (".parquet", ".pq")
        if not self.is_parquet and not path.name.lower().endswith((".csv", ".csv.gz")):
            raise InvalidInputError(f"{path} is neither .csv, .csv.gz nor .parquet")
        try:
            refuse_special_file(path)
            self._check_size(path.stat().st_size)
            self.header = self._read_header()
        except _BROKEN as error:
            raise self._unreadable(error) from error
        broken = [name for name in self.header if not name.isprintable()]
        if broken:
            raise InvalidInputError(f"{path}: the header has the column {broken[0][:80]!r}: is a quote missing?")

    def require(self, column: str) -> None:
        """Raise unless there is exactly one column of this name."""
        if column not in self.header:
            if len(self.header) == 1 and not self.is_parquet:
                raise InvalidInputError(
                    f"{self.path} has no column {column!r} but a single one, {self.header[0][:80]!r}: "
                    "is the delimiter right?"
                )
            raise UnknownNameError("column", column, self.header, str(self.path))
        if self.header.count(column) > 1:
            raise InvalidInputError(f"{self.path} has {self.header.count(column)} columns named {column!r}")

    def read(self, texts: Iterable[str], numbers: Iterable[str]) -> Content:
        """Read some columns.

        Raises:
            InvalidInputError: A column does not exist, a cell is no number or a text is empty; with its place.
        """
        texts, numbers = list(dict.fromkeys(texts)), list(dict.fromkeys(numbers))
        for column in (*texts, *numbers):
            self.require(column)
        both = sorted(set(texts) & set(numbers))
        if both:
            raise InvalidInputError(f"{self.path}: column {both[0]!r} names architectures and cannot be a metric, too")
        try:
            table = self._read_parquet(texts + numbers) if self.is_parquet else self._read_csv(texts, numbers)
        except _BROKEN as error:
            raise (None if self.is_parquet else self._first_bad_record(numbers)) or self._unreadable(error) from error
        if not table.num_rows:
            raise InvalidInputError(f"{self.path} has a header but no rows")
        columns = {name: table.column(name) for name in (*texts, *numbers)}
        content = Content(
            self.path,
            table.num_rows,
            {name: self._as_text(name, columns[name]) for name in texts},
            {name: self._as_numbers(name, columns[name]) for name in numbers},
            self._place,
        )
        for name, text in content.texts.items():
            content.refuse(np.asarray(pc.equal(text, "")), name, "is empty")
            is_strange = ~np.asarray(pc.utf8_is_printable(text))
            content.refuse(is_strange, name, "holds a line break or another invisible character")
        for name, values in content.numbers.items():
            content.refuse(np.isinf(values), name, "infinity is no value")
        return content

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """(number of its last line, cells) of every record of a CSV file that is not blank; the header comes first."""
        with io.TextIOWrapper(io.BufferedReader(self._bytes()), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(bounded_lines(file, self.path, _LONGEST_LINE), delimiter=self.delimiter)
            for record in reader:
                if record:
                    yield reader.line_num, record

    def first_rows(self, num_rows: int) -> dict[str, list[str]]:
        """Non-empty cells of every column in the first rows, as text.

        Raises:
            InvalidInputError: The file cannot be read.
        """
        try:
            if self.is_parquet:
                with pyarrow.parquet.ParquetFile(self.path) as file:
                    self._check_parquet(file, set(self.header))
                    batch = next(file.iter_batches(num_rows, use_threads=False), None)
                columns = batch.to_pydict() if batch else {}
                return {name: [str(value) for value in values if value is not None] for name, values in columns.items()}
            records = [record for _, record in islice(self.records(), 1, num_rows + 1)]
        except _BROKEN as error:
            raise self._unreadable(error) from error
        return {
            name: [record[position] for record in records if position < len(record) and record[position] != ""]
            for position, name in enumerate(self.header)
        }

    def _read_header(self) -> list[str]:
        if self.is_parquet:
            return list(pyarrow.parquet.read_schema(self.path).names)
        first = next(self.records(), None)
        if first is None:
            raise InvalidInputError(f"{self.path} is empty: its first line must name the columns")
        return first[1]

    def _bytes(self) -> Unpacked:
        return Unpacked(self.path, self.path.suffix.lower() == ".gz")

    def _check_size(self, size: int) -> None:
        if size > LARGEST_FILE:
            raise InvalidInputError(f"{self.path} has {size:,} bytes, more than {LARGEST_FILE >> 30} GiB")

    def _check_shape(self, num_rows: int, num_columns: int) -> None:
        if num_rows > _MOST_ROWS or num_rows * num_columns > _MOST_CELLS:
            raise InvalidInputError(
                f"{self.path}: {num_columns:,} columns of more than {min(_MOST_ROWS, _MOST_CELLS // num_columns):,} "
                f"rows are too much for one import (at most {_MOST_ROWS:,} rows and {_MOST_CELLS:,} cells)"
            )

    def _check_texts(self, num_bytes: int) -> None:
        if num_bytes > _MOST_TEXT_BYTES:
            raise InvalidInputError(f"{self.path}: its texts are longer than {_MOST_TEXT_BYTES >> 30} GiB together")

    def _read_csv(self, texts: list[str], numbers: list[str]) -> Any:
        """The columns, read piece by piece, so that a file of any length needs no more memory than is allowed."""
        with self._bytes() as source:
            return self._read_pieces(source, texts, numbers)

    def _read_pieces(self, source: Unpacked, texts: list[str], numbers: list[str]) -> Any:
        batches, num_rows, text_bytes = [], 0, 0
        with pyarrow.csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=2 * _LONGEST_LINE),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=texts + numbers,
                null_values=list(_EMPTY),
                column_types={**dict.fromkeys(texts, pa.string()), **dict.fromkeys(numbers, pa.float64())},
            ),
        ) as reader:
            for batch in reader:
                num_rows += batch.num_rows
                text_bytes += sum(batch.column(name).nbytes for name in texts)
                self._check_shape(num_rows, len(texts) + len(numbers))
                self._check_texts(text_bytes)
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)

    def _read_parquet(self, columns: list[str]) -> Any:
        with pyarrow.parquet.ParquetFile(self.path) as file:
            self._check_parquet(file, set(columns))
            return file.read(columns, use_threads=False)

    def _check_parquet(self, file: Any, columns: set[str]) -> None:
        """Refuse a file that promises more than fits, before any of it is unpacked."""
        metadata = file.metadata
        self._check_shape(metadata.num_rows, len(columns))
        num_bytes = 0
        for group in range(metadata.num_row_groups):
            for position in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(position)
                name = chunk.path_in_schema  # of a column, or of a part of a nested one
                if not {name, name.partition(".")[0]} & columns:
                    continue
                num_bytes += chunk.total_uncompressed_size
                is_text = chunk.physical_type == "BYTE_ARRAY"
                if is_text and not set(chunk.encodings) <= _PLAIN_ENCODINGS:
                    raise InvalidInputError(
                        f"{self.path}: column {chunk.path_in_schema!r} is encoded as {', '.join(chunk.encodings)}: "
                        "write the file with the default encodings of pyarrow or pandas"
                    )
                if is_text:  # a dictionary's entry may stand in every row
                    self._check_repeated(chunk, metadata.row_group(group).num_rows)
        self._check_texts(num_bytes)

    def _check_repeated(self, chunk: Any, num_rows: int) -> None:
        is_dictionary = chunk.dictionary_page_offset is not None
        if is_dictionary and chunk.total_uncompressed_size * num_rows > _MOST_REPEATED:
            self._check_texts(self._text_bytes(chunk.path_in_schema))

    def _text_bytes(self, column: str) -> int:
        """Bytes of a text column if every row had its own copy, measured without making these copies."""
        table = pyarrow.parquet.read_table(
            self.path, columns=[column], read_dictionary=[column], partitioning=None, use_threads=False
        )
        total = 0
        for chunk in table.column(column).chunks:
            if not pa.types.is_dictionary(chunk.type):
                continue
            lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0)
            total += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
        return int(total)

    def _as_text(self, name: str, column: Any) -> Any:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
            if not pa.types.is_floating(kind):
                raise InvalidInputError(f"{self.path}: column {name!r} holds {kind}, neither text nor numbers")
            column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        if column.null_count:
            row = int(np.asarray(column.is_null()).argmax())
            raise InvalidInputError(f"{self.path}, {self._place(row)}, column {name!r}: is empty")
        column = column.cast(pa.string())
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _as_numbers(self, name: str, column: Any) -> Floats:
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise InvalidInputError(f"{self.path}: column {name!r} holds {column.type}, no numbers")
        # Whole numbers beyond 2⁵³ become the nearest 64-bit number, as those of a CSV file do.
        values: Floats = column.cast(pa.float64(), safe=False).to_numpy()
        return values

    def _place(self, row: int) -> str:
        if self.is_parquet:
            return f"row {row + 1}"
        try:
            line, _ = next(islice(self.records(), row + 1, None), (row + 2, []))
        except _BROKEN:  # Python's reader refuses some files that pyarrow's reads
            return f"row {row + 1}"
        return f"line {line}"

    def _first_bad_record(self, numbers: list[str]) -> InvalidInputError | None:
        """The first line with a wrong number of cells or a cell that is no number; None if there is none."""
        positions = {self.header.index(name): name for name in numbers}
        try:
            for line, record in islice(self.records(), 1, None):
                if len(record) != len(self.header):
                    return InvalidInputError(
                        f"{self.path}, line {line}: {len(record)} cells where the header has {len(self.header)}"
                    )
                for position, name in positions.items():
                    if not _is_number(record[position]):
                        return InvalidInputError(
                            f"{self.path}, line {line}, column {name!r}: {record[position][:80]!r} is no number"
                        )
        except _BROKEN:
            return None
        return None

    def _unreadable(self, error: BaseException) -> InvalidInputError:
        if isinstance(error, UnicodeError) or "UTF8" in str(error):
            reason = "it is not UTF-8 text"
        else:
            reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).partition("\n")[0]
        return InvalidInputError(f"cannot read {self.path}: {one_line(reason, 200)}")


def _is_number(cell: str) -> bool:
    if cell in _EMPTY:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
