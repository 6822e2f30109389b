"""Reads image data as arrays; nothing here runs code from a data file.

Each reader returns a ``Source``; ``data.load_data`` splits it, checks it and hands it to the trainer.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.tables.unpickle import restricted_load

# What arrays in a pickle refer to, as old and as new versions of NumPy spell it.
_ARRAY_GLOBALS = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    }
)
_BATCH_GLOBALS = _ARRAY_GLOBALS | {("_codecs", "encode")}  # how Python 3 writes bytes for Python 2
_ANIMALS_PACKAGE = "animal-shape-mnist"
_ANIMALS_VERSION = "0.39"
_ANIMALS = 9_716  # distinct images
_SPLIT_SEED = 0
_MAX_CLASSES = 1_000_000


class Images(NamedTuple):
    """Images uint8 (n, channels, side, side) and labels int64 (n,)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def take(self, where: AnyArray) -> Images:
        """Those at these positions, or those whose mask is true."""
        return Images(self.images[where], self.labels[where])


@dataclass(frozen=True)
class Source:
    """Content of a data source.

    Attributes:
        name: Name of the data.
        train: Images to train on.
        valid: Images to measure on; None if they are half of another part.
        test: Images kept apart; None if there are none.
        halved: Part that is split into halves: train and validation, or validation and test; or none.
        can_flip: A mirrored image is still of its class.
        mean: Means of the channels, 0 … 255; measured on the training images if not given.
        std: The same.
        num_published: Images of the whole published set; None if there is no such thing.
    """

    name: str
    train: Images
    valid: Images | None
    test: Images | None
    halved: Literal["train", "test", ""] = ""
    can_flip: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    num_published: int | None = None

    @property
    def part(self) -> str:
        """How many of the published images are here, in words; empty if all are."""
        count = sum(len(part.labels) for part in (self.train, self.valid, self.test) if part is not None)
        is_whole = self.num_published in (None, count)
        return "" if is_whole else f"{count:,} of the {self.num_published:,} published images"


def read_source(source: str | None, data_dir: Path | None) -> Source:
    """Read the named data; without a name the data in a folder, and without both animals8.

    Raises:
        InvalidInputError: The name is unknown, a file is missing or damaged, a package is not installed.
    """
    if source is None:
        source = _DEFAULT if data_dir is None else _detect(data_dir)
    if source not in SOURCES:
        raise UnknownNameError("data", source, SOURCES)
    if source in _PACKAGED:
        if data_dir is not None:
            raise InvalidInputError(f"data {source} comes with a package: leave --data or --data-dir out")
        return _PACKAGED[source]()
    if data_dir is None:
        raise InvalidInputError(f"data {source} does not come with a package: name its folder or file with --data-dir")
    return _FROM_FOLDER[source](_existing(data_dir))


def stratified_thirds(labels: Ints, totals: Sequence[int], seed: int = _SPLIT_SEED) -> tuple[Ints, ...]:
    """Disjoint ascending positions of parts of exactly these sizes, each with the classes' shares of the whole.

    Args:
        labels: Class of each image, shape (n,).
        totals: Sizes of the parts; they add up to n.
        seed: Seed of the draw.
    """
    classes, counts = np.unique(labels, return_counts=True)
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == one)) for one in classes]
    ends = np.zeros(len(classes), dtype=np.int64)
    parts = []
    for total in totals[:-1]:
        starts, ends = ends, ends + _shares(total, counts)
        parts.append([order[a:b] for order, a, b in zip(shuffled, starts, ends, strict=True)])
    parts.append([order[start:] for order, start in zip(shuffled, ends, strict=True)])
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def _shares(total: int, counts: Ints) -> Ints:
    """Whole numbers in proportion to ``counts`` that add up to ``total`` (largest remainders)."""
    exact = total * counts / counts.sum()
    shares: Ints = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")[: total - shares.sum()]
    shares[largest] += 1
    return shares


def animal_shapes() -> Images:
    """The distinct images of the package, shape (9716, 1, 28, 28), in the order of its files.

    Raises:
        InvalidInputError: The package is not installed, or holds other images.
    """
    install = f"pip install {_ANIMALS_PACKAGE}=={_ANIMALS_VERSION}"
    try:
        files = {file.name: Path(str(file.locate())) for file in distribution(_ANIMALS_PACKAGE).files or ()}
        paths = [files[f"animal_{part}_version_3.gz"] for part in ("data", "label")]
    except (PackageNotFoundError, KeyError):
        raise InvalidInputError(f"data animals8 is read from the package {_ANIMALS_PACKAGE}: {install}") from None
    images, labels = (_load(path, _ARRAY_GLOBALS, opener=gzip.open) for path in paths)
    if np.shape(images) != (10_000, 28, 28) or np.shape(labels) != (10_000,) or images.dtype != np.uint8:
        raise InvalidInputError(f"{paths[0]} does not hold 10,000 images of 28 × 28 pixels: {install}")
    first_of: dict[bytes, int] = {}
    for position, image in enumerate(images):
        first_of.setdefault(image.tobytes(), position)
    first = np.array(list(first_of.values()))
    if len(first) != _ANIMALS:
        raise InvalidInputError(f"{paths[0]} has {len(first):,} distinct images, expected {_ANIMALS:,}: {install}")
    return Images(images[first][:, None], labels[first].astype(np.int64))


def _animals() -> Source:
    images, labels = animal_shapes()
    padded = np.pad(images[:, 0], ((0, 0), (2, 2), (2, 2)))
    small = np.rint(padded.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))).astype(np.uint8)
    return _in_thirds("animals8", small[:, None], labels, (3_001, 3_701, 3_014), can_flip=True)


def _digits() -> Source:
    if find_spec("sklearn") is None:
        raise InvalidInputError("data digits8 is read from scikit-learn: pip install scikit-learn")
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (15 * digits.images).astype(np.uint8)  # 17 gray values, 0 … 16
    rest = len(images) - 900
    return _in_thirds("digits8", images[:, None], digits.target, (900, rest // 2, rest - rest // 2), can_flip=False)


def _in_thirds(name: str, images: AnyArray, labels: Ints, totals: Sequence[int], can_flip: bool) -> Source:
    whole = Images(images, labels.astype(np.int64))
    train, valid, test = (whole.take(part) for part in stratified_thirds(labels, totals))
    return Source(name, train, valid, test, can_flip=can_flip)


def _cifar10(folder: Path) -> Source:
    folder = _inner(folder, "cifar-10-batches-py")
    train = _batches(folder, [f"data_batch_{number}" for number in range(1, 6)], "labels", 32, 9)
    test = _batches(folder, ["test_batch"], "labels", 32, 9)
    mean, std = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
    return Source("cifar10", train, None, test, "train", mean=mean, std=std, num_published=60_000)


def _cifar100(folder: Path) -> Source:
    folder = _inner(folder, "cifar-100-python")
    train, test = (_batches(folder, [name], "fine_labels", 32, 99) for name in ("train", "test"))
    mean, std = (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)
    return Source("cifar100", train, None, test, "test", mean=mean, std=std, num_published=60_000)


def _imagenet16(folder: Path) -> Source:
    train = _batches(folder, [f"train_data_batch_{number}" for number in range(1, 11)], "labels", 16, 1_000)
    test = _batches(folder, ["val_data"], "labels", 16, 1_000)
    mean, std = (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)
    train, test = (_first_120(part) for part in (train, test))
    return Source("imagenet16-120", train, None, test, "test", mean=mean, std=std, num_published=157_700)


def _first_120(part: Images) -> Images:
    """Classes 1 … 120, counted from 0."""
    kept = part.take((part.labels >= 1) & (part.labels <= 120))
    return Images(kept.images, kept.labels - 1)


def _inner(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder


def _batches(folder: Path, names: Sequence[str], label_key: str, side: int, largest: int) -> Images:
    parts = [_batch(folder / name, label_key, side, largest) for name in names]
    return Images(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _batch(path: Path, label_key: str, side: int, largest: int) -> Images:
    content = _load(path, _BATCH_GLOBALS, encoding="latin1", advice="copy it again from where it is published")
    if not isinstance(content, dict) or not {"data", label_key} <= set(content):
        raise InvalidInputError(f"{path} is no batch of images: expected a dictionary with 'data' and {label_key!r}")
    images, labels = content["data"], np.asarray(content[label_key])
    length = 3 * side * side
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), length):
        raise InvalidInputError(
            f"{path}: 'data' should be uint8 of shape (num_labels = {len(labels)}, 3·{side}·{side} = {length}), "
            f"got {getattr(images, 'dtype', type(images).__name__)} of shape {np.shape(images)}"
        )
    classes = _labels(labels, f"{path}: {label_key!r}")
    if classes.max(initial=0) > largest:
        raise InvalidInputError(f"{path}: {label_key!r} holds class {classes.max()}, these data have 0 … {largest}")
    return Images(images.reshape(-1, 3, side, side), classes)


def _npz(path: Path) -> Source:
    names = ("x_train", "y_train", "x_valid", "y_valid")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # a damaged archive can raise nearly anything
        raise InvalidInputError(f"{path} is no .npz file of plain arrays ({type(error).__name__})") from None
    if missing := [name for name in names if name not in arrays]:
        raise InvalidInputError(f"{path} does not have {', '.join(missing)}: expected {', '.join(names)}")
    train, valid = (_part(arrays, part, path) for part in ("train", "valid"))
    test = _part(arrays, "test", path) if {"x_test", "y_test"} <= set(arrays) else None
    can_flip = arrays.get("can_flip", np.array(False))
    if can_flip.shape != () or can_flip.dtype != np.bool_:
        raise InvalidInputError(f"{path}: can_flip should be one True or False")
    return Source(path.name, train, valid, test, can_flip=bool(can_flip))


def _part(arrays: dict[str, AnyArray], part: str, path: Path) -> Images:
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] == images.shape[2] != images.shape[3]:
        images = np.moveaxis(images, 3, 1)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise InvalidInputError(
            f"{path}: x_{part} should be uint8 of shape (num_images, side, side), (num_images, channels, side, side) "
            f"or (num_images, side, side, channels), got {images.dtype} of shape {arrays[f'x_{part}'].shape}"
        )
    return Images(np.ascontiguousarray(images), _labels(labels, f"{path}: y_{part}"))


def _labels(labels: AnyArray, where: str) -> npt.NDArray[np.int64]:
    are_classes = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    if not are_classes or (labels.size and not 0 <= labels.min() <= labels.max() < _MAX_CLASSES):
        raise InvalidInputError(f"{where} should be whole numbers of 0 … {_MAX_CLASSES - 1:,}, shape (num_images,)")
    return labels.astype(np.int64)


def _load(path: Path, allowed: frozenset[tuple[str, str]], **how: Any) -> Any:
    try:
        return restricted_load(path, allowed, **how)
    except TableError as error:
        raise InvalidInputError(str(error)) from None


def _detect(path: Path) -> str:
    """Name of the data that a folder or file holds."""
    if _existing(path).suffix == ".npz":
        return "npz"
    for name, inner, file in _MARKS:
        if (_inner(path, inner) / file).is_file():
            return name
    raise InvalidInputError(
        f"{path} holds no data set: expected the folder of CIFAR-10, CIFAR-100 or ImageNet16-120, or an .npz file"
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InvalidInputError(f"--data-dir {path} does not exist")
    return path


_DEFAULT = "animals8"
_MARKS = (
    ("cifar10", "cifar-10-batches-py", "data_batch_1"),
    ("cifar100", "cifar-100-python", "train"),
    ("imagenet16-120", "", "train_data_batch_1"),
)
_PACKAGED: dict[str, Callable[[], Source]] = {"animals8": _animals, "digits8": _digits}
_FROM_FOLDER: dict[str, Callable[[Path], Source]] = {
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "imagenet16-120": _imagenet16,
    "npz": _npz,
}
SOURCES = (*_PACKAGED, *_FROM_FOLDER)
