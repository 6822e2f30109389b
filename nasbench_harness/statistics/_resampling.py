"""The kernel of the bootstrap of interquartile means: exact, and without ever building a resample.

Sort a strategy's values: v_1 <= ... <= v_N. In a resample let C_i count the draws among the i smallest. The sum of
the resample's middle values (k = int(N / 4) trimmed at each end) follows from C alone. Clip the values to [v_k, v_K],
K = N - k, take their weighted sum, remove k of either end value, and correct for the cuts falling elsewhere:

    sum = sum_r c_r clip(v_r, v_k, v_K) - k v_k - k v_K - cost(k) + cost(K)
    cost(m) = sum_{i < m} (v_{i+1} - v_i) max(C_i - m, 0) + sum_{i >= m} (v_{i+1} - v_i) max(m - C_i, 0)

(summation by parts). The first part is one matrix product. The terms of a cost vanish between tied values and, as
C_m - m is about sqrt(N), a few dozen ranks away from the cut; a walk away from the cut stops when all have vanished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_harness.statistics._checks import FloatArray, IntArray

_BLOCK = 12
"""Boundaries between distinct values that a walk handles at once; the stop is checked once a block."""


@dataclass(frozen=True)
class Resampler:
    """A count matrix (num_runs, num_resamples) in the number types that the kernel needs.

    Attributes:
        rows: the signed counts of each run, num_runs arrays of shape (num_resamples,).
        single: float32 counts, exact as long as they are summed below 2^24.
        double: float64 counts.
    """

    rows: list[NDArray[Any]]
    single: NDArray[np.float32]
    double: FloatArray

    @classmethod
    def of(cls, counts: NDArray[Any]) -> Resampler:
        """Returns the resampler of a checked count matrix."""
        # Partial sums of counts reach num_runs, so the narrow type serves up to its maximum.
        signed = counts.astype(np.int16 if len(counts) <= np.iinfo(np.int16).max else np.int32)
        return cls(rows=list(signed), single=counts.astype(np.float32), double=counts.astype(np.float64))

    def means(self, values: FloatArray) -> FloatArray:
        """Returns the mean of each resample, shape (num_columns, num_resamples), of values (num_columns, num_runs)."""
        center = values[:, :1]
        means: FloatArray = center + (values - center) @ self.double / values.shape[1]
        return means

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
        sums = np.clip(values - low, 0.0, high - low) @ self.double - trim * (high - low)
        gaps = np.diff(ordered, axis=1, prepend=ordered[:, :1])
        for cut, sign in ((trim, -1.0), (num_runs - trim, 1.0)):
            base = self._counts_below(order, cut)
            for column in range(len(values)):
                sums[column] += sign * self._cost(order[column], gaps[column], cut, base[column])
        return low + sums / (num_runs - 2 * trim)

    def _counts_below(self, order: IntArray, cut: int) -> NDArray[Any]:
        """Returns how many draws fall on the `cut` smallest values, shape (num_columns, num_resamples)."""
        is_below = np.zeros(order.shape, dtype=np.float32)
        np.put_along_axis(is_below, order[:, :cut], 1.0, axis=1)
        return (is_below @ self.single).astype(self.rows[0].dtype)

    def _cost(self, order: IntArray, gaps: FloatArray, cut: int, below: NDArray[Any]) -> FloatArray:
        """Returns cost(cut) of one column; gaps[i] is the step from the i-th smallest value to the next."""
        excess = below - cut
        down = self._walk(excess, order[cut - 1 : 0 : -1], gaps[cut - 1 : 0 : -1])
        up = self._walk(self.rows[order[cut - 1]] - excess, order[cut - 1 : -1], gaps[cut:])
        return down + up

    def _walk(self, excess: NDArray[Any], runs: IntArray, gaps: FloatArray) -> FloatArray:
        """Returns the sum of gaps times the positive part of what is left of `excess` after each run's counts."""
        total = np.zeros(excess.shape)
        is_boundary = gaps > 0
        block = np.empty((_BLOCK, excess.size), dtype=excess.dtype)
        boundary_gaps = gaps[is_boundary]
        for start, filled in self._blocks(excess, runs.tolist(), is_boundary.tolist(), block):
            left = block[:filled]
            total += boundary_gaps[start : start + filled] @ np.clip(left, 0, None).astype(np.float64)
            if left[-1].max() <= 0:
                break
        return total

    def _blocks(
        self, excess: NDArray[Any], runs: list[int], is_boundary: list[bool], block: NDArray[Any]
    ) -> Iterator[tuple[int, int]]:
        """Fills `block` with the excess left at successive boundaries; yields the first boundary and their number."""
        start, filled, left = 0, 0, excess
        for run, is_last_of_ties in zip(runs, is_boundary, strict=True):
            left = np.subtract(left, self.rows[run], block[filled])
            if is_last_of_ties:
                filled += 1
                if filled == _BLOCK:
                    yield start, filled
                    start, filled = start + filled, 0
        if filled:
            yield start, filled
