"""The finished parts of a table of trained cells as one file, without torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import write_whole
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.cells_file import FORMAT, CellsRecord, TrainedCells, quantized, to_bytes
from nasbench_harness.tables.trained_cells import NAME
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.trainer.recipe import Recipe

LEAST_CORRELATION = 0.3
PROCESSOR_SEPARATOR = "; "  # between the processors that trained one part
COMMAND = f"nasbench-harness tables build {NAME}"
SIZE_AND_PURPOSE = "Small networks on images of 8 × 8 pixels: for testing methods, not for claims about CIFAR."
CLASSES = (
    "One cell of each class of equal cells was trained: accuracies are those of the class. Parameters, operations and "
    "seconds are those of the cell itself."
)
# tests/tables/test_trained_cells.py computes the numbers of this line.
DEAD_BIASES = (
    "In 101 classes the cells differ in convolutions of a node that is always zero; each adds a trained bias. On "
    "nb201-cifar10 the cells with the most of them exceed those with the fewest by 0.06 ± 0.20 points of validation "
    "accuracy (mean and standard deviation over these classes)."
)
IMAGES = (
    "Images: package animal-shape-mnist, MIT, © 2025 SinaSR-6; its authors do not state the origin of the shapes. No "
    "image comes with the table."
)


@dataclass(frozen=True)
class Rules:
    """Everything that the trainings of a table share.

    Attributes:
        recipe: The recipe.
        data: Name of the images.
        seeds: Training seed of each replicate.
        test_epochs: Epochs after which test images are counted.
        num_train: Training images.
        num_valid: Validation images.
        num_test: Test images.
        num_classes: Classes of images.
        image_channels: Channels of an image.
        side: Its height and width in pixels.
        digests: Digests of ``recipe``, ``data``, ``split`` and ``origin``.
    """

    recipe: Recipe
    data: str
    seeds: tuple[int, ...]
    test_epochs: tuple[int, ...]
    num_train: int
    num_valid: int
    num_test: int
    num_classes: int
    image_channels: int
    side: int
    digests: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Finished:
    """Classes whose trainings are finished.

    Attributes:
        architectures: Smallest index of each class, shape (n,).
        valid_correct: Correct validation images, shape (n, num_epochs, num_seeds).
        test_correct: Correct test images, shape (n, num_test_epochs, num_seeds).
        train_loss: Mean training losses, shape as ``valid_correct``.
        is_finite: Whether every loss and logit of an epoch was finite, shape as ``valid_correct``.
        provenances: Provenance of each part.
    """

    architectures: Ints
    valid_correct: Ints
    test_correct: Ints
    train_loss: Floats
    is_finite: Bools
    provenances: tuple[Mapping[str, str], ...]


def all_classes() -> Ints:
    """Smallest index of each class of equal cells, ascending, shape (num_classes,)."""
    space = NASBench201Space()
    classes: Ints = np.unique(space.canonical(np.arange(space.num_architectures)))
    return classes


def part_files(folder: Path) -> list[Path]:
    """Files of the finished parts, in order."""
    return sorted(folder.glob("part-*.parquet"))


def read_finished(folder: Path, rules: Rules) -> Finished:
    """All finished parts of a folder.

    Raises:
        InvalidInputError: A part is damaged, has other replicates or other rules, or repeats a class.
    """
    shapes = {
        "valid_correct": (rules.recipe.epochs, len(rules.seeds)),
        "test_correct": (len(rules.test_epochs), len(rules.seeds)),
        "train_loss": (rules.recipe.epochs, len(rules.seeds)),
        "is_finite": (rules.recipe.epochs, len(rules.seeds)),
    }
    rows: list[AnyArray] = [np.zeros(0, dtype=np.int64)]
    columns: dict[str, list[AnyArray]] = {name: [np.zeros((0, *shape))] for name, shape in shapes.items()}
    provenances = []
    unseen = set(all_classes().tolist())
    for path in part_files(folder):
        provenance, table = _read_part(path)
        if provenance.get("origin") != rules.digests["origin"]:
            raise InvalidInputError(
                f"{path} was trained by another recipe, other images or another torch: use another folder"
            )
        architectures = table["architecture"].to_numpy().astype(np.int64)
        for architecture in architectures.tolist():
            if architecture not in unseen:
                raise InvalidInputError(f"{path} holds cell {architecture}, which is no class, or is there twice")
            unseen.remove(architecture)
        for name, shape in shapes.items():
            columns[name].append(_values(path, table, name, shape))
        for name, most in (("valid_correct", rules.num_valid), ("test_correct", rules.num_test)):
            if columns[name][-1].max(initial=0) > most:
                raise InvalidInputError(f"{path} counts more correct images than the {most:,} of {name}")
        rows.append(architectures)
        provenances.append(provenance)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Finished(
        np.concatenate(rows),
        joined["valid_correct"].astype(np.int64),
        joined["test_correct"].astype(np.int64),
        joined["train_loss"].astype(np.float64),
        joined["is_finite"].astype(np.bool_),
        tuple(provenances),
    )


def assemble(folder: Path, rules: Rules) -> int:
    """Write the table's file if every class is finished; returns the number of classes that are missing.

    Args:
        folder: Folder of the parts; the file is written there.
        rules: The rules that every part must have been trained by.

    Raises:
        InvalidInputError: A part is damaged, has other replicates or other rules, or the file cannot be written.
    """
    finished = read_finished(folder, rules)
    missing = len(all_classes()) - len(finished.architectures)
    if missing:
        return missing
    order = np.argsort(finished.architectures)
    names = ("architectures", "valid_correct", "test_correct", "train_loss", "is_finite")
    columns: dict[str, Any] = {name: getattr(finished, name)[order] for name in names}
    columns["train_loss"] = quantized(columns["train_loss"])
    connected = NASBench201Space().is_connected()[columns["architectures"]]
    correlations = rank_correlations(columns["valid_correct"][connected])
    cells = TrainedCells(_record(rules, correlations, finished.provenances), **columns)
    try:
        write_whole(table_file(folder), to_bytes(cells))
    except OSError as error:
        raise InvalidInputError(f"cannot write {table_file(folder)}: {error.strerror}") from error
    return 0


def table_file(folder: Path) -> Path:
    """File of the finished table."""
    return folder / f"{NAME}.parquet"


def rank_correlations(correct: Ints) -> list[float]:
    """Spearman's correlation of an epoch of one seed with the last epoch of another, mean over pairs of seeds.

    Args:
        correct: Correct images, shape (n, num_epochs, num_seeds).

    Returns:
        One value for each epoch; NaN if all cells are equal there.
    """
    from scipy.stats import rankdata

    ranks = rankdata(correct, axis=0)
    spread = ranks.std(axis=0)
    scaled = (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, np.nan)
    pairs = list(permutations(range(correct.shape[2]), 2))
    return [
        float(np.mean([(scaled[:, epoch, one] * scaled[:, -1, other]).mean() for one, other in pairs]))
        for epoch in range(correct.shape[1])
    ]


def offered_epochs(correlations: Sequence[float]) -> tuple[int, ...]:
    """Epochs that tell something about the end of another training, from 1; always the last one."""
    last = len(correlations)
    return tuple(e for e, one in enumerate(correlations, start=1) if e == last or one >= LEAST_CORRELATION)


def _read_part(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        file = pq.ParquetFile(pa.BufferReader(path.read_bytes()), pre_buffer=False)
        return json.loads(file.schema_arrow.metadata[b"provenance"]), file.read(use_threads=False)
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise InvalidInputError(f"{path} is damaged: delete it, its classes are trained again") from error


def _values(path: Path, table: Any, name: str, shape: tuple[int, int]) -> AnyArray:
    """A column of a part, shape (num_rows, num_epochs, num_seeds)."""
    found = table.schema.field(name).type if name in table.column_names else None
    size = found.list_size if found is not None and pa.types.is_fixed_size_list(found) else 0
    values = table[name].combine_chunks().flatten() if size else None
    if values is None or size != shape[0] * shape[1] or values.null_count or len(values) != table.num_rows * size:
        raise InvalidInputError(
            f"{path}: {name} must have {shape[0]} epochs of exactly {shape[1]} replicates in every row, not "
            f"{size or 'another kind of'} values"
        )
    array: AnyArray = values.to_numpy(zero_copy_only=False).reshape(-1, *shape)
    return array


def _record(rules: Rules, correlations: list[float], parts: Sequence[Mapping[str, str]]) -> CellsRecord:
    recipe, offered = rules.recipe, offered_epochs(correlations)
    early = [epoch for epoch in range(1, recipe.epochs + 1) if epoch not in offered]
    notes = [SIZE_AND_PURPOSE, CLASSES, DEAD_BIASES, IMAGES]
    if early:
        notes.insert(
            1,
            f"Epochs {', '.join(map(str, early))} are uninformative: the file keeps them as curves, and strategies are "
            f"not offered them. Their rank correlation with the final accuracy of another seed is below "
            f"{LEAST_CORRELATION}.",
        )
    return CellsRecord(
        format=FORMAT,
        name=NAME,
        dataset=rules.data,
        title=f"{rules.data} ({rules.side} × {rules.side} pixels)",
        source=(
            f"NAS-Bench-201 cells in a small network, trained by nasbench-harness on {rules.data}: {len(rules.seeds)} "
            f"seeds, {recipe.epochs} epochs"
        ),
        license="MIT",
        notes=tuple(notes),
        seeds=rules.seeds,
        epochs=recipe.epochs,
        test_epochs=rules.test_epochs,
        offered=offered,
        rank_correlation=tuple(None if np.isnan(one) else round(one, 4) for one in correlations),
        num_train=rules.num_train,
        num_valid=rules.num_valid,
        num_test=rules.num_test,
        num_classes=rules.num_classes,
        num_params=_linear(rules, "num_params"),
        flops=_linear(rules, "flops"),
        flops_per_s=recipe.flops_per_s,
        digests=dict(rules.digests),
        recipe=dataclasses.asdict(recipe),
        versions={name: _distinct(parts, name) for name in ("torch", "nasbench-harness", "animal-shape-mnist")},
        processors=_distinct(parts, "processor", PROCESSOR_SEPARATOR),
        dates=(min(part["date"] for part in parts), max(part["date"] for part in parts)),
        command=COMMAND,
    )


def _distinct(parts: Sequence[Mapping[str, str]], name: str, separator: str | None = None) -> tuple[str, ...]:
    texts = (str(part[name]) for part in parts)
    return tuple(sorted({one for text in texts for one in (text.split(separator) if separator else [text])}))


def _linear(rules: Rules, count: str) -> tuple[int, int, int]:
    """Counts of a network without convolutions in its cell, and of each 1×1 and each 3×3 convolution."""
    none, one, three = _counts(rules, count)
    return none, one - none, three - none


def _counts(rules: Rules, count: str) -> Iterator[int]:
    space, recipe = NASBench201Space(), rules.recipe
    for key in ("000000", "200000", "300000"):
        structure = structure_of(
            space.to_string(space.from_key(key)),
            recipe.num_cells,
            recipe.channels,
            rules.image_channels,
            rules.num_classes,
        )
        yield structure.num_params() if count == "num_params" else structure.flops(rules.side)
