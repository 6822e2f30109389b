"""Image data as the trainer sees it: training and validation images; the test part is sealed."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nasbench_harness.arrays import AnyArray
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer.data.sources import Images, Source, read_source
from nasbench_harness.trainer.data.split_files import draw_split, read_split

SplitOrigin = Literal["source", "file", "drawn"]


class SealedTest:
    """The test part, which training and selection must not see."""

    def __init__(self, part: Images | None) -> None:
        # In a closure, so that no walk over attributes meets the arrays.
        self._take: Callable[[], Images | None] = lambda: part

    @property
    def is_there(self) -> bool:
        """Whether the data has a test part."""
        return self._take() is not None

    def open(self) -> tuple[Tensor, Tensor]:
        """Test images uint8 (n, channels, side, side) and labels int64 (n,); for reports only.

        Raises:
            InvalidInputError: There is no test part.
        """
        part = self._take()
        if part is None:
            raise InvalidInputError("this data has no test part")
        return torch.from_numpy(part.images), torch.from_numpy(part.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images to train on and to measure with.

    Attributes:
        name: Name of the data, e.g. ``animals8``.
        train_images: uint8, shape (num_train, channels, side, side).
        train_labels: int64, shape (num_train,).
        valid_images: uint8, shape (num_valid, channels, side, side).
        valid_labels: int64, shape (num_valid,).
        num_classes: Number of classes.
        mean: Mean of each channel, in the images' 0 … 255.
        std: The same.
        can_flip: A mirrored image is still of its class.
        digest: sha256 over all images and labels, and how they are normalized and mirrored.
        split_digest: sha256 over which image is in which part.
        split_origin: The source's own split, one from a file, or halves drawn here.
        sealed: The test part.
        part: How many of the published images were there, in words; empty if all were.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    valid_images: Tensor
    valid_labels: Tensor
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    can_flip: bool
    digest: str
    split_digest: str
    split_origin: SplitOrigin
    sealed: SealedTest
    part: str = ""

    @property
    def side(self) -> int:
        """Pixels of an image's side."""
        return int(self.train_images.shape[-1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train_images.shape[1])

    @property
    def chance(self) -> float:
        """Accuracy of a network that knows nothing, in percent."""
        return 100 / self.num_classes

    def without_test(self) -> ImageData:
        """The same without the test part, for processes that train."""
        return dataclasses.replace(self, sealed=SealedTest(None))


def load_data(source: str | None = None, data_dir: Path | None = None, split: Path | None = None) -> ImageData:
    """Read image data and split it.

    Args:
        source: ``animals8``, ``digits8`` (needs scikit-learn), ``cifar10``, ``cifar100``, ``imagenet16-120``, ``npz``;
            None: the data in ``data_dir``, and without it animals8.
        data_dir: Folder of the official batches, or the ``.npz`` file.
        split: File with the halves of CIFAR-10's training set or of the other sets' test images; without it they are
            drawn, and ``split_origin`` says so.

    Raises:
        InvalidInputError: A name is unknown, a file missing or damaged, an image of an unsuitable shape.
    """
    found = read_source(source, data_dir)
    train, valid, test, masks, origin = _parts(found, split)
    digests = [_digest(*part) for part in (found.train, found.valid, found.test) if part is not None]
    digests.append(f"mean {found.mean} std {found.std} can_flip {found.can_flip}")
    return image_data(found, train, valid, test, _digest_of(digests), _digest(*masks), origin)


def image_data(
    found: Source,
    train: Images,
    valid: Images,
    test: Images | None,
    digest: str,
    split_digest: str,
    origin: SplitOrigin,
) -> ImageData:
    """Check parts and put them together.

    Raises:
        InvalidInputError: The parts do not fit together, or the side is not divisible by 4.
    """
    num_classes = _check(found.name, train, valid, test)
    if found.name not in _KEPT_AS_PUBLISHED:
        if num_classes > max(2, len(train.labels)):
            raise InvalidInputError(
                f"data {found.name}: class {num_classes - 1:,} among {len(train.labels):,} training images: number the "
                "classes from 0 without gaps"
            )
        _check_distinct(found.name, train, valid, test)
    mean, std = (found.mean, found.std) if found.mean else _moments(train.images)
    return ImageData(
        found.name,
        torch.from_numpy(train.images),
        torch.from_numpy(train.labels),
        torch.from_numpy(valid.images),
        torch.from_numpy(valid.labels),
        num_classes,
        mean,
        std,
        found.can_flip,
        digest,
        split_digest,
        origin,
        SealedTest(test),
        found.part,
    )


def _parts(found: Source, split: Path | None) -> tuple[Images, Images, Images | None, list[AnyArray], SplitOrigin]:
    if not found.halved:
        if split is not None:
            raise InvalidInputError(f"data {found.name} comes with its own split: leave --split out")
        if found.valid is None:
            raise InvalidInputError(f"data {found.name} has no validation images and nothing to halve")
        sizes = np.array([len(part.labels) for part in (found.train, found.valid)])
        return found.train, found.valid, found.test, [sizes], "source"
    whole = found.train if found.halved == "train" else found.test
    if whole is None:
        raise InvalidInputError(f"data {found.name} does not have the part that is to be halved")
    is_first = draw_split(len(whole.labels)) if split is None else read_split(split, len(whole.labels))
    first, second = whole.take(is_first), whole.take(~is_first)
    origin: SplitOrigin = "drawn" if split is None else "file"
    if found.halved == "train":
        return first, second, found.test, [is_first], origin
    return found.train, first, second, [is_first], origin


def _moments(images: AnyArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (at least 1) of each channel, from counts of its 256 values instead of a copy."""
    values = np.arange(256)
    means, deviations = [], []
    for channel in range(images.shape[1]):
        weights = np.bincount(images[:, channel].ravel(), minlength=256) / images[:, channel].size
        mean = float(weights @ values)
        means.append(mean)
        deviations.append(max(1.0, math.sqrt(weights @ (values - mean) ** 2)))
    return tuple(means), tuple(deviations)


def _check(name: str, train: Images, valid: Images, test: Images | None) -> int:
    """Number of classes."""
    num_classes = max(2, int(train.labels.max(initial=0)) + 1)
    for part, found in {"training": train, "validation": valid, "test": test}.items():
        if found is None:
            continue
        if len(found.images) != len(found.labels) or not len(found.images):
            raise InvalidInputError(
                f"data {name}: {len(found.images):,} {part} images have {len(found.labels):,} labels"
            )
        if found.images.shape[1:] != train.images.shape[1:]:
            raise InvalidInputError(
                f"data {name}: training images have shape {train.images.shape[1:]}, {part} {found.images.shape[1:]}"
            )
        if found.labels.max() >= num_classes:
            raise InvalidInputError(
                f"data {name}: {part} has class {found.labels.max()}, training only 0 … {num_classes - 1}"
            )
    side = train.images.shape[-1]
    if side % 4 or not side:
        raise InvalidInputError(
            f"data {name}: images of {side} × {side} pixels cannot be halved twice; pad or crop them to a side that is "
            "divisible by 4"
        )
    return num_classes


# Their splits are part of a published protocol.
_KEPT_AS_PUBLISHED = ("cifar10", "cifar100", "imagenet16-120")


def _check_distinct(name: str, train: Images, valid: Images, test: Images | None) -> None:
    pairs = {("validation", "training"): (train, valid)}
    if test is not None:
        pairs |= {("test", "training"): (train, test), ("test", "validation"): (valid, test)}
    for (here, there), (first, second) in pairs.items():
        if shared := _num_shared(first.images, second.images):
            raise InvalidInputError(f"data {name}: {shared:,} {here} images are {there} images too; remove them")


def _num_shared(first: AnyArray, second: AnyArray) -> int:
    seen = {image.tobytes() for image in first}
    return sum(image.tobytes() in seen for image in second)


def _digest(*arrays: AnyArray) -> str:
    return _digest_of([f"{array.dtype} {array.shape}".encode() + array.tobytes() for array in arrays])


def _digest_of(parts: list[bytes] | list[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()
