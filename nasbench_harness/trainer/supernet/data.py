"""Two disjoint halves of images for searches that train: the trainer's data sets, or larger animal shapes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import AnyArray
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.training_data import TrainingData
from nasbench_harness.trainer.data.images import ImageData, load_data
from nasbench_harness.trainer.data.sources import SOURCES, Images, animal_shapes, stratified_thirds

LARGER_ANIMALS = "animals16"
_HALF = 4_000
_TRAINED_HERE = "-animals8"


@dataclass(frozen=True)
class HalvedImages:
    """A data set that a study offers to strategies; it holds no images, so it can be sent to other processes.

    Attributes:
        name: Name of the data.
        data_dir: Folder or file of data that no package brings.
        split: File with the official halves.
        digest: sha256 of images, labels and halves; empty before they are read.
    """

    name: str
    data_dir: Path | None = None
    split: Path | None = None
    digest: str = ""

    def load(self) -> TrainingData:
        """The two halves.

        Raises:
            InvalidInputError: They are missing or damaged, or others than those of the digest.
        """
        data = _load(self.name, self.data_dir, self.split)
        if self.digest not in ("", data.digest):
            raise InvalidInputError(f"data {self.name} have the digest {data.digest[:12]}, not {self.digest[:12]}")
        return data

    def refusal(self, task: str) -> str:
        """Reason why these images cannot be used on a task; empty if they can."""
        if task.endswith(_TRAINED_HERE) and self.name == LARGER_ANIMALS:
            return f"data {self.name} hold images that task {task} measures with: use --data animals8"
        return ""


def halved_images(name: str | None, data_dir: Path | None = None, split: Path | None = None) -> HalvedImages:
    """Read training data once and name them by their digest.

    Args:
        name: ``animals16``, or a data set of the trainer; None: what ``data_dir`` holds.
        data_dir: Folder of the official batches, or an ``.npz`` file.
        split: File with the official halves.

    Raises:
        InvalidInputError: The name is unknown, a file is missing or damaged, or an image has an unsuitable shape.

    >>> halved_images("animals16").load().weight_images.shape
    (4000, 1, 16, 16)
    """
    if name is not None and name not in (LARGER_ANIMALS, *SOURCES):
        raise UnknownNameError("data", name, (LARGER_ANIMALS, *SOURCES))
    if name == LARGER_ANIMALS and (data_dir is not None or split is not None):
        raise InvalidInputError(
            f"data {name} come with a package and their own halves: leave --data-dir and --split out"
        )
    where, halves = (None if path is None else path.absolute() for path in (data_dir, split))
    data = _load(name, where, halves)
    known = data.name if data.name in (LARGER_ANIMALS, *SOURCES) else "npz"  # such data bear the name of their file
    return HalvedImages(known, where, halves, data.digest)


@cache
def _load(name: str | None, data_dir: Path | None, split: Path | None) -> TrainingData:
    if name == LARGER_ANIMALS:
        return _larger_animals()
    return _of_trainer(load_data(name, data_dir, split).without_test())


def _of_trainer(data: ImageData) -> TrainingData:
    """Training and validation images; of animals8 halves of the training images, as tables hold the others."""
    train = Images(data.train_images.numpy(), data.train_labels.numpy())
    second = Images(data.valid_images.numpy(), data.valid_labels.numpy())
    if data.name == "animals8":
        first_size = -(-len(train.labels) // 2)
        parts = stratified_thirds(train.labels, (first_size, len(train.labels) - first_size))
        train, second = (train.take(part) for part in parts)
    found = _training_data(data.name, train, second, data.num_classes, data.mean, data.std, data.can_flip)
    return replace(found, halves=data.split_origin)


def _larger_animals() -> TrainingData:
    """Means of 2 × 2 pixels, padded with zeros to 16 × 16; equal images are dropped."""
    images, labels = animal_shapes()
    small = np.rint(images.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5))).astype(np.uint8)
    small = np.pad(small, ((0, 0), (0, 0), (1, 1), (1, 1)))
    _, first = np.unique(small.reshape(len(small), -1), axis=0, return_index=True)
    whole = Images(small, labels).take(np.sort(first))
    parts = stratified_thirds(whole.labels, (_HALF, _HALF, len(whole.labels) - 2 * _HALF))
    train, second = (whole.take(part) for part in parts[:2])
    mean, std = float(train.images.mean()), max(1.0, float(train.images.std()))
    num_classes = int(whole.labels.max()) + 1
    found = _training_data(LARGER_ANIMALS, train, second, num_classes, (mean,), (std,), can_flip=True)
    return replace(found, halves="source")


def _training_data(
    name: str,
    train: Images,
    second: Images,
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    can_flip: bool,
) -> TrainingData:
    found = TrainingData(name, *train, *second, num_classes, mean, std, can_flip, "")
    digest = hashlib.sha256(f"{mean} {std} {can_flip} {num_classes}".encode())
    arrays: tuple[AnyArray, ...] = (*train, *second)
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return replace(found, digest=digest.hexdigest())
