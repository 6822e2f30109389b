"""The halves of a data set: from a file that names them, or drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.arrays import Bools
from nasbench_harness.errors import InvalidInputError

_SEED = 201
# Names of the halves in the published lists: of CIFAR-10's training set, and of the other data sets' test sets.
_HALVES = (("train", "valid"), ("xvalid", "xtest"))


def read_split(path: Path, num_images: int) -> Bools:
    """Mask of the first half, shape (num_images,).

    Args:
        path: A published list (JSON with ``train`` and ``valid``, or ``xvalid`` and ``xtest``, each a list of positions
            or ``["int", positions]``) or a ``.npy`` bitmap as ``numpy.packbits`` makes it, 1 in the first half.
        num_images: Images to split.

    Raises:
        InvalidInputError: The file is missing or neither, or does not split so many images.
    """
    try:
        is_first = _from_bitmap(path, num_images) if path.suffix == ".npy" else _from_list(path, num_images)
    except OSError as error:
        raise InvalidInputError(f"cannot read the split {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise InvalidInputError(
            f"{path} does not split {num_images:,} images ({error}): expected a JSON list with train and valid (or "
            "xvalid and xtest), or a packed bitmap (.npy)"
        ) from None
    num_first = int(is_first.sum())
    if abs(2 * num_first - num_images) > 1:
        raise InvalidInputError(
            f"{path} splits {num_images:,} images into {num_first:,} and {num_images - num_first:,}: expected halves"
        )
    return is_first


def draw_split(num_images: int) -> Bools:
    """Mask of a random half, the same at every call, shape (num_images,)."""
    is_first = np.zeros(num_images, dtype=np.bool_)
    is_first[np.random.default_rng(_SEED).permutation(num_images)[: num_images // 2]] = True
    return is_first


def _from_bitmap(path: Path, num_images: int) -> Bools:
    packed = np.load(path, allow_pickle=False)
    if packed.dtype != np.uint8 or packed.shape != (-(-num_images // 8),):
        raise ValueError(f"a bitmap of {packed.dtype}, shape {packed.shape}")
    return np.unpackbits(packed, count=num_images).astype(np.bool_)


def _from_list(path: Path, num_images: int) -> Bools:
    content = json.loads(path.read_text())
    names = next((names for names in _HALVES if set(names) <= set(content)), None)
    if names is None:
        raise ValueError("neither train and valid nor xvalid and xtest")
    first, second = (_positions(content[name]) for name in names)
    if sorted(first + second) != list(range(num_images)):
        raise ValueError(f"{len(first):,} and {len(second):,} positions that are not each image once")
    is_first = np.zeros(num_images, dtype=np.bool_)
    is_first[first] = True
    return is_first


def _positions(entry: Any) -> list[int]:
    values = entry[1] if entry and entry[0] == "int" else entry
    return [int(str(value)) for value in values]  # published as texts; 1.5 and Infinity are no positions
