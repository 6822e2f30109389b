"""Transformations of uniform draws, and checks of the numbers that a draw is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import InvalidInputError


def normal(draws: Floats) -> Floats:
    """Box and Muller's transformation of pairs of neighboring draws: half as many numbers on the last axis."""
    numbers: Floats = np.sqrt(-2.0 * np.log(1.0 - draws[..., 0::2])) * np.cos(2.0 * np.pi * draws[..., 1::2])
    return numbers


def gumbel(draws: Floats) -> Floats:
    """Standard Gumbel numbers from uniform draws, same shape."""
    numbers: Floats = -np.log(-np.log(np.maximum(draws, 2.0**-54)))  # a draw may be 0
    return numbers


def cumulative_sums(weights: Any, num_items: int) -> Floats:
    """Cumulative sums of weights over the last axis, checked."""
    chances = np.asarray(weights, dtype=np.float64)
    cumulative: Floats = np.cumsum(chances, axis=-1)  # in order, so the same sums for one run and for many
    if chances.shape[-1:] != (num_items,) or not (chances >= 0).all() or not _is_positive(cumulative[..., -1]):
        raise InvalidInputError(
            f"choice: weights must be {num_items} numbers of at least 0 with a positive sum, one for each item"
        )
    return cumulative


def _is_positive(sums: Any) -> bool:
    return bool((np.isfinite(sums) & (sums > 0)).all())


def check_items(num_items: int) -> None:
    """Refuse a choice from nothing."""
    if num_items < 1:
        raise InvalidInputError("choice: there is nothing to choose from")


def check_subset(high: int, size: int) -> None:
    """Refuse a subset that is larger than the whole."""
    if not 0 <= size <= high:
        raise InvalidInputError(f"subset: cannot draw {size} distinct integers from 0 … {high - 1}")


def wrong_high(high: Any, size: Any) -> InvalidInputError:
    """The error about a bound that is not positive."""
    return InvalidInputError(
        f"integers(high, size): high must be at least 1, not {high}; draws are in 0 … high − 1, so NumPy's "
        f"integers(0, {'n' if size is None else size}) is written integers({'n' if size is None else size})"
    )
