"""The file of a table of trained cells: a row of integer codes for each class of equal cells, read without torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.untrusted import one_line, refuse_special_file

FORMAT: Final = "trained-cells-1"
LOSS_STEP = 0.001
HIGHEST_LOSS = 65_534  # code of all finite losses from 65.534 on
NO_LOSS = 65_535  # code of a loss that is not finite
_MOST_BYTES = 16 << 20
_MOST_UNPACKED = 64 << 20

_Count = Annotated[int, Field(ge=0, le=10**15)]
_Text = Annotated[str, Field(max_length=2_000)]
_Linear = tuple[_Count, _Count, _Count]


@dataclass(frozen=True)
class CellsRecord:
    """Provenance of the trainings, and every number that turns codes into values.

    Attributes:
        format: Version of the file's layout.
        name: Name of the table.
        dataset: Name of the images.
        title: Title of the data set.
        source: The table in words.
        license: License of the table.
        notes: Lines for every reader.
        seeds: Training seed of each replicate.
        epochs: Epochs of a training.
        test_epochs: Epochs after which the test images were counted.
        offered: Epochs that strategies may ask for.
        rank_correlation: For each epoch, Spearman's correlation of one seed with the final accuracy of another.
        num_train: Training images.
        num_valid: Validation images.
        num_test: Test images.
        num_classes: Classes of images.
        num_params: Parameters of a cell: (of none, for each 1×1 convolution, for each 3×3 convolution).
        flops: Multiply-accumulates of one image, in the same form.
        flops_per_s: Converts operations to declared seconds.
        digests: Digests of ``recipe``, ``data`` and ``split``, and ``origin``, which all trainings share.
        recipe: Every field of the recipe.
        versions: Versions of each package.
        processors: Processors of the trainings.
        dates: First and last day on which a part was finished.
        command: Command that trains and assembles.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Literal["trained-cells-1"]
    name: _Text
    dataset: _Text
    title: _Text
    source: _Text
    license: _Text
    notes: tuple[_Text, ...]
    seeds: Annotated[tuple[_Count, ...], Field(min_length=1, max_length=10)]
    epochs: Annotated[int, Field(ge=1, le=100)]
    test_epochs: Annotated[tuple[_Count, ...], Field(min_length=1, max_length=100)]
    offered: Annotated[tuple[_Count, ...], Field(min_length=1, max_length=100)]
    rank_correlation: tuple[float | None, ...]
    num_train: _Count
    num_valid: Annotated[int, Field(ge=1, le=65_535)]
    num_test: Annotated[int, Field(ge=1, le=65_535)]
    num_classes: Annotated[int, Field(ge=2, le=65_535)]
    num_params: _Linear
    flops: _Linear
    flops_per_s: Annotated[float, Field(gt=0)]
    digests: dict[str, _Text]
    recipe: dict[str, str | bool | int | float]
    versions: dict[str, tuple[_Text, ...]]
    processors: tuple[_Text, ...]
    dates: tuple[_Text, _Text]
    command: _Text

    def __post_init__(self) -> None:
        for name in ("test_epochs", "offered"):
            epochs = getattr(self, name)
            if list(epochs) != sorted(set(epochs)) or epochs[0] < 1 or epochs[-1] != self.epochs:
                raise ValueError(f"{name} must ascend to the last epoch, {self.epochs}")
        if set(self.digests) != {"recipe", "data", "split", "origin"} or not isinstance(self.recipe.get("name"), str):
            raise ValueError("a digest, or the name of the recipe, is missing")

    @property
    def uninformative(self) -> tuple[int, ...]:
        """Epochs that are stored as curves only: they do not rank cells as the end of another training does."""
        return tuple(epoch for epoch in range(1, self.epochs + 1) if epoch not in self.offered)


@dataclass(frozen=True, eq=False)
class TrainedCells:
    """Trainings of one cell of each class.

    Attributes:
        record: Provenance and scales.
        architectures: Smallest index of each class, ascending, shape (num_classes,).
        valid_correct: Correct validation images, shape (num_classes, num_epochs, num_seeds).
        test_correct: Correct test images after ``test_epochs``, shape (num_classes, num_test_epochs, num_seeds).
        train_loss: Codes of mean training losses in steps of ``LOSS_STEP``, shape as ``valid_correct``.
        is_finite: Whether every loss and logit of an epoch was finite, shape as ``valid_correct``.
    """

    record: CellsRecord
    architectures: Ints
    valid_correct: Ints
    test_correct: Ints
    train_loss: Ints
    is_finite: Bools

    def losses(self) -> Floats:
        """Mean training losses, NaN if not finite, shape (num_classes, num_epochs, num_seeds)."""
        losses: Floats = np.where(self.train_loss == NO_LOSS, np.nan, self.train_loss * LOSS_STEP)
        return losses

    def valid_accuracy(self) -> Floats:
        """Validation accuracy in percent; chance from the epoch on that diverged. Shape as ``valid_correct``."""
        return self._accuracy(self.valid_correct, self.record.num_valid, self._lives())

    def test_accuracy(self) -> Floats:
        """Test accuracy in percent after ``test_epochs``, as ``valid_accuracy``."""
        lives = self._lives()[:, np.array(self.record.test_epochs) - 1]
        return self._accuracy(self.test_correct, self.record.num_test, lives)

    def _lives(self) -> Bools:
        lives: Bools = np.logical_and.accumulate(self.is_finite, axis=1)
        return lives

    def _accuracy(self, correct: Ints, num_images: int, lives: Bools) -> Floats:
        accuracy: Floats = np.where(lives, 100 * correct / num_images, 100 / self.record.num_classes)
        return accuracy


def quantized(losses: Floats) -> Ints:
    """Codes of training losses: multiples of ``LOSS_STEP``."""
    is_finite = np.isfinite(losses)
    codes = np.rint(np.where(is_finite, losses, 0.0) / LOSS_STEP).clip(0, HIGHEST_LOSS)
    return np.where(is_finite, codes, NO_LOSS).astype(np.int64)


def to_bytes(cells: TrainedCells) -> bytes:
    """Content of the file: the same bytes from the same trainings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {"architecture": pa.array(cells.architectures.astype(np.uint16))}
    for name in ("valid_correct", "test_correct", "train_loss", "is_finite"):
        values = getattr(cells, name)
        flat = values.reshape(len(values), -1)
        kind = np.bool_ if name == "is_finite" else np.uint16
        arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel().astype(kind)), flat.shape[1])
    record = json.dumps(asdict(cells.record), sort_keys=True)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(arrays).replace_schema_metadata({"provenance": record}),
        sink,
        compression="zstd",
        compression_level=19,
        row_group_size=len(cells.architectures),
    )
    return bytes(sink.getvalue())


def is_cells_file(path: Path) -> bool:
    """Whether a file is a Parquet file whose provenance names this format."""
    try:
        return path.suffix == ".parquet" and _provenance(content_of(path)).get("format") == FORMAT
    except (InvalidInputError, ValueError):
        return False


def read_cells(path: Path) -> TrainedCells:
    """Read a file of ``tables build``.

    Raises:
        InvalidInputError: It cannot be read, or is no such file.
    """
    import pyarrow as pa

    content = content_of(path)
    try:
        record = TypeAdapter(CellsRecord).validate_python(_provenance(content))
        columns = _columns(content, record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _no_cells(path, ": ".join([*map(str, first["loc"]), first["msg"]])) from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise _no_cells(path, str(error).partition("\n")[0]) from error
    cells = TrainedCells(record, **columns)
    for counts, most in ((cells.valid_correct, record.num_valid), (cells.test_correct, record.num_test)):
        if counts.max() > most:
            raise _no_cells(path, f"{counts.max():,} of {most:,} images are correct")
    return cells


def content_of(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidInputError: It cannot be read, or is larger than any table of cells.
    """
    try:
        refuse_special_file(path)
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise _no_cells(path, f"it is larger than {_MOST_BYTES >> 20} MB")
    return content


def _file(content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)


def _provenance(content: bytes) -> dict[str, Any]:
    """The JSON object in the footer.

    Raises:
        ValueError: The content is no Parquet file, or has no such object.
    """
    import pyarrow as pa

    try:
        found = json.loads((_file(content).schema_arrow.metadata or {}).get(b"provenance", b"{}"))
    except (pa.ArrowException, OSError, RecursionError) as error:
        raise ValueError("it is no Parquet file") from error
    if not isinstance(found, dict):
        raise ValueError("its provenance is no object")
    return found


def _columns(content: bytes, record: CellsRecord) -> dict[str, Any]:
    """The arrays of ``TrainedCells``.

    Raises:
        ValueError: A column is missing, or has another type, length or missing values.
    """
    import pyarrow as pa

    space = NASBench201Space()
    members = np.unique(space.canonical(np.arange(space.num_architectures)))
    file = _file(content)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    if file.metadata.num_rows != len(members) or sum(group.total_byte_size for group in groups) > _MOST_UNPACKED:
        raise ValueError(f"it has not {len(members):,} rows of a few bytes")
    per_epoch = (record.epochs, len(record.seeds))
    per_test = (len(record.test_epochs), len(record.seeds))
    shapes = {"valid_correct": per_epoch, "test_correct": per_test, "train_loss": per_epoch, "is_finite": per_epoch}
    for name, shape in shapes.items():
        inner = pa.bool_() if name == "is_finite" else pa.uint16()
        found = file.schema_arrow.field(name).type
        if not pa.types.is_fixed_size_list(found) or (found.value_type, found.list_size) != (inner, np.prod(shape)):
            raise ValueError(f"{name} holds {found}, not {np.prod(shape)} values a row")
    if file.schema_arrow.field("architecture").type != pa.uint16():
        raise ValueError("architecture is no column of whole numbers")
    table = file.read(columns=["architecture", *shapes], use_threads=False).combine_chunks()
    architectures = table["architecture"].to_numpy().astype(np.int64)
    if not np.array_equal(architectures, members):
        raise ValueError("its rows are not the classes of cells in ascending order")
    columns: dict[str, Any] = {"architectures": architectures}
    for name, shape in shapes.items():
        values = table[name].combine_chunks().flatten()
        if values.null_count or len(values) != len(members) * np.prod(shape):
            raise ValueError(f"{name} has missing values")
        array = values.to_numpy(zero_copy_only=False).reshape(len(members), *shape)
        columns[name] = array if name == "is_finite" else array.astype(np.int64)
    return columns


def _no_cells(path: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(f"{path} is no table that tables build wrote: {one_line(reason)}")
