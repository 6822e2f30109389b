"""The choice of a run: the architecture that it returns.

Of two evaluations the better one is feasible, then has the higher fidelity, then the strictly smaller observed loss of
the first objective; of equals the first stays. The best is the incumbent. Under ``selection = own`` a strategy's
recommendation replaces it. With several objectives a run returns a set (see ``choice_sets``).

The report, the regression gate and the verification ask this module and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.view import TaskView


@dataclass(frozen=True)
class RunRows:
    """The rows of runs, in order; rows with the status NONE belong to no run.

    Attributes:
        architectures: Architecture of each row, −1 for progress, shape (num_runs, num_rows).
        status: See Status, same shape.
        losses: Observed losses, +inf if there is no value, shape (num_runs, num_rows, num_objectives).
        recommended: Recommendation after each row, −1 for the incumbent, shape (num_runs, num_rows); None if the
            strategy recommends nothing or the protocol selects incumbents.
        fidelities: Index on the task's fidelity axis, same shape; None if all are equal.
        is_feasible: Whether an evaluation meets the constraints, same shape; None if there are none.
    """

    architectures: Ints
    status: AnyArray
    losses: Floats
    recommended: Ints | None = None
    fidelities: Ints | None = None
    is_feasible: Bools | None = None


def rows_of(columns: Mapping[str, AnyArray], view: TaskView) -> RunRows:
    """The rows of runs, from the columns of their trace.

    Args:
        columns: ``architecture``, ``status``, a ``value_…`` for each metric that is measured, perhaps ``recommended``,
            and ``fidelity`` if the strategy chooses it; shape (num_runs, num_rows).
        view: The task under the protocol.
    """
    status = columns["status"]
    has_value = (status == Status.OK) | (status == Status.DUPLICATE)
    losses = np.full((*status.shape, len(view.objectives)), np.inf)
    values = np.stack([columns[name][has_value] for name in view.measures.names], axis=-1)
    found = view.measures.losses(values)
    losses[has_value] = np.where(np.isnan(found), np.inf, found)
    is_feasible = None
    if view.constraints:
        is_feasible = np.zeros(status.shape, dtype=np.bool_)
        is_feasible[has_value] = view.measures.is_feasible(values)
    is_own = view.protocol.selection == "own"
    return RunRows(
        columns["architecture"],
        status,
        losses,
        columns.get("recommended") if is_own else None,
        columns["fidelity"] if len(view.fidelities) > 1 else None,
        is_feasible,
    )


def choices(rows: RunRows) -> Ints:
    """Architecture that each run would return after each row, −1 before its first result; shape (num_runs, num_rows).

    After the last row of a run its last choice stands.

    >>> rows = RunRows(np.array([[5, 6, 7]]), np.ones((1, 3)), np.array([[[0.3], [0.3], [0.1]]]))
    >>> choices(rows)
    array([[5, 5, 7]])
    """
    if not rows.architectures.shape[1]:
        return rows.architectures.astype(np.int64)
    incumbents = incumbent_rows(rows)
    found = np.take_along_axis(rows.architectures, np.maximum(incumbents, 0), axis=1)
    picks: Ints = np.where(incumbents >= 0, found, -1)
    if rows.recommended is None:
        return picks
    numbers = np.arange(rows.status.shape[1])
    last = np.maximum.accumulate(np.where(rows.status != Status.NONE, numbers, -1), axis=1)
    recommended = np.take_along_axis(rows.recommended, np.maximum(last, 0), axis=1)
    return np.where((last >= 0) & (recommended >= 0), recommended, picks)


def final_choices(rows: RunRows) -> Ints:
    """Choice of each run, −1 if there is none; shape (num_runs,)."""
    if not rows.architectures.shape[1]:
        return np.full(len(rows.architectures), -1)
    return choices(rows)[:, -1]


def incumbent_rows(rows: RunRows) -> Ints:
    """Row of each run's incumbent after each row, −1 before its first value; shape (num_runs, num_rows)."""
    levels = _levels(rows)
    best_before = _before(np.maximum.accumulate(levels, axis=1), -1)
    losses = np.where(levels >= 0, rows.losses[:, :, 0], np.inf)
    numbers = np.arange(losses.shape[1])
    if levels.max(initial=-1) == 0:  # one level, as in most studies: the loss decides
        is_better = losses < _before(np.minimum.accumulate(losses, axis=1), np.inf)
    else:
        # A loss counts among those of its own level only, from the row on at which a run reaches that level.
        is_better = levels > best_before
        for level in np.unique(levels[levels >= 0]):
            of_level = np.where(levels == level, losses, np.inf)
            smallest = _before(np.minimum.accumulate(of_level, axis=1), np.inf)
            is_better |= (levels == level) & (best_before == level) & (losses < smallest)
    return np.maximum.accumulate(np.where(is_better, numbers, -1), axis=1)


def choice_sets(rows: RunRows) -> Bools:
    """Which rows form the set that each run returns under several objectives, shape (num_runs, num_rows).

    The set holds the evaluations that no other one dominates, among the feasible ones at the highest fidelity that a
    feasible evaluation of the run reached. Of rows with equal losses the first one stays. The set of a run without a
    feasible evaluation is empty.
    """
    if rows.is_feasible is not None:
        rows = replace(rows, losses=np.where(rows.is_feasible[:, :, None], rows.losses, np.inf), is_feasible=None)
    levels = _levels(rows)
    is_candidate = (levels >= 0) & (levels == levels.max(axis=1, initial=-1, keepdims=True))
    kept = np.zeros(levels.shape, dtype=np.bool_)
    for run, candidates in enumerate(is_candidate):
        numbers = np.flatnonzero(candidates)
        losses, first = np.unique(rows.losses[run, numbers], axis=0, return_index=True)
        # A different row whose losses are all at most as large dominates.
        is_below = (losses[None, :, :] <= losses[:, None, :]).all(axis=2)
        kept[run, numbers[first[is_below.sum(axis=1) == 1]]] = True
    return kept


def _levels(rows: RunRows) -> Ints:
    """Rank of feasibility and fidelity, −1 for a row without a value; a better pair has the larger rank."""
    levels = np.zeros(rows.status.shape, dtype=np.int64) if rows.fidelities is None else rows.fidelities
    if rows.is_feasible is not None:
        levels = levels + rows.is_feasible * (int(levels.max(initial=0)) + 1)
    return np.where(np.isfinite(rows.losses).all(axis=2), levels, -1)


def _before(values: AnyArray, first: float) -> AnyArray:
    """Values of the row before; ``first`` for the first row."""
    before = np.full_like(values, first)
    before[:, 1:] = values[:, :-1]
    return before
