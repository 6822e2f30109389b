"""Builds a table of trained cells: one training stack per class of equal cells, in parts that survive interruptions.

A part holds ``CLASSES_PER_PART`` classes. While a part is trained, each finished class is one line of a journal, which
is flushed to the disk. A finished part is one Parquet file. The same command continues an earlier one.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock, write_whole
from nasbench_harness.journal import append_to_disk
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.assembling import COMMAND, PROCESSOR_SEPARATOR, Rules, all_classes
from nasbench_harness.trainer.data.batches import DeviceImages, plain_batches
from nasbench_harness.trainer.data.images import ImageData, load_data
from nasbench_harness.trainer.loop.devices import Execution, processor_name
from nasbench_harness.trainer.loop.keys import origin_digest
from nasbench_harness.trainer.loop.processes import longest_first
from nasbench_harness.trainer.loop.training import StackTraining, network_structure
from nasbench_harness.trainer.networks.network import count_correct
from nasbench_harness.trainer.recipe import Recipe, recipe_of

CLASSES_PER_PART = 200
UNKNOWN_PROCESSOR = "unknown"  # of classes that an earlier version kept
_TEST_EPOCHS = (5, 8, 10)
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class ClassCurves:
    """The trainings of one class of cells.

    Attributes:
        architecture: Smallest index of the class; this cell was trained.
        valid_correct: Correct validation images after every epoch, shape (num_epochs, num_seeds).
        test_correct: Correct test images after the epochs of ``test_epochs``, shape (num_test_epochs, num_seeds).
        train_loss: Mean training loss of every epoch, shape (num_epochs, num_seeds).
        is_finite: Whether every loss and logit of an epoch was finite, shape (num_epochs, num_seeds).
    """

    architecture: int
    valid_correct: list[list[int]]
    test_correct: list[list[int]]
    train_loss: list[list[float]]
    is_finite: list[list[bool]]


def test_epochs(recipe: Recipe) -> list[int]:
    """Epochs after which test images are counted, from 1."""
    return sorted({min(epoch, recipe.epochs) for epoch in _TEST_EPOCHS})


def train_class(architecture: int, recipe: Recipe, data: ImageData, images: DeviceImages) -> ClassCurves:
    """Train one cell with all seeds in one stack, and count correct images.

    Args:
        architecture: Index of the cell.
        recipe: All rules; its stack must be ``len(SEEDS)``.
        data: Images with a test part. The test images are only counted, never trained on.
        images: The same images, prepared for the device.
    """
    text = NASBench201Space().to_string(architecture)
    device = images.labels.device
    run = StackTraining(network_structure(text, recipe, data), recipe, images, SEEDS)
    test_images, test_labels = data.sealed.open()
    test_images = test_images.permute(0, 2, 3, 1).contiguous().to(device)
    valid, test, losses, finite = [], [], [], []
    for epoch in range(recipe.epochs):
        accuracies, loss, is_finite = run.epoch(epoch)
        valid.append([round(accuracy * len(data.valid_labels) / 100) for accuracy in accuracies])
        losses.append(loss)
        finite.append(is_finite)
        if epoch + 1 in test_epochs(recipe):
            batches = plain_batches(test_images, test_labels.to(device), images.mean, images.std, len(SEEDS))
            counts: Tensor = count_correct(run.network, batches)[0]
            test.append(counts.tolist())
    return ClassCurves(architecture, valid, test, losses, finite)


def class_order(recipe: Recipe, data: ImageData) -> Ints:
    """Smallest index of each class, shape (num_classes,): most operations first, then by index."""
    space = NASBench201Space()
    jobs = [(space.to_string(int(index)), SEEDS) for index in all_classes()]
    return np.array([space.from_string(text) for text, _ in longest_first(jobs, recipe, data)])


def build_parts(
    folder: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    recipe_name: str = "animals8-10",
    on_class: Callable[[int, int], None] | None = None,
    classes_per_part: int = CLASSES_PER_PART,
    max_parts: int | None = None,
) -> int:
    """Train the classes of one shard and write their parts; returns the number of parts that the shard still misses.

    Args:
        folder: Folder of parts and journals.
        shard: (i, n): this call trains parts i, i + n, i + 2n, … (from 1).
        recipe_name: Name of the recipe.
        on_class: Called with (classes done, classes of the shard) after each class.
        classes_per_part: Number of classes per part.
        max_parts: Stop after so many parts; None trains all.

    Raises:
        InvalidInputError: The folder holds parts of other rules or cannot be written, or another process trains the
            same part.
    """
    recipe, data = recipe_of(recipe_name), load_data("animals8")
    if recipe.stack != len(SEEDS):
        raise InvalidInputError(f"recipe {recipe.name} stacks {recipe.stack} seeds: the table needs {len(SEEDS)}")
    order = class_order(recipe, data)
    parts = [order[start : start + classes_per_part] for start in range(0, len(order), classes_per_part)]
    mine = list(range(shard[0] - 1, len(parts), shard[1]))
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in mine if not part_path(folder, number).exists()]
    for number in set(mine) - set(missing):
        _drop_journal(_journal_path(folder, number))
    done, total = sum(len(parts[number]) for number in mine if number not in missing), sum(len(parts[n]) for n in mine)
    execution = Execution("cpu")
    origin = origin_digest(recipe, data, execution)
    finished = 0
    with execution.applied(torch.device("cpu")):
        images = DeviceImages(data, recipe, torch.device("cpu"), torch.float32)
        for number in missing:
            if max_parts is not None and finished == max_parts:
                break
            with _Journal(_journal_path(folder, number), origin) as journal:
                for architecture in parts[number].tolist():
                    if architecture not in journal.curves:
                        journal.add(train_class(architecture, recipe, data, images))
                    done += 1
                    if on_class is not None:
                        on_class(done, total)
                curves = [journal.curves[one] for one in parts[number].tolist()]
                _write_part(part_path(folder, number), curves, origin, journal.processors)
            journal.path.unlink(missing_ok=True)
            finished += 1
    return len(missing) - finished


def table_rules(recipe_name: str = "animals8-10") -> Rules:
    """The rules that all parts of a table share."""
    recipe, data = recipe_of(recipe_name), load_data("animals8")
    return Rules(
        recipe=recipe,
        data=data.name,
        seeds=SEEDS,
        test_epochs=tuple(test_epochs(recipe)),
        num_train=len(data.train_labels),
        num_valid=len(data.valid_labels),
        num_test=len(data.sealed.open()[1]),
        num_classes=data.num_classes,
        image_channels=data.channels,
        side=data.side,
        digests={
            "recipe": recipe.digest,
            "data": data.digest,
            "split": data.split_digest,
            "origin": origin_digest(recipe, data, Execution("cpu")),
        },
    )


def part_path(folder: Path, number: int) -> Path:
    """File of a finished part."""
    return folder / f"part-{number:03d}.parquet"


def _journal_path(folder: Path, number: int) -> Path:
    """File of the finished classes of a part that is being trained."""
    return folder / f"part-{number:03d}.jsonl"


def _drop_journal(path: Path) -> None:
    """Remove the journal that a kill left beside its finished part, unless another process has it."""
    if path.exists():
        with path.open("rb") as file:
            is_free = try_lock(file)
        if is_free:
            path.unlink(missing_ok=True)


class _Journal:
    """Finished classes of a part, one flushed line each; one process at a time.

    A line is also written whenever another processor continues: processors round differently.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self.path, self.origin = path, origin
        self.curves: dict[int, ClassCurves] = {}
        self.processors: list[str] = []

    def __enter__(self) -> _Journal:
        self.file = self.path.open("a+", encoding="utf-8")
        try:
            self._lock()
            self._read()
        except BaseException:
            self.file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, curves: ClassCurves) -> None:
        """Keep a finished class."""
        self.curves[curves.architecture] = curves
        self._write(dataclasses.asdict(curves))

    def _read(self) -> None:
        self.file.seek(0)
        text = self.file.read()
        whole = text[: text.rfind("\n") + 1]  # a line without its end was being written when the process died
        if len(whole) < len(text):
            self.file.truncate(len(whole.encode()))
        for line in whole.splitlines():
            self._take(line)
        if self.processors[-1:] != [processor_name()]:
            self.processors.append(processor_name())
            self._write({"origin": self.origin, "processor": self.processors[-1]})

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if "origin" in entry:
                is_ours = entry["origin"] == self.origin
                self.processors.append(str(entry.get("processor", UNKNOWN_PROCESSOR)))
            else:
                curves, is_ours = ClassCurves(**entry), True
                self.curves[curves.architecture] = curves
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"{self.path} is damaged: delete it, its classes are trained again") from error
        if not is_ours:
            raise InvalidInputError(
                f"{self.path} was trained by another recipe, other images or another torch: use another folder"
            )

    def _write(self, entry: dict[str, Any]) -> None:
        append_to_disk(self.file, json.dumps(entry, separators=(",", ":")) + "\n")

    def _lock(self) -> None:
        if not try_lock(self.file):
            raise InvalidInputError(f"another process trains {self.path}: give each process its own --shard")


def _write_part(path: Path, curves: list[ClassCurves], origin: str, processors: list[str]) -> None:
    """Write a part whole: a temporary file, then a rename."""
    arrays = {
        "architecture": pa.array([one.architecture for one in curves], pa.uint16()),
        "valid_correct": _lists([one.valid_correct for one in curves], np.uint16),
        "test_correct": _lists([one.test_correct for one in curves], np.uint16),
        "train_loss": _lists([one.train_loss for one in curves], np.float32),
        "is_finite": _lists([one.is_finite for one in curves], np.bool_),
    }
    provenance = {
        "origin": origin,
        "torch": torch.__version__,
        "nasbench-harness": version("nasbench-harness"),
        "animal-shape-mnist": version("animal-shape-mnist"),
        "processor": PROCESSOR_SEPARATOR.join(dict.fromkeys(processors)),
        "date": datetime.now(UTC).date().isoformat(),
        "command": COMMAND,
    }
    table = pa.table(arrays).replace_schema_metadata({"provenance": json.dumps(provenance)})
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from error


def _lists(values: list[Any], dtype: Any) -> pa.Array:
    """One fixed-size list per class: its values by epoch, then by seed."""
    array = np.array(values, dtype=dtype)
    flat = array.reshape(len(array), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
