"""The kernel of the bootstrap of interquartile means: exact, and without ever building a resample.

Sort a strategy's values: v_1 <= ... <= v_N. In a resample let C_i count the draws among the i smallest. The sum of
the resample's middle values (k = int(N / 4) trimmed at each end) follows from C alone. Clip the values to [v_k, v_K],
K = N - k, take their weighted sum, remove k of either end value, and correct for the cuts falling elsewhere:

    sum = sum_r c_r clip(v_r, v_k, v_K) - k v_k - k v_K - cost(k) + cost(K)
    cost(m) = sum_{i < m} (v_{i+1} - v_i) max(C_i - m, 0) + sum_{i >= m} (v_{i+1} - v_i) max(m - C_i, 0)

(summation by parts). The first part is one matrix product. In a cost, C_m - m is about sqrt(N), so all terms vanish a
few dozen ranks away from the cut; a walk away from the cut stops when that has happened in every resample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_harness.statistics._checks import FloatArray, IntArray

_TILE = 32
"""Columns that walk together: enough to hide the cost of a call, few enough to stay in the cache."""

_STRIDE = 8
"""Ranks between two tests of whether a walk is over."""

_MAX_PRODUCT = 800_000
"""Multiplications in a matrix product that BLAS still does on the calling thread."""

_MAX_WEIGHTS = 2_000_000
"""Weights of ranks that are in memory at a time."""


def rank_interquartile_means(values: FloatArray, counts: NDArray[Any]) -> FloatArray:
    """Returns the IQM of each resample if counts belong to ranks, the first row to the smallest value.

    A resample's middle values hold the i-th smallest value as often as [C_{i-1}, C_i] overlaps [k, N - k]. These
    weights do not depend on the values, so one matrix product gives all columns. It is exact if values are integers.

    Args:
        values: shape (num_columns, num_runs).
        counts: shape (num_runs, num_resamples).

    Returns:
        Shape (num_columns, num_resamples).
    """
    num_runs, num_resamples = counts.shape
    trim = num_runs // 4
    ordered = np.sort(values, axis=1)
    # Relative to a middle value, so that equal values give exactly equal resamples.
    center = ordered[:, trim, None]
    means = np.empty((len(values), num_resamples))
    width = max(_MAX_WEIGHTS // num_runs, 1)
    for first in range(0, num_resamples, width):
        part = slice(first, first + width)
        weights = _rank_weights(counts[:, part], trim)
        used = np.flatnonzero(weights.any(axis=1))
        ranks = slice(used[0], used[-1] + 1)
        means[:, part] = _product(ordered[:, ranks] - center, weights[ranks].astype(np.float64))
    return np.asarray(center + means / (num_runs - 2 * trim))


def _rank_weights(counts: NDArray[Any], trim: int) -> NDArray[Any]:
    """Returns how many of each resample's middle values a rank gives, shape (num_runs, num_resamples)."""
    signed = np.int16 if len(counts) <= np.iinfo(np.int16).max else np.int32
    drawn = np.cumsum(counts, axis=0, dtype=signed)
    np.clip(drawn, trim, len(counts) - trim, out=drawn)
    return np.diff(drawn, axis=0, prepend=signed(trim))


@dataclass(frozen=True)
class Resampler:
    """A count matrix (num_runs, num_resamples) in the number types that the kernel needs.

    Attributes:
        signed: integers wide enough for sums up to num_runs of either sign.
        single: float32, in which sums of counts are exact below 2^24.
        double: float64, for products with values.
    """

    signed: NDArray[Any]
    single: NDArray[np.float32]
    double: FloatArray

    @classmethod
    def of(cls, counts: NDArray[Any]) -> Resampler:
        """Returns the resampler of a checked count matrix."""
        signed = np.int16 if len(counts) <= np.iinfo(np.int16).max else np.int32
        # Walks read whole rows, so the rows must be contiguous.
        rows = np.ascontiguousarray(counts, dtype=signed)
        return cls(signed=rows, single=rows.astype(np.float32), double=rows.astype(np.float64))

    def means(self, values: FloatArray) -> FloatArray:
        """Returns the mean of each resample, shape (num_columns, num_resamples), of values (num_columns, num_runs)."""
        center = values[:, :1]
        return np.asarray(center + _product(values - center, self.double) / values.shape[1])

    def interquartile_means(self, values: FloatArray) -> FloatArray:
        """Returns the IQM of each resample, shape (num_columns, num_resamples), of values (num_columns, num_runs)."""
        num_runs = values.shape[1]
        trim = num_runs // 4
        if trim == 0:
            return self.means(values)
        order = np.argsort(values, axis=1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=1)
        low, high = ordered[:, trim - 1, None], ordered[:, num_runs - trim - 1, None]
        # Relative to the lower cut, so that equal values give exactly equal resamples.
        sums = _product(np.clip(values - low, 0.0, high - low), self.double) - trim * (high - low)
        gaps = np.diff(ordered, axis=1, prepend=ordered[:, :1])
        for cut, sign in ((trim, -1.0), (num_runs - trim, 1.0)):
            excess = self._counts_below(order, cut) - cut
            for first in range(0, len(values), _TILE):
                tile = slice(first, first + _TILE)
                sums[tile] += sign * self._cost(order[tile], gaps[tile], cut, excess[tile])
        return np.asarray(low + sums / (num_runs - 2 * trim))

    def _counts_below(self, order: IntArray, cut: int) -> NDArray[Any]:
        """Returns how many draws fall on the `cut` smallest values, shape (num_columns, num_resamples)."""
        is_below = np.zeros(order.shape, dtype=np.float32)
        np.put_along_axis(is_below, order[:, :cut], 1.0, axis=1)
        return _product(is_below, self.single).astype(self.signed.dtype)

    def _cost(self, order: IntArray, gaps: FloatArray, cut: int, excess: NDArray[Any]) -> FloatArray:
        """Returns cost(cut), shape (num_columns, num_resamples); gaps[:, i] is the step up to the i-th value from 0."""
        down = self._walk(excess, order[:, cut - 1 : 0 : -1], gaps[:, cut - 1 : 0 : -1])
        # The walk subtracts before it adds a term, so the upward one begins one rank early.
        up = self._walk(self.signed[order[:, cut - 1]] - excess, order[:, cut - 1 : -1], gaps[:, cut:])
        return down + up

    def _walk(self, excess: NDArray[Any], runs: IntArray, gaps: FloatArray) -> FloatArray:
        """Returns the sum over ranks of the gap times the positive part of what each run's counts leave of `excess`."""
        num_columns, num_resamples = excess.shape
        total = np.zeros(excess.shape)
        left, drawn, zero = excess.copy(), np.empty_like(excess), np.zeros_like(excess)
        for first in range(0, runs.shape[1], _STRIDE):
            ranks = slice(first, min(first + _STRIDE, runs.shape[1]))
            positive = np.empty((num_columns, ranks.stop - first, num_resamples), dtype=excess.dtype)
            for i in range(first, ranks.stop):
                self.signed.take(runs[:, i], axis=0, out=drawn, mode="clip")
                np.subtract(left, drawn, out=left)
                # An array of zeros, not a scalar: numpy vectorizes only the former.
                np.maximum(left, zero, out=positive[:, i - first])
            # Contiguous, as numpy multiplies reversed views without BLAS.
            weights = np.ascontiguousarray(gaps[:, None, ranks])
            total += (weights @ positive.astype(np.float64))[:, 0]
            if left.max() <= 0:
                break
        return total


def _product(weights: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """Returns weights (num_columns, num_runs) @ counts (num_runs, num_resamples) without starting BLAS threads.

    They gain little at these sizes and go on spinning for long after the product, at the cost of other workers.
    """
    if len(weights) == 1:
        return np.asarray(np.einsum("cr,rs->cs", weights, counts))
    product = np.empty((len(weights), counts.shape[1]), dtype=counts.dtype)
    width = max(_MAX_PRODUCT // (_TILE * len(counts)), 1)
    for start in range(0, counts.shape[1], width):
        part = slice(start, start + width)
        for first in range(0, len(weights), _TILE):
            tile = slice(first, first + _TILE)
            np.matmul(weights[tile], counts[:, part], out=product[tile, part])
    return product
