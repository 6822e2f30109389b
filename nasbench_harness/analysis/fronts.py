"""Runs with several objectives: what a run returns is a set, scored by its hypervolume against the true front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.evaluation.choice import RunRows, choice_sets, choices
from nasbench_harness.evaluation.scores import NUM_SET_STEPS
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.statistics import front_hypervolumes, hypervolume, nondominated

REFERENCE = 1.1  # of each normalized objective; the true front is in 0 … 1


@dataclass(frozen=True, eq=False)
class TrueFront:
    """The architectures that no other one dominates, by noiseless values; constants of a task and its objectives.

    Attributes:
        ideal: Smallest loss on the front for each objective, shape (num_objectives,).
        nadir: Largest loss on the front, same shape.
        losses: Losses of all architectures, 0 at the ideal and 1 at the nadir, +inf for those that do not count, shape
            (num_architectures, num_objectives).
        point: Number of each architecture's point on the front, −1 if it is dominated, shape (num_architectures,).
        num_points: Different points on the front.
        volume: Hypervolume of the front against the reference point.
    """

    ideal: Floats
    nadir: Floats
    losses: Floats
    point: Ints
    num_points: int
    volume: float

    @property
    def reference(self) -> Floats:
        """The reference point in normalized losses, shape (num_objectives,)."""
        return np.full(len(self.ideal), REFERENCE)


class ReturnedSets(NamedTuple):
    """The sets that runs return; shapes (num_runs,).

    Attributes:
        sizes: Number of architectures.
        shares: Share of the true front's points that are in the set.
        lacks_feasible: Whether no architecture of the set counts.
        members: The architectures of each set, ascending; one array for each run.
    """

    sizes: Ints
    shares: Floats
    lacks_feasible: Bools
    members: tuple[Ints, ...]

    def in_order(self, order: Ints) -> ReturnedSets:
        """The sets of the same runs in another order."""
        members = tuple(self.members[run] for run in order.tolist())
        return ReturnedSets(self.sizes[order], self.shares[order], self.lacks_feasible[order], members)


@lru_cache(maxsize=16)
def true_front(task: TaskView) -> TrueFront:
    """The true front of a task with several objectives.

    An objective with one value on the whole front is divided by its range in the table instead, or by 1.
    """
    losses = task.noiseless_losses
    on_front = nondominated(losses)
    ideal, nadir = losses[on_front].min(axis=0), losses[on_front].max(axis=0)
    counts = np.isfinite(losses).all(axis=1)
    width = np.where(nadir > ideal, nadir - ideal, np.ptp(losses[counts], axis=0))
    normalized = (losses - ideal) / np.where(width > 0, width, 1.0)
    point = np.full(len(losses), -1)
    distinct, place = np.unique(losses[on_front], axis=0, return_inverse=True)
    point[on_front] = place.reshape(-1)
    volume = hypervolume(normalized[on_front], np.full(losses.shape[1], REFERENCE))
    return TrueFront(ideal, nadir, normalized, point, len(distinct), volume)


def picks_of(rows: RunRows, task: TaskView) -> Ints:
    """Choice of each run after each row, as positions in the task's scores; shape (num_runs, num_rows).

    Architectures; with several objectives the loss of hypervolume in steps (see ``set_score_view``). −1 before the
    first result.
    """
    if len(task.objectives) == 1:
        return choices(rows)
    front = true_front(task)
    levels = np.zeros(rows.status.shape, dtype=np.int64) if rows.fidelities is None else rows.fidelities.astype(int)
    has_value = np.isfinite(rows.losses).all(axis=2)
    counts = has_value if rows.is_feasible is None else has_value & rows.is_feasible
    scored = front.losses[np.maximum(rows.architectures, 0)]
    volumes = front_hypervolumes(rows.losses, scored, np.where(counts, levels, -1), front.reference)
    lost = np.rint((1.0 - volumes / front.volume) * NUM_SET_STEPS).clip(0, NUM_SET_STEPS).astype(np.int64)
    return np.where(np.maximum.accumulate(has_value, axis=1), lost, -1)


def returned_sets(rows: RunRows, task: TaskView) -> ReturnedSets:
    """The sets that runs with several objectives return."""
    front = true_front(task)
    kept = choice_sets(rows)
    sizes, shares, is_missing = (
        np.zeros(len(kept), dtype=np.int64),
        np.zeros(len(kept)),
        np.zeros(len(kept), dtype=np.bool_),
    )
    members = tuple(np.unique(rows.architectures[run, is_kept]) for run, is_kept in enumerate(kept))
    for run, architectures in enumerate(members):
        points = np.unique(front.point[architectures])
        sizes[run] = len(architectures)
        shares[run] = np.count_nonzero(points >= 0) / front.num_points
        is_missing[run] = not np.isfinite(front.losses[architectures]).all(axis=1).any()
    return ReturnedSets(sizes, shares, is_missing, members)
