"""Percentile-bootstrap intervals and bands from one shared count matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_harness.statistics._checks import BoolArray, FloatArray, as_numbers, check_confidence, refuse_where
from nasbench_harness.statistics._resampling import (
    rank_interquartile_means,
    resampled_interquartile_means,
    resampled_means,
)
from nasbench_harness.statistics.estimands import centered_mean, iqm

Counts = NDArray[np.unsignedinteger[Any]]

_MIN_RUNS = 10
_CHUNK = 1000  # resamples that are drawn at a time
_MAX_DRAWS = 2_000_000  # draws at a time
_MAX_CELLS = 50_000  # draws that are counted at a time
_MAX_COUNTS = 50_000_000  # counts that are kept in memory


@dataclass(frozen=True)
class Interval:
    """Estimates with percentile intervals, widened to the point if the percentiles miss it.

    Attributes:
        point: the estimate from all runs.
        low: lower end, at most `point`.
        high: upper end, at least `point`.
        is_degenerate: whether the width is 0, which claims certainty; add a `proportion` bound.
    """

    point: FloatArray
    low: FloatArray
    high: FloatArray
    is_degenerate: BoolArray


@dataclass(frozen=True)
class Resamples:
    """The columns of a ``count_matrix`` that does not fit into memory: drawn whenever they are used.

    Iterating over it gives matrices of shape (num_runs, some resamples), the same ones every time.

    Attributes:
        num_runs: number of runs.
        num_resamples: number of resamples.
        seed: as of ``count_matrix``.
    """

    num_runs: int
    num_resamples: int
    seed: int | np.random.SeedSequence

    def __post_init__(self) -> None:
        if self.num_runs < 1 or self.num_resamples < 1:
            raise ValueError(
                f"num_runs is {self.num_runs} and num_resamples {self.num_resamples}; pass at least 1 of each"
            )

    def __iter__(self) -> Iterator[Counts]:
        rng = np.random.Generator(np.random.PCG64(self.seed))
        width = max(1, min(_CHUNK, _MAX_DRAWS // self.num_runs))
        for start in range(0, self.num_resamples, width):
            yield _draw(rng, self.num_runs, min(width, self.num_resamples - start))


def resamples(num_runs: int, num_resamples: int, seed: int | np.random.SeedSequence) -> Counts | Resamples:
    """Returns the ``count_matrix``, or its columns to be drawn when they are used if it is large.

    >>> resamples(20, 100, seed=0).shape
    (20, 100)
    """
    drawn = Resamples(num_runs, num_resamples, seed)
    return drawn if num_runs * num_resamples > _MAX_COUNTS else np.concatenate(list(drawn), axis=1)


def count_matrix(num_runs: int, num_resamples: int, seed: int | np.random.SeedSequence) -> Counts:
    """Returns how often each run is drawn in each bootstrap resample.

    Runs of two strategies are independent: give each strategy on each task a matrix with its own seed.

    Args:
        num_runs: number of runs, which is also the size of a resample.
        num_resamples: number of resamples; 10,000 for a paper, 2,000 to look around.
        seed: non-negative integer or SeedSequence; the same seed gives the same matrix.

    Returns:
        Counts, shape (num_runs, num_resamples); each column sums to num_runs. uint8, or uint16 if a count needs it.

    Raises:
        ValueError: a size below 1.

    >>> count_matrix(20, 100, seed=0).sum(axis=0)[:3]
    array([20, 20, 20], dtype=uint64)
    """
    return np.concatenate(list(Resamples(num_runs, num_resamples, seed)), axis=1)


def resampled_iqm(values: ArrayLike, counts: ArrayLike | Resamples) -> FloatArray:
    """Returns the interquartile mean of every resample, exactly.

    Args:
        values: finite scores, shape (..., num_runs).
        counts: shape (num_runs, num_resamples), see `count_matrix`.

    Returns:
        Shape (..., num_resamples). Each row depends on its own values and the counts only, to the last bit.

    Raises:
        ValueError: a value is NaN or infinite, or the counts do not fit.

    >>> resampled_iqm([1.0, 2.0, 3.0, 10.0], [[1, 0], [1, 2], [1, 2], [1, 0]])
    array([2.5, 2.5])
    """
    scores = as_numbers(values, "values", ("run",))
    rows = scores.reshape(-1, scores.shape[-1])
    # One row at a time: a matrix product over all rows may round differently with their number.
    parts = [
        np.stack([resampled_interquartile_means(row, chunk) for row in rows])
        for part in _checked_parts(counts, rows.shape[1])
        for chunk in _chunks(part)
    ]
    return np.concatenate(parts, axis=1).reshape(*scores.shape[:-1], -1)


def iqm_interval(values: ArrayLike, counts: ArrayLike | Resamples, confidence: float = 0.95) -> Interval:
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

    >>> interval = iqm_interval(range(20), count_matrix(20, 1_000, seed=0))
    >>> float(interval.point)
    9.5
    >>> bool(interval.low < interval.point < interval.high)
    True
    """
    scores = _enough_runs(values)
    return _interval(iqm(scores), resampled_iqm(scores, counts), confidence)


def resampled_mean(values: ArrayLike, counts: ArrayLike | Resamples) -> FloatArray:
    """Returns the mean of every resample.

    Args:
        values: finite scores, shape (num_runs,).
        counts: shape (num_runs, num_resamples), see `count_matrix`.

    Returns:
        Shape (num_resamples,).

    Raises:
        ValueError: a value is NaN or infinite, or the counts do not fit.

    Example:
        >>> resampled_mean([1.0, 3.0], np.array([[2, 1], [0, 1]], dtype=np.uint8))
        array([1., 2.])
    """
    scores = as_numbers(values, "values", ("run",))
    return np.concatenate([resampled_means(scores, part) for part in _checked_parts(counts, len(scores))])


def stratified_iqm(
    values: Sequence[ArrayLike], counts: Sequence[ArrayLike | Resamples], confidence: float = 0.95
) -> Interval:
    """Returns the interquartile mean over the pooled runs of several tasks, with its percentile-bootstrap interval.

    Runs are resampled within their task (Agarwal et al. 2021). Scores must be comparable between tasks.

    Args:
        values: finite scores of each task, shape (num_runs,) with at least 10 runs.
        counts: resamples of each task, all with the same number of resamples.
        confidence: level of the two-sided interval.

    Raises:
        ValueError: no task, too few runs, a value is NaN or infinite, or the counts do not fit.

    Example:
        >>> counts = [count_matrix(10, 100, seed) for seed in (0, 1)]
        >>> float(stratified_iqm([np.ones(10), np.ones(10)], counts).point)
        1.0
    """
    if not len(values) == len(counts) > 0:
        raise ValueError(f"there are {len(values)} tasks with values and {len(counts)} with counts; pass one of each")
    pooled = np.concatenate([_enough_runs(scores) for scores in values])
    drawn = [_checked_parts(each, len(np.asarray(scores))) for scores, each in zip(values, counts, strict=True)]
    order = np.argsort(pooled, kind="stable")
    replicates = [
        rank_interquartile_means(pooled[order][None], chunk)[0]
        for part in _aligned(drawn)
        for chunk in _chunks(np.concatenate(part)[order])
    ]
    return _interval(iqm(pooled), np.concatenate(replicates), confidence)


def iqm_band(values: ArrayLike, counts: ArrayLike | Resamples, confidence: float = 0.95) -> Interval:
    """Returns the interquartile mean over runs at every step, with a pointwise percentile-bootstrap band.

    The i-th row of counts belongs to the i-th smallest value of each step, whichever run that is. Draws are
    exchangeable, so the band of a step has the same distribution as if rows belonged to runs. The order of the runs
    does not matter, and one weight of each rank serves every step.

    Args:
        values: curves, shape (num_runs, num_steps) with at least 10 runs. A run may be NaN before its first result;
            at such a step the estimate is undefined, and the band is NaN. Integers take half the memory.
        counts: shape (num_runs, num_resamples), see `count_matrix`.
        confidence: level of the two-sided band at each step.

    Returns:
        Interval of shape (num_steps,).

    Raises:
        ValueError: as `iqm_interval`, or a run is NaN after its first result.

    >>> curves = np.arange(20.0)[:, None] + [2.0, 1.0, 0.0]
    >>> iqm_band(curves, count_matrix(20, 1_000, seed=0)).point
    array([11.5, 10.5,  9.5])
    """
    curves = np.asarray(values)
    if not np.issubdtype(curves.dtype, np.integer):
        curves = curves.astype(np.float64)
    if curves.ndim != 2:
        raise ValueError(f"values has shape {curves.shape}; pass (num_runs, num_steps)")
    _refuse_few(len(curves))
    use = _defined_steps(curves)
    parts = _checked_parts(counts, len(curves))
    check_confidence(confidence)
    ends = np.full((3, use.size), np.nan)
    is_degenerate = np.zeros(use.size, dtype=bool)
    if use.any():
        ordered = np.sort(curves[:, use].T, axis=1)
        trim = len(curves) // 4
        point = centered_mean(ordered[:, trim : len(curves) - trim])
        replicates = [rank_interquartile_means(ordered, part) for part in parts]
        band = _interval(point, np.concatenate(replicates, axis=1), confidence)
        ends[:, use] = band.point, band.low, band.high
        is_degenerate[use] = band.is_degenerate
    return Interval(ends[0], ends[1], ends[2], is_degenerate)


def _draw(rng: np.random.Generator, num_runs: int, num_resamples: int) -> Counts:
    """Returns the next (num_runs, num_resamples) counts from the generator."""
    counts = np.empty((num_runs, num_resamples), np.uint8 if num_runs <= 255 else np.uint16)
    # A few resamples at a time: draws and counts then stay in the cache.
    width = max(_MAX_CELLS // num_runs, 1)
    for start in range(0, num_resamples, width):
        part = counts[:, start : start + width]
        draws = rng.integers(num_runs, size=part.shape[::-1], dtype=np.uint32)
        cells = np.multiply(draws, part.shape[1], dtype=np.int64) + np.arange(part.shape[1])[:, None]
        part[:] = np.bincount(cells.ravel(), minlength=cells.size).reshape(part.shape)
    return counts if counts.dtype == np.uint8 or counts.max() > 255 else counts.astype(np.uint8)


def _chunks(counts: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yields consecutive columns: they bound the memory and keep the working set in the cache."""
    for start in range(0, counts.shape[1], _CHUNK):
        yield counts[:, start : start + _CHUNK]


def _aligned(drawn: Sequence[Iterable[NDArray[Any]]]) -> Iterator[list[NDArray[Any]]]:
    """Yields consecutive columns of every task, as many of each, however wide their parts are."""
    parts = [iter(each) for each in drawn]
    left: list[NDArray[Any] | None] = [None] * len(parts)
    while True:
        left = [next(more, None) if rest is None else rest for rest, more in zip(left, parts, strict=True)]
        columns = [rest for rest in left if rest is not None]
        if len(columns) < len(left):
            break
        width = min(rest.shape[1] for rest in columns)
        yield [rest[:, :width] for rest in columns]
        left = [rest[:, width:] if rest.shape[1] > width else None for rest in columns]
    if columns:
        raise ValueError("counts have different numbers of resamples; pass as many for each task")


def _interval(point: FloatArray, replicates: FloatArray, confidence: float) -> Interval:
    """Returns the percentile interval of replicates (..., num_resamples) around point (...)."""
    check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail], axis=-1)
    low, high = np.minimum(low, point), np.maximum(high, point)
    return Interval(point, low, high, np.asarray(low == high))


def _enough_runs(values: ArrayLike) -> NDArray[Any]:
    scores = as_numbers(values, "values", ("run",))
    _refuse_few(scores.shape[-1])
    return scores


def _refuse_few(num_runs: int) -> None:
    if num_runs < _MIN_RUNS:
        raise ValueError(
            f"num_runs is {num_runs}, too few for an interval; print the points instead, or run at least {_MIN_RUNS}"
        )


def _defined_steps(curves: NDArray[Any]) -> BoolArray:
    """Returns at which steps every run has a result; a run may have none before its first one only."""
    if np.issubdtype(curves.dtype, np.integer):
        return np.ones(curves.shape[1], dtype=bool)
    is_defined = ~np.isnan(curves)
    has_begun = np.logical_or.accumulate(is_defined, axis=1)
    refuse_where((has_begun & ~is_defined) | np.isinf(curves), curves, "values", ("run", "step"))
    return np.asarray(is_defined.all(axis=0))


def _checked_parts(counts: ArrayLike | Resamples, num_runs: int) -> Iterable[NDArray[Any]]:
    """Returns the columns of counts, in parts if they are drawn when they are used."""
    if isinstance(counts, Resamples):
        if counts.num_runs != num_runs:
            raise ValueError(f"counts are of {counts.num_runs} runs, values of {num_runs}; pass as many of each")
        return counts
    return [_checked_counts(counts, num_runs)]


def _checked_counts(counts: ArrayLike, num_runs: int) -> NDArray[Any]:
    matrix = np.asarray(counts)
    if matrix.ndim != 2 or matrix.shape[0] != num_runs or not np.issubdtype(matrix.dtype, np.integer):
        raise ValueError(
            f"counts has shape {matrix.shape} and dtype {matrix.dtype}; pass integers (num_runs, num_resamples) "
            f"with num_runs = {num_runs}, as count_matrix gives"
        )
    exact = np.int32 if matrix.dtype.itemsize == 1 else np.int64  # the narrower one takes half the time
    if matrix.size == 0 or matrix.min() < 0 or (matrix.sum(axis=0, dtype=exact) != num_runs).any():
        raise ValueError(f"counts has a column that is not {num_runs} draws; pass the result of count_matrix")
    return matrix
