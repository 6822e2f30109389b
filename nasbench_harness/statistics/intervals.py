"""Percentile-bootstrap intervals and bands from one shared count matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_harness.statistics._checks import BoolArray, FloatArray, as_finite, check_confidence, refuse_where
from nasbench_harness.statistics._resampling import rank_interquartile_means, resampled_interquartile_means
from nasbench_harness.statistics.estimands import iqm

Counts = NDArray[np.unsignedinteger[Any]]

_MIN_RUNS = 10
_CHUNK = 1000


@dataclass(frozen=True)
class Interval:
    """Estimates with percentile intervals, widened to the point where the percentiles miss it.

    Attributes:
        point: the estimate from all runs.
        low: lower end, at most `point`.
        high: upper end, at least `point`.
        is_degenerate: whether all resamples agree; the width is 0 and says nothing, so add a `proportion` bound.
    """

    point: FloatArray
    low: FloatArray
    high: FloatArray
    is_degenerate: BoolArray


def count_matrix(num_runs: int, num_resamples: int, seed: int | np.random.SeedSequence) -> Counts:
    """Returns how often each run is drawn in each bootstrap resample.

    Runs of two strategies are independent: give each strategy on each task a matrix with its own seed.

    Args:
        num_runs: number of runs, which is also the size of a resample.
        num_resamples: number of resamples; 10,000 for a paper, 2,000 to look around.
        seed: non-negative integer or SeedSequence; the same seed gives the same matrix.

    Returns:
        Counts, shape (num_runs, num_resamples); each column sums to num_runs. uint8, or uint16 where a count needs it.

    Raises:
        ValueError: a size below 1.
    """
    if num_runs < 1 or num_resamples < 1:
        raise ValueError(f"num_runs is {num_runs} and num_resamples {num_resamples}; pass at least 1 of each")
    rng = np.random.Generator(np.random.PCG64(seed))
    chunks = [_draw(rng, num_runs, stop - start) for start, stop in _chunks(num_resamples)]
    return np.concatenate(chunks, axis=1)


def resampled_iqm(values: ArrayLike, counts: ArrayLike) -> FloatArray:
    """Returns the interquartile mean of every resample, exactly.

    Args:
        values: finite scores, shape (..., num_runs).
        counts: shape (num_runs, num_resamples), see `count_matrix`.

    Returns:
        Shape (..., num_resamples). Each row depends on its own values and the counts only, to the last bit.

    Raises:
        ValueError: a value is NaN or infinite, or the counts do not fit.
    """
    scores = as_finite(values, "values", ("run",))
    rows = scores.reshape(-1, scores.shape[-1])
    replicates = _replicates(rows, _checked_counts(counts, rows.shape[1]), resampled_interquartile_means)
    return replicates.reshape(*scores.shape[:-1], -1)


def iqm_interval(values: ArrayLike, counts: ArrayLike, confidence: float = 0.95) -> Interval:
    """Returns interquartile means over runs with percentile-bootstrap intervals (Efron 1979; Agarwal et al. 2021).

    Args:
        values: finite scores, shape (..., num_runs) with at least 10 runs.
        counts: shape (num_runs, num_resamples), see `count_matrix`.
        confidence: level of the two-sided intervals.

    Returns:
        Interval of shape (...).

    Raises:
        ValueError: fewer than 10 runs, a value is NaN or infinite, the counts do not fit, or confidence is outside
            (0, 1).
    """
    scores = _enough_runs(values)
    return _interval(iqm(scores), resampled_iqm(scores, counts), confidence)


def iqm_band(values: ArrayLike, counts: ArrayLike, confidence: float = 0.95) -> Interval:
    """Returns the interquartile mean over runs at every step, with a pointwise percentile-bootstrap band.

    The i-th row of counts belongs to the i-th smallest value of each step, whichever run that is. Draws are
    exchangeable, so the band of a step has the same distribution as if rows belonged to runs. The order of the runs
    does not matter, and one weight of each rank serves every step.

    Args:
        values: curves, shape (num_runs, num_steps) with at least 10 runs. A run may be NaN before its first result;
            at such a step the estimate is undefined, and the band is NaN.
        counts: shape (num_runs, num_resamples), see `count_matrix`.
        confidence: level of the two-sided band at each step.

    Returns:
        Interval of shape (num_steps,).

    Raises:
        ValueError: as `iqm_interval`, or a run is NaN after its first result.
    """
    curves = np.asarray(values, dtype=np.float64)
    if curves.ndim != 2:
        raise ValueError(f"values has shape {curves.shape}; pass (num_runs, num_steps)")
    steps = _enough_runs_of(curves.shape[0], curves.T)
    is_defined = ~np.isnan(curves)
    has_begun = np.logical_or.accumulate(is_defined, axis=1)
    refuse_where((has_begun & ~is_defined) | np.isinf(curves), curves, "values", ("run", "step"))
    matrix = _checked_counts(counts, curves.shape[0])
    check_confidence(confidence)
    use = is_defined.all(axis=0)
    ends = np.full((3, use.size), np.nan)
    is_degenerate = np.zeros(use.size, dtype=bool)
    if use.any():
        complete = steps[use]
        band = _interval(iqm(complete), rank_interquartile_means(complete, matrix), confidence)
        ends[:, use] = band.point, band.low, band.high
        is_degenerate[use] = band.is_degenerate
    return Interval(ends[0], ends[1], ends[2], is_degenerate)


def _draw(rng: np.random.Generator, num_runs: int, num_resamples: int) -> Counts:
    """Returns the next (num_runs, num_resamples) counts from the generator."""
    draws = rng.integers(num_runs, size=(num_resamples, num_runs), dtype=np.uint32)
    cells = draws + np.arange(num_resamples)[:, None] * num_runs
    counts = np.bincount(cells.ravel(), minlength=draws.size).reshape(draws.shape)
    return np.ascontiguousarray(counts.T, dtype=np.uint8 if counts.max() <= 255 else np.uint16)


def _chunks(num_resamples: int) -> Iterator[tuple[int, int]]:
    """Yields (start, stop) of consecutive chunks: they bound the memory and keep the working set in the cache."""
    for start in range(0, num_resamples, _CHUNK):
        yield start, min(start + _CHUNK, num_resamples)


def _replicates(
    rows: FloatArray, counts: NDArray[Any], estimate: Callable[[FloatArray, NDArray[Any]], FloatArray]
) -> FloatArray:
    """Returns the estimate of every resample, shape (num_rows, num_resamples), of rows (num_rows, num_runs)."""
    replicates = np.empty((len(rows), counts.shape[1]))
    for start, stop in _chunks(counts.shape[1]):
        chunk = counts[:, start:stop]
        # One row at a time: a matrix product over all rows may round differently with their number.
        for row, target in zip(rows, replicates, strict=True):
            target[start:stop] = estimate(row, chunk)
    return replicates


def _interval(point: FloatArray, replicates: FloatArray, confidence: float) -> Interval:
    """Returns the percentile interval of replicates (..., num_resamples) around point (...)."""
    check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail], axis=-1)
    is_degenerate = replicates.min(axis=-1) == replicates.max(axis=-1)
    return Interval(point, np.minimum(low, point), np.maximum(high, point), np.asarray(is_degenerate))


def _enough_runs(values: ArrayLike) -> FloatArray:
    scores = as_finite(values, "values", ("run",))
    return _enough_runs_of(scores.shape[-1], scores)


def _enough_runs_of(num_runs: int, scores: FloatArray) -> FloatArray:
    if num_runs < _MIN_RUNS:
        raise ValueError(
            f"num_runs is {num_runs}, too few for an interval; print the points instead, or run at least {_MIN_RUNS}"
        )
    return scores


def _checked_counts(counts: ArrayLike, num_runs: int) -> NDArray[Any]:
    matrix = np.asarray(counts)
    if matrix.ndim != 2 or matrix.shape[0] != num_runs or not np.issubdtype(matrix.dtype, np.integer):
        raise ValueError(
            f"counts has shape {matrix.shape} and dtype {matrix.dtype}; pass integers (num_runs, num_resamples) "
            f"with num_runs = {num_runs}, as count_matrix gives"
        )
    if matrix.size == 0 or matrix.min() < 0 or (matrix.sum(axis=0, dtype=np.int64) != num_runs).any():
        raise ValueError(f"counts has a column that is not {num_runs} draws; pass the result of count_matrix")
    return matrix
