"""The kernel of the bootstrap of interquartile means: exact, and without ever building a resample.

Sort the values: v_1 <= ... <= v_N. In a resample let C_i count the draws among the i smallest. Its middle values (k =
int(N / 4) are trimmed at each end) hold v_i as often as [C_{i-1}, C_i] overlaps [k, N - k]:

    sum = sum_i v_i (clip(C_i, k, N - k) - clip(C_{i-1}, k, N - k))

The weights depend on the counts of the ranks only, not on the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_harness.statistics._checks import FloatArray

_TILE = 32
"""Columns in a product at a time: few enough that BLAS stays on the calling thread."""

_MAX_PRODUCT = 800_000
"""Multiplications in a matrix product that BLAS still does on the calling thread."""

_NARROW = 200
"""Columns from which adding up rows in turn is faster than a cumulative sum over the first axis."""

_MAX_WEIGHTS = 2_000_000
"""Weights that are in memory at a time."""


def resampled_means(values: NDArray[Any], counts: NDArray[Any]) -> FloatArray:
    """Returns the mean of each resample, shape (num_resamples,), of values (num_runs,); sums of integers are exact."""
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(np.einsum("r,rs->s", values, counts, dtype=np.int64) / len(values))
    center = values[0]
    return np.asarray(center + np.einsum("r,rs->s", values - center, counts) / len(values))


def resampled_interquartile_means(values: NDArray[Any], counts: NDArray[Any]) -> FloatArray:
    """Returns the IQM of each resample, shape (num_resamples,), of values (num_runs,)."""
    order = np.argsort(values, kind="stable")
    return np.asarray(rank_interquartile_means(values[order][None], counts[order])[0])


def rank_interquartile_means(ordered: NDArray[Any], counts: NDArray[Any]) -> FloatArray:
    """Returns the IQM of each resample if counts belong to ranks, the first row to the smallest value.

    One set of weights then serves all columns. The sums are exact if values are integers.

    Args:
        ordered: ascending along each row, shape (num_columns, num_runs).
        counts: shape (num_runs, num_resamples).

    Returns:
        Shape (num_columns, num_resamples).
    """
    num_runs, num_resamples = counts.shape
    trim = num_runs // 4
    # Relative to a middle value, so that equal floats give exactly equal resamples, and sums of integers are small.
    center = ordered[:, trim, None]
    sums = np.empty((len(ordered), num_resamples))
    width = max(_MAX_WEIGHTS // num_runs, 1)
    for first in range(0, num_resamples, width):
        part = slice(first, first + width)
        weights = _weights(counts[:, part], trim)
        used = np.flatnonzero(weights.any(axis=1))
        ranks = slice(used[0], used[-1] + 1)
        centered = ordered[:, ranks] - center
        kind = _kind_of_sums(centered, num_runs - 2 * trim)
        sums[:, part] = _product(centered, weights[ranks].astype(kind))
    num_kept = num_runs - 2 * trim
    if np.issubdtype(ordered.dtype, np.integer):  # divided once: equal sums around other centers are equal means
        return np.asarray((center * num_kept + sums) / num_kept)
    return np.asarray(center + sums / num_kept)


def _weights(counts: NDArray[Any], trim: int) -> NDArray[Any]:
    """Returns how many of a resample's middle values each rank gives, shape (num_runs, num_resamples)."""
    drawn = counts.astype(np.int16 if len(counts) <= np.iinfo(np.int16).max else np.int32)
    if drawn.shape[1] < _NARROW:
        np.cumsum(drawn, axis=0, out=drawn)
    else:
        for row, before in zip(drawn[1:], drawn[:-1], strict=True):
            row += before
    np.clip(drawn, trim, len(counts) - trim, out=drawn)
    weights = np.empty_like(drawn)
    weights[0] = drawn[0] - trim
    np.subtract(drawn[1:], drawn[:-1], out=weights[1:])
    return weights


def _kind_of_sums(centered: NDArray[Any], weight: int) -> type[np.floating[Any]]:
    """Returns float32, which takes half the time, if all sums of integers with this total weight are exact in it."""
    is_integer = np.issubdtype(centered.dtype, np.integer)
    largest = max(abs(int(centered.min())), abs(int(centered.max()))) if is_integer else np.inf
    return np.float32 if largest * weight <= 2**24 else np.float64


def _product(centered: NDArray[Any], weights: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Returns centered (num_columns, num_ranks) @ weights (num_ranks, num_resamples), without BLAS threads.

    They gain little at these sizes and go on spinning for long after the product, at the cost of other workers. The
    product has the type of the weights.
    """
    if len(centered) == 1:
        return np.asarray(np.einsum("cr,rs->cs", centered.astype(weights.dtype), weights))
    product = np.empty((len(centered), weights.shape[1]), weights.dtype)
    width = max(_MAX_PRODUCT // (_TILE * len(weights)), 1)
    for first in range(0, len(centered), _TILE):
        tile = slice(first, first + _TILE)
        left = centered[tile].astype(weights.dtype)
        for start in range(0, weights.shape[1], width):
            part = slice(start, start + width)
            np.matmul(left, weights[:, part], out=product[tile, part])
    return product
