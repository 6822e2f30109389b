"""Batches that scores read: real augmented images of any data source, or noise."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.tables.unpickle import restricted_load
from nasbench_harness.trainer.data.batches import DeviceImages, draw_epoch
from nasbench_harness.trainer.data.images import ImageData, SealedTest, load_data
from nasbench_harness.trainer.data.sources import SOURCES, stratified_thirds
from nasbench_harness.trainer.proxies.macro import Macro
from nasbench_harness.trainer.recipe import recipe_of

_AUGMENTATION = "nb201-200"  # flip, crop of a padded image; padding is an eighth of the side
_ANIMALS_PACKAGE, _ANIMALS_VERSION = "animal-shape-mnist", "0.39"
_ARRAY_GLOBALS = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    }
)
DATA = ("animals", "noise", *SOURCES)


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of a score beside the network.

    Attributes:
        images: Normalized images, float32, shape (n, image_channels, side, side).
        labels: Classes, int64, shape (n,); None if the data have more classes than the network has outputs.
        next_images: A second batch of the same shape, for scores that read two.
        next_labels: Its classes.
        seed: Key of every draw that a score makes itself, such as N(0, 1) weights.
        source: Data, as provenance names them.
    """

    images: Tensor
    labels: Tensor | None
    next_images: Tensor
    next_labels: Tensor | None
    seed: int = 0
    source: str = ""

    def to(self, dtype: torch.dtype) -> Batch:
        """The same images as numbers of another type."""
        return replace(self, images=self.images.to(dtype), next_images=self.next_images.to(dtype))

    def copy(self) -> Batch:
        """The same numbers in tensors of their own, which have no gradients."""
        images, next_images = self.images.detach().clone(), self.next_images.detach().clone()
        labels, next_labels = (None if part is None else part.clone() for part in (self.labels, self.next_labels))
        return replace(self, images=images, next_images=next_images, labels=labels, next_labels=next_labels)

    def first(self, count: int) -> Batch:
        """The first images only."""
        cut = [None if part is None else part[:count] for part in (self.labels, self.next_labels)]
        return replace(
            self,
            images=self.images[:count],
            next_images=self.next_images[:count],
            labels=cut[0],
            next_labels=cut[1],
        )

    def need_labels(self, score: str) -> Tensor:
        """The labels.

        Raises:
            InvalidInputError: There are none.
        """
        if self.labels is None:
            raise InvalidInputError(
                f"{score} needs labels, and these data have more classes than the network: raise --classes"
            )
        return self.labels


def make_batch(data: str, macro: Macro, seed: int = 0, batch: int = 0, data_dir: Path | None = None) -> Batch:
    """Draw a batch.

    Args:
        data: ``animals`` (shapes in gray, as large as the macro asks), ``noise`` (N(0, 1)), or a source of the trainer.
        macro: Side, channels, number of images and classes.
        seed: Key of the draws that a score makes itself.
        batch: Number of the batch; each has its own images and augmentation.
        data_dir: Folder or file of data that no package brings.

    Raises:
        UnknownNameError: There are no such data.
        InvalidInputError: The images cannot be brought to this size, or there are too few.
    """
    if data in ("animals", "noise") and data_dir is not None:
        raise InvalidInputError(f"data {data} need no folder: name the data of --data-dir with --data, or leave it out")
    if data == "noise":
        return _noise(macro, seed, batch)
    images, digest = _images(data, data_dir, macro.side)
    count = macro.batch_size
    if 2 * count > len(images.train_labels):
        raise InvalidInputError(f"data {data} have {len(images.train_labels):,} images: two batches need {2 * count:,}")
    shown = DeviceImages(images, recipe_of(_AUGMENTATION), torch.device("cpu"), torch.float32)
    draws = draw_epoch([batch], 0, shown.num_train, shown.padding, shown.flip)
    first, second = (
        _fitted(shown.train_batch(*(part[at : at + count] for part in draws)), macro, images) for at in (0, count)
    )
    return Batch(*first, *second, seed=seed, source=f"{data} (sha256 {digest[:16]}), batch {batch}")


def _noise(macro: Macro, seed: int, batch: int) -> Batch:
    generator = np.random.default_rng([batch, 0x6E6F6973])
    shape = (2, macro.batch_size, macro.image_channels, macro.side, macro.side)
    images = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    labels = torch.from_numpy(generator.integers(macro.num_classes, size=shape[:2]))
    return Batch(images[0], labels[0], images[1], labels[1], seed=seed, source=f"noise N(0, 1), batch {batch}")


def _fitted(batch: tuple[Tensor, Tensor], macro: Macro, data: ImageData) -> tuple[Tensor, Tensor | None]:
    """The images with the channels of the macro, and the labels if the macro has an output for every class."""
    images, labels = batch[0].contiguous(), batch[1][0]
    if images.shape[1] == 1:  # gray
        images = images.repeat(1, macro.image_channels, 1, 1)
    elif images.shape[1] != macro.image_channels:
        raise InvalidInputError(
            f"data {data.name} have {images.shape[1]} channels, the macro reads {macro.image_channels}: they must agree"
        )
    return images, labels if data.num_classes <= macro.num_classes else None


@cache
def _images(data: str, data_dir: Path | None, side: int) -> tuple[ImageData, str]:
    """The images at this side, and their digest; larger ones are averaged over squares of pixels."""
    if data not in DATA:
        raise UnknownNameError("data", data, DATA)
    found = _animals() if data == "animals" else load_data(data, data_dir)
    if found.side % side:
        raise InvalidInputError(
            f"data {data} have images of {found.side} × {found.side} pixels, no multiple of the macro's {side}: choose "
            "another --side or --data"
        )
    factor = found.side // side
    if factor == 1:
        return found, found.digest
    number, channels = found.train_images.shape[:2]
    squares = found.train_images.reshape(number, channels, side, factor, side, factor).double()
    small = squares.mean((3, 5)).round().to(torch.uint8)
    pixels = small.double().transpose(0, 1).flatten(1)
    mean, std = pixels.mean(1).tolist(), pixels.std(1, unbiased=False).clamp(min=1).tolist()
    return replace(found, train_images=small, valid_images=small[:1], mean=tuple(mean), std=tuple(std)), found.digest


def _animals() -> ImageData:
    """Animal shapes of 28 × 28 gray pixels, padded to 32: the training third of the trainer's split of them."""
    install = f"pip install {_ANIMALS_PACKAGE}=={_ANIMALS_VERSION}"
    try:
        files = {file.name: Path(str(file.locate())) for file in distribution(_ANIMALS_PACKAGE).files or ()}
        paths = [files[f"animal_{part}_version_3.gz"] for part in ("data", "label")]
        opener: Any = gzip.open
        images, labels = (restricted_load(path, _ARRAY_GLOBALS, opener=opener) for path in paths)
    except (PackageNotFoundError, KeyError, TableError):
        raise InvalidInputError(f"data animals are read from the package {_ANIMALS_PACKAGE}: {install}") from None
    first_of: dict[bytes, int] = {}
    for position, image in enumerate(images):
        first_of.setdefault(image.tobytes(), position)
    first = np.array(list(first_of.values()))
    train, _, _ = stratified_thirds(labels[first].astype(np.int64), (3_001, 3_701, 3_014))
    kept = np.pad(images[first][train], ((0, 0), (2, 2), (2, 2)))[:, None]
    classes = labels[first][train].astype(np.int64)
    digest = hashlib.sha256(kept.tobytes() + classes.tobytes()).hexdigest()
    return ImageData(
        name="animals",
        train_images=torch.from_numpy(kept),
        train_labels=torch.from_numpy(classes),
        valid_images=torch.from_numpy(kept[:1]),
        valid_labels=torch.from_numpy(classes[:1]),
        num_classes=int(classes.max()) + 1,
        mean=(float(kept.mean()),),
        std=(max(1.0, float(kept.std())),),
        can_flip=True,
        digest=digest,
        split_digest="",
        split_origin="source",
        sealed=SealedTest(None),
    )
