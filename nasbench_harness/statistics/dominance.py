"""Sets of points with several objectives to minimize: which dominate, and the volume that they dominate.

Two objectives are exact and computed here for all runs at once; three and more are left to the package moocore
(Fonseca, Paquete and López-Ibáñez, "An improved dimension-sweep algorithm for the hypervolume indicator", CEC 2006).
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError

_FIRST_CAPACITY = 16  # points of a front to make room for at first


def hypervolume(points: Floats, reference: Floats) -> float:
    """Volume between a set of points and a reference point; points that do not dominate it add nothing.

    Args:
        points: Losses, shape (num_points, num_objectives).
        reference: Reference point, shape (num_objectives,).

    Raises:
        InvalidInputError: There are three objectives or more, and moocore is not installed.

    >>> hypervolume(np.array([[5, 5], [4, 6], [2, 7], [7, 4]]), np.array([10, 10]))
    38.0
    """
    points = np.asarray(points, dtype=np.float64)
    reference = np.asarray(reference, dtype=np.float64)
    columns = points.T[:, :, None]  # (num_objectives, num_points, 1): one run
    return float(_volumes(columns, reference)[0])


def nondominated(points: Floats) -> Bools:
    """Which points no other point dominates; of equal points all or none; shape (num_points,).

    Args:
        points: Losses, shape (num_points, num_objectives); a point with an infinite loss is dominated.

    >>> nondominated(np.array([[5, 1], [1, 5], [4, 2], [4, 4], [5, 1]])).tolist()
    [True, True, True, False, True]
    """
    points = np.asarray(points, dtype=np.float64)
    distinct, place = np.unique(points, axis=0, return_inverse=True)
    order = np.lexsort(distinct.T[::-1])
    kept = np.zeros(len(distinct), dtype=bool)
    front = np.empty((0, points.shape[1]))
    # In lexicographic order a point can be dominated by earlier ones only.
    for row in order.tolist():
        point = distinct[row]
        if np.isfinite(point).all() and not (front <= point).all(axis=1).any():
            kept[row] = True
            front = np.concatenate([front, point[None]])
    return kept[place.reshape(-1)]


def front_hypervolumes(observed: Floats, scored: Floats, levels: Ints, reference: Floats) -> Floats:
    """Hypervolume of each run's set after every step, by other values than those that decide who is in the set.

    The set of a run holds the points of its highest level that no other one dominates by the observed values; of equal
    ones the first stays.

    Args:
        observed: Losses that decide, +inf if there is no value, shape (num_runs, num_steps, num_objectives).
        scored: Losses that are scored, +inf for points that add nothing, same shape.
        levels: Points of a higher level replace all others, −1 for no point, shape (num_runs, num_steps).
        reference: Reference point, shape (num_objectives,).

    Returns:
        Volumes, 0 before the first point, shape (num_runs, num_steps).

    >>> observed = np.array([[[0.5, 0.5], [0.25, 0.25]]])
    >>> scored = np.array([[[0.5, 0.5], [0.75, 0.75]]])
    >>> front_hypervolumes(observed, scored, np.zeros((1, 2), dtype=int), np.array([1.0, 1.0]))
    array([[0.25  , 0.0625]])
    """
    num_runs, num_steps, num_objectives = observed.shape
    found = np.zeros((num_runs, num_steps))
    # The fronts, (num_objectives, capacity, num_runs): +inf stands for no point.
    front = np.full((num_objectives, _FIRST_CAPACITY, num_runs), np.inf)
    values = front.copy()
    level = np.full(num_runs, -1)
    volume = np.zeros(num_runs)
    by_step = np.ascontiguousarray(observed.transpose(1, 2, 0))
    for step in range(num_steps):
        new, new_level = by_step[step], levels[:, step]
        rises = new_level > level
        if np.count_nonzero(rises):
            front[:, :, rises] = values[:, :, rises] = np.inf
            level = np.maximum(level, new_level)
        is_below = front[0] <= new[0]
        for objective in range(1, num_objectives):
            is_below &= front[objective] <= new[objective]
        enters = ~is_below.any(axis=0) & (new_level == level) & (new_level >= 0) & np.isfinite(new).all(axis=0)
        runs = np.flatnonzero(enters)
        if len(runs):
            own, own_values = front[:, :, runs], values[:, :, runs]
            is_dominated = (own >= new[:, None, runs]).all(axis=0)
            own[:, is_dominated] = own_values[:, is_dominated] = np.inf
            slot = np.isinf(own[0]).argmax(axis=0)
            if not np.isinf(own[0, slot, np.arange(len(runs))]).all():  # a front is full
                front, values = (
                    np.concatenate([array, np.full_like(array, np.inf)], axis=1) for array in (front, values)
                )
                own, own_values = (np.concatenate([a, np.full_like(a, np.inf)], axis=1) for a in (own, own_values))
                slot = np.isinf(own[0]).argmax(axis=0)
            own[:, slot, np.arange(len(runs))] = new[:, runs]
            own_values[:, slot, np.arange(len(runs))] = scored[runs, step].T
            front[:, :, runs], values[:, :, runs] = own, own_values
            volume[runs] = _volumes(own_values, reference)
        found[:, step] = volume
    return found


def _volumes(points: Floats, reference: Floats) -> Floats:
    """Volume of each run's points, (num_objectives, num_points, num_runs), shape (num_runs,)."""
    if len(points) == 2:
        return _areas(points, reference)
    if find_spec("moocore") is None:
        raise InvalidInputError("three and more objectives need moocore: pip install moocore")
    import moocore

    is_inside: Bools = np.asarray((points < reference[:, None, None]).all(axis=0))
    volumes = np.zeros(points.shape[2])
    for run in np.flatnonzero(np.asarray(is_inside.any(axis=0))).tolist():
        volumes[run] = moocore.hypervolume(points[:, :, run][:, is_inside[:, run]].T, ref=reference)
    return volumes


def _areas(points: Floats, reference: Floats) -> Floats:
    """Area of a staircase: ascending by the first objective, each step as high as the lowest point up to it."""
    first = np.minimum(points[0], reference[0])
    second = np.where(points[0] < reference[0], np.minimum(points[1], reference[1]), reference[1])
    order = np.argsort(first, axis=0)
    first = np.take_along_axis(first, order, axis=0)
    height = reference[1] - np.minimum.accumulate(np.take_along_axis(second, order, axis=0), axis=0)
    width = np.diff(first, axis=0, append=np.full((1, first.shape[1]), reference[0]))
    # One after the other: a pairwise sum would depend on the number of runs.
    areas: Floats = np.cumsum(width * height, axis=0)[-1] if len(width) else np.zeros(width.shape[1])
    return areas
