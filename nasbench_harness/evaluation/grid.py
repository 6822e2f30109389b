"""Means over replicates that are exact: equal means are equal numbers, so that they tie."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import TableError
from nasbench_harness.tables.table import Direction, Metric, MetricArray

LARGEST_VALUE = 1e100  # sums and squares stay finite
_SMALLEST = 1e-280  # a smaller mean counts as 0: its grid step would not be a number
_MOST_STEPS = 2**53  # a finer grid than this has no exact grid values: it is treated as none
_MOST_LISTED = 2**21  # grid steps whose numbers are listed, 32 MB
_PART = 2**20  # values that are calculated with at once
_DIGITS = 9  # of the largest mean, if a metric is on no grid
_MOST_DIGITS = 15  # numbers of so many digits are exact
_NOISE = 1e-9  # differences below this, relative to the best, are float noise
_NUM_NEEDED = 10  # grid steps between the best architecture and the tenth percentile of the others


class Means(NamedTuple):
    """Noiseless values of one fidelity; all shapes (num_architectures,).

    Attributes:
        values: Mean over the replicates that exist; NaN if there is none.
        grid_values: The same as integers on a grid of ``resolution``; the worst grid value if there is none.
        resolution: One grid step in the metric's unit.
        exists: Whether an architecture has a replicate.
    """

    values: Floats
    grid_values: Ints
    resolution: float
    exists: Bools


def on_grid(column: MetricArray) -> Floats:
    """Every value of a column, shape (num_architectures, num_replicates, num_fidelities), so that equal ones tie.

    These are the column's own numbers if it has no grid, or if numbers of the same grid step are the same already.
    Otherwise, e.g. if its source stored 32-bit numbers, they are the nearest multiples of the grid step.
    """
    values, step = column.values, column.metric.resolution
    if step is None:
        return values
    top = float(max(np.fmax.reduce(values, axis=None, initial=0.0), -np.fmin.reduce(values, axis=None, initial=0.0)))
    if not top / step < _MOST_STEPS or _has_one_number_per_step(values, step, top):
        return values
    per_unit = 1 / step
    whole = round(per_unit)  # k / 30 is the nearest number to the fraction, k · (1 / 30) need not be
    is_whole = bool(whole) and math.isclose(per_unit, whole, rel_tol=1e-12)
    grid = np.empty(values.shape)
    for part, nearest in zip(_parts(values), _parts(grid), strict=True):
        counts = np.rint(part / step)
        nearest[:] = counts / whole if is_whole else counts * step
    return grid


def _has_one_number_per_step(values: Floats, step: float, top: float) -> bool:
    """Whether all values of a grid step are the same number; ``top`` is the largest magnitude."""
    most = math.ceil(top / step) + 1
    if most > _MOST_LISTED:
        numbers = np.unique(values)
        return len(numbers) == len(np.unique(np.rint(numbers / step)))
    number_of = np.full(2 * most + 1, np.nan)
    for part in _parts(values):
        numbers = part[~np.isnan(part)]
        places = np.rint(numbers / step).astype(np.int64) + most
        found = number_of[places]
        number_of[places] = np.where(np.isnan(found), numbers, found)
        if not np.array_equal(number_of[places], numbers):
            return False
    return True


def _parts(values: Floats) -> list[Floats]:
    """Views of all rows in order, each of about a million values: a long axis of epochs is never copied whole."""
    return np.array_split(values, math.ceil(values.size / _PART) or 1)


def exact_means(column: MetricArray, fidelity: int = -1) -> Means:
    """Means over replicates as multiples of a sixth of the grid step (finer if rows have more than 3 replicates).

    If a metric is on no grid, the grid values have nine significant digits of the largest mean. That is far above float
    noise. They have up to 15 if a few values are so much larger than the others that good architectures would tie.

    Raises:
        TableError: A value is infinite, or too large for the metric's grid.
    """
    values = np.asarray(column.values[:, :, fidelity], dtype=np.float64)
    exists = ~np.isnan(values)
    top = float(np.abs(values[exists]).max(initial=0.0))
    if top > LARGEST_VALUE:
        raise TableError(
            f"the metric {column.metric.name} holds {top:g}, which cannot be averaged: import the table again with "
            "that value missing"
        )
    count = exists.sum(axis=1)
    has_any = count > 0
    parts = math.lcm(6, *map(int, np.unique(count[has_any])))
    room = _MOST_STEPS // (parts * values.shape[1])  # grid steps that one value may have
    if column.metric.resolution is not None and top / column.metric.resolution < room:
        resolution = column.metric.resolution / parts
        grid = np.rint(np.where(exists, values, 0.0) / column.metric.resolution).astype(np.int64)
        grid_values = grid.sum(axis=1) * (parts // np.maximum(count, 1))
        means = grid_values * resolution
    else:
        means = np.where(exists, values, 0.0).sum(axis=1) / np.maximum(count, 1)
        resolution = _step_without_grid(means[has_any], column.metric.direction)
        grid_values = np.rint(means / resolution).astype(np.int64)
    if not has_any.all() and has_any.any():
        known = grid_values[has_any]
        worst = known.min() if column.metric.direction == "maximize" else known.max()
        grid_values = np.where(has_any, grid_values, worst)
    return Means(np.where(has_any, means, np.nan), grid_values, resolution, has_any)


def _step_without_grid(means: Floats, direction: Direction) -> float:
    """Grid step of a metric that is on no grid; ``means`` has shape (num_known,)."""
    largest = float(np.abs(means).max(initial=0.0))
    if not largest > _SMALLEST:
        return 1.0
    digits = _DIGITS - 1
    reach = _reach(means, direction)
    if reach > _SMALLEST:  # five digits of it
        digits = max(digits, min(_power(largest) - _power(reach) + 4, _MOST_DIGITS - 1))
    return 10.0 ** (_power(largest) - digits)


def _power(value: float) -> int:
    return math.floor(math.log10(value))


def _reach(means: Floats, direction: Direction) -> float:
    """Distance from the best mean that a tenth of the others do not exceed, or the nearest one; 0 if there is none."""
    best = means.max() if direction == "maximize" else means.min()
    distances = np.abs(means - best)
    # The best may be 0; floating-point noise beside it is that of the large values.
    noise = max(
        _NOISE * abs(best), 64 * np.finfo(np.float64).eps * float(np.quantile(np.abs(means), 0.9, method="lower"))
    )
    distances = np.sort(distances[distances > noise])
    return float(distances[len(distances) // 10]) if len(distances) else 0.0


def refuse_coarse(means: Means, metric: Metric) -> None:
    """Refuse means beside one of which the good architectures cannot be told apart.

    Raises:
        TableError: A tenth of the architectures would be within a few grid steps of the best, for want of digits.
    """
    known = means.values[means.exists]
    is_on_grid = metric.resolution is not None and means.resolution <= metric.resolution
    if len(known) and not is_on_grid and _SMALLEST < _reach(known, metric.direction) < _NUM_NEEDED * means.resolution:
        worst = known[np.abs(known).argmax()]
        raise TableError(
            f"the metric {metric.name} holds {worst:g}, beside which the good architectures cannot be told apart: "
            "import the table again with that value missing, or with the logarithm of the metric"
        )
