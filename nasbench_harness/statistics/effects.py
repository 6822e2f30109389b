"""Effect size of two samples: A12.

Convention: A12(x, y) = P(X > Y) + .5 P(X = Y). For losses and regrets, A12 > .5 means that x is worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray, as_finite


def a12(x: ArrayLike, y: ArrayLike) -> float:
    """Returns P(X > Y) + .5 P(X = Y) over all pairs of draws (Vargha & Delaney 2000), exactly counted.

    Args:
        x: finite scores or integers on a grid, shape (num_runs_x,).
        y: the same of the other strategy, shape (num_runs_y,).

    Raises:
        ValueError: not one-dimensional, empty, or a value is NaN or infinite.

    Example:
        >>> a12([2, 3], [1, 3])
        0.625
    """
    first, second = _sample(x, "x"), _sample(y, "y")
    half_wins = int(_half_wins(first, np.sort(second)).sum())
    return half_wins / (2 * first.size * second.size)


def _sample(values: ArrayLike, name: str) -> FloatArray:
    sample = as_finite(values, name, ("run",))
    if sample.ndim != 1:
        raise ValueError(f"{name} has shape {sample.shape}; pass (num_runs,)")
    return sample


def _half_wins(values: FloatArray, ordered: FloatArray) -> IntArray:
    """Returns 2 #(ordered < value) + #(ordered = value) for each value; `ordered` is sorted, shape (num_runs,)."""
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return np.asarray(below + not_above, dtype=np.int64)
