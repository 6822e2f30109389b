"""Input checks shared by the statistics modules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def as_finite(values: ArrayLike, name: str, axes: tuple[str, ...]) -> FloatArray:
    """Returns `values` as float64 after checking that every entry is finite.

    Args:
        values: numbers; the last `len(axes)` axes bear the names in `axes`.
        name: how the message calls the array.
        axes: one word for each trailing axis, such as ("strategy", "run").

    Raises:
        ValueError: an axis is missing, the array is empty, or an entry is NaN or infinite (its position is named).
    """
    return np.asarray(as_numbers(values, name, axes), dtype=np.float64)


def as_numbers(values: ArrayLike, name: str, axes: tuple[str, ...]) -> NDArray[Any]:
    """Returns integers as int64, whose sums are exact, and everything else as finite float64.

    Arguments and errors are those of `as_finite`.
    """
    array = np.asarray(values)
    is_integer = np.issubdtype(array.dtype, np.integer)
    array = array.astype(np.int64 if is_integer else np.float64, copy=False)
    if array.ndim < len(axes):
        shape = ", ".join(f"num_{axis}s" for axis in axes)
        raise ValueError(f"{name} needs the axes ({shape}) but has shape {array.shape}; add the missing axis")
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}); pass at least one value")
    if not is_integer:
        refuse_where(~np.isfinite(array), array, name, axes)
    return array


def refuse_where(wrong: BoolArray, array: NDArray[Any], name: str, axes: tuple[str, ...]) -> None:
    """Raises a ValueError that names the first marked entry of `array`, if there is one.

    Args:
        wrong: marks, in the shape of `array`.
        array: the checked values.
        name: how the message calls the array.
        axes: one word for each trailing axis.

    Raises:
        ValueError: at least one entry is marked.
    """
    if not wrong.any():
        return
    position = tuple(int(i) for i in np.argwhere(wrong)[0])
    words = ("index",) * (array.ndim - len(axes)) + axes
    where = ", ".join(f"{word} {i}" for word, i in zip(words, position, strict=True))
    raise ValueError(
        f"{name} is {array[position]} at {where or 'its only entry'}; "
        "repair or remove that entry by name before comparing, nothing is dropped silently"
    )


def check_confidence(confidence: float) -> None:
    """Raises a ValueError unless 0 < confidence < 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; pass a share strictly between 0 and 1, such as .95")
