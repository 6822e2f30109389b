"""Reading stored runs back as the choice of each run at every moment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasbench_harness.analysis.epochs import has_epochs, row_epochs
from nasbench_harness.analysis.fronts import ReturnedSets, picks_of, returned_sets
from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.errors import StoreError
from nasbench_harness.evaluation.choice import rows_of
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.folder import Segment
from nasbench_harness.store.segments import read_columns, read_segment

_ROWS_AT_ONCE = 4_096  # bounds the memory of a comparison
_COUNTED = (Status.OK, Status.OVERRUN, Status.FAILED, Status.MISSING, Status.SOURCE)


@dataclass(frozen=True)
class Runs:
    """The runs of one strategy on one task; rows of a run are its evaluations and its progress, in order.

    Attributes:
        seeds: Seed of each run, ascending, shape (num_runs,).
        row_picks: Architecture that each run would return after each row, −1 before the first result; after a run has
            ended, its last pick; shape (num_runs, num_rows).
        row_totals: Evaluations counted up to each row, same shape.
        row_times_s: Simulated time of each row, same shape; +inf behind a run's end, NaN if the task has no cost.
        chooses_itself: Whether the strategy recommended, and the protocol lets it.
        repeats: Proposals of each run that repeat an earlier one, by index and by isomorphism class, (num_runs, 2).
        num_overrun: Evaluations of each run that would have finished after the budget, shape (num_runs,).
        num_rejected: Forbidden proposals of each run, shape (num_runs,).
        num_lookups: Values of free metrics that each run read, shape (num_runs,).
        sets: The sets that runs return under several objectives; None if they return architectures. Picks are then
            positions in the score of sets (see ``picks_of``).
        row_epochs: Epochs trained up to each row, shape (num_runs, num_rows); None without ``has_epochs``.
        source_reads: Evaluations of sources that each run read, and their seconds (NaN if a source has no cost), shape
            (num_runs, 2); None if no run read any.
    """

    seeds: Ints
    row_picks: Ints
    row_totals: Ints
    row_times_s: Floats
    chooses_itself: bool
    repeats: Ints
    num_overrun: Ints
    num_rejected: Ints
    num_lookups: Ints
    sets: ReturnedSets | None = None
    row_epochs: Ints | None = None
    source_reads: Floats | None = None

    @property
    def num_evaluations(self) -> Ints:
        """Counted evaluations of each run, shape (num_runs,)."""
        return self.row_totals[:, -1]

    @property
    def simulated_s(self) -> Floats:
        """Simulated time at each run's end, shape (num_runs,); NaN if the task has no cost."""
        last = np.isfinite(self.row_times_s).sum(axis=1) - 1
        ends: Floats = np.where(last >= 0, self.row_times_s[np.arange(len(last)), last], np.nan)
        return ends

    @property
    def final(self) -> Ints:
        """Choice of each run, −1 if it has nothing to return; shape (num_runs,)."""
        return self.row_picks[:, -1]

    @property
    def has_result(self) -> Bools:
        """Runs that return something: an evaluation ended with a value within the budget; shape (num_runs,)."""
        found: Bools = self.final >= 0
        return found

    def in_canonical_order(self) -> Runs:
        """The same runs, ordered by their rows and not by their seeds, so that no number depends on seed labels."""
        totals = np.column_stack([self.row_totals, self.repeats, self.num_overrun, self.num_rejected, self.num_lookups])
        if self.sets is not None:
            totals = np.column_stack([totals, self.sets.sizes, self.sets.shares.view(np.int64)])
        if self.row_epochs is not None:
            totals = np.column_stack([totals, self.row_epochs])
        if self.source_reads is not None:
            totals = np.column_stack([totals, self.source_reads.view(np.int64)])
        keys = [_row_ranks(rows) for rows in (self.row_picks, totals, self.row_times_s.view(np.int64))]
        order = np.lexsort(keys[::-1])
        return Runs(
            seeds=self.seeds[order],
            row_picks=self.row_picks[order],
            row_totals=self.row_totals[order],
            row_times_s=self.row_times_s[order],
            chooses_itself=self.chooses_itself,
            repeats=self.repeats[order],
            num_overrun=self.num_overrun[order],
            num_rejected=self.num_rejected[order],
            num_lookups=self.num_lookups[order],
            source_reads=None if self.source_reads is None else self.source_reads[order],
            sets=None if self.sets is None else self.sets.in_order(order),
            row_epochs=None if self.row_epochs is None else self.row_epochs[order],
        )

    def after_evaluations(self, num_steps: int) -> Ints:
        """Pick after 1 … num_steps counted evaluations, shape (num_runs, num_steps).

        Rows that count nothing belong to the evaluation before them.
        """
        num_runs, num_rows = self.row_picks.shape
        if num_rows == num_steps and (self.row_totals == np.arange(1, num_steps + 1)).all():
            return self.row_picks
        last_row = np.zeros((num_runs, num_steps + 1), dtype=np.int64)
        rows = np.broadcast_to(np.arange(num_rows), self.row_picks.shape)
        totals = np.minimum(self.row_totals, num_steps)
        np.maximum.at(last_row, (np.arange(num_runs)[:, None], totals), rows)
        last_row = np.maximum.accumulate(last_row, axis=1)
        return np.take_along_axis(self.row_picks, last_row[:, 1:], axis=1)

    def at(self, row_moments: Floats | Ints, moments: Floats | Ints) -> Ints:
        """Pick at moments on an axis, −1 before the first result; shape (num_runs, len(moments)).

        Args:
            row_moments: Position of each row on the axis, ascending in each run, shape (num_runs, num_rows).
            moments: Positions, ascending.
        """
        found = np.empty((len(self.seeds), len(moments)), dtype=self.row_picks.dtype)
        for first in range(0, len(found), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            rows = np.stack([np.searchsorted(ends, moments, side="right") - 1 for ends in row_moments[part]])
            picks = np.take_along_axis(self.row_picks[part], np.maximum(rows, 0), axis=1)
            found[part] = np.where(rows >= 0, picks, -1)
        return found


def read_runs(segments: Sequence[Segment], task: TaskView, seeds: Ints) -> Runs:
    """Read the runs with these seeds.

    Args:
        segments: Of one strategy on one task.
        task: The task under the study's protocol.
        seeds: Wanted seeds, ascending, shape (num_runs,).

    Raises:
        StoreError: Segments are truncated, or seeds are missing.
    """
    names = ["seed", "architecture", "status", *task.measures.names, "finished_s", "recommended"]
    if len(task.fidelities) > 1:
        names += ["fidelity", "training"]
    parts, wanted = [], set(seeds.tolist())
    lookups: dict[int, int] = {}
    reads: dict[int, tuple[float, float]] = {}
    for segment in segments:
        record, columns = read_segment(segment.path, names)
        here = wanted & set(np.unique(columns["seed"]).tolist())  # segments of concurrent commands may overlap
        if here:
            lookups |= _lookups_of(record, columns["seed"])
            reads |= _source_reads_of(record, columns["seed"])
            rows = np.isin(columns["seed"], list(here))
            parts.append({name: column[rows] for name, column in columns.items()})
            wanted -= here
    if wanted:
        raise StoreError(
            f"the study does not have {len(wanted)} of {len(seeds)} runs on {task.name}: "
            "repeat the command that runs the study"
        )
    recommends = any("recommended" in part for part in parts) and task.protocol.selection == "own"
    for part in parts:
        part.setdefault("recommended", np.full(len(part["seed"]), -1, dtype=np.int32))
    joined = {name: np.concatenate([part.pop(name) for part in parts]) for name in names}
    if (joined["seed"][1:] < joined["seed"][:-1]).any():
        order = np.argsort(joined["seed"], kind="stable")
        joined = {name: column[order] for name, column in joined.items()}
    _check_rows(joined, task)
    num_lookups = np.array([lookups.get(seed, 0) for seed in seeds.tolist()], dtype=np.int64)
    runs = _runs(joined, task, recommends, num_lookups)
    if not reads:
        return runs
    return replace(runs, source_reads=np.array([reads.get(seed, (0.0, 0.0)) for seed in seeds.tolist()]))


def _check_rows(rows: dict[str, AnyArray], task: TaskView) -> None:
    """Refuse rows of other spaces; −1 stands for no architecture."""
    for name in ("architecture", "recommended"):
        column = rows[name]
        if column.dtype.kind not in "iu" or (column < -1).any() or (column >= task.space.num_architectures).any():
            raise StoreError(
                f"stored runs on {task.name} name architectures outside 0 … {task.space.num_architectures - 1:,} in "
                f"the column {name}: move the runs of this task elsewhere, and repeat the command that runs them"
            )


def _lookups_of(record: Mapping[str, Any], seeds: Ints) -> dict[int, int]:
    """Values of free metrics that each run of a segment read, from the segment's footer; empty if none was read."""
    counts = list(record.get("lookups", {}).values())
    return dict(zip(np.unique(seeds).tolist(), np.sum(counts, axis=0).tolist(), strict=True)) if counts else {}


def _source_reads_of(record: Mapping[str, Any], seeds: Ints) -> dict[int, tuple[float, float]]:
    """Evaluations of sources that each run of a segment read, and their seconds; empty if it read none."""
    found = record.get("sources")
    if not found:
        return {}
    counts = np.sum(list(found["evaluations"].values()), axis=0).tolist()
    seconds = [math.nan if of_run is None else of_run for of_run in found["seconds"]]
    return dict(zip(np.unique(seeds).tolist(), zip(counts, seconds, strict=True), strict=True))


def observed_losses(segments: Sequence[Segment], task: TaskView) -> dict[int, tuple[float, int]]:
    """Sum and number of the losses that runs observed for each architecture.

    Args:
        segments: Of one strategy on the task.
        task: The task.
    """
    names = task.measures.names
    found: dict[int, tuple[float, int]] = {}
    for segment in segments:
        columns = read_columns(segment.path, ("architecture", "status", *names))
        has_value = (columns["status"] == Status.OK) | (columns["status"] == Status.DUPLICATE)
        architectures, places = np.unique(columns["architecture"][has_value], return_inverse=True)
        values = np.stack([columns[name][has_value] for name in names], axis=-1)
        losses = task.measures.losses(values)[:, 0]
        sums, counts = np.bincount(places, weights=losses), np.bincount(places)
        for name, total, count in zip(architectures.tolist(), sums.tolist(), counts.tolist(), strict=True):
            before = found.get(name, (0.0, 0))
            found[name] = (before[0] + total, before[1] + count)
    return found


def _runs(rows: dict[str, AnyArray], task: TaskView, recommends: bool, num_lookups: Ints) -> Runs:
    seeds, starts, lengths = np.unique(rows["seed"], return_index=True, return_counts=True)
    run = np.repeat(np.arange(len(seeds)), lengths)
    position = np.arange(len(run)) - np.repeat(starts, lengths)
    shape = (len(seeds), int(lengths.max()))

    def matrix(column: AnyArray, fill: float) -> AnyArray:
        filled = np.full(shape, fill, dtype=column.dtype)
        filled[run, position] = column
        return filled

    status, architectures = rows["status"], matrix(rows["architecture"], -1)
    columns = {name: matrix(column, np.nan) for name, column in rows.items() if name.startswith("value_")}
    columns |= {"architecture": architectures, "status": matrix(status, Status.NONE)}
    if "fidelity" in rows:
        columns["fidelity"] = matrix(rows["fidelity"], 0)
    trained = np.cumsum(matrix(row_epochs(rows, task), 0), axis=1) if has_epochs(task) else None
    if recommends:
        columns["recommended"] = matrix(rows["recommended"], -1)
    run_rows = rows_of(columns, task)
    return Runs(
        seeds=seeds,
        row_picks=picks_of(run_rows, task),
        row_totals=np.cumsum(matrix(np.isin(status, _COUNTED), 0), axis=1, dtype=np.int32),
        row_times_s=matrix(rows["finished_s"], np.inf),
        chooses_itself=recommends,
        repeats=_repeats(architectures, task),
        num_overrun=np.bincount(run[status == Status.OVERRUN], minlength=len(seeds)),
        num_rejected=np.bincount(run[status == Status.REJECTED], minlength=len(seeds)),
        num_lookups=num_lookups,
        sets=returned_sets(run_rows, task) if len(task.objectives) > 1 else None,
        row_epochs=trained,
    )


def _row_ranks(rows: Ints) -> Ints:
    """Rank of each row in lexicographic order, equal for equal rows; shape (num_runs,)."""
    # Big-endian bytes compare as the integers do, apart from a minus sign, which any fixed order may put anywhere.
    keys = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder(">"))
    texts = keys.view(f"V{keys.itemsize * keys.shape[1]}")[:, 0]
    order = np.argsort(texts, kind="stable")
    is_new = np.ones(len(rows), dtype=np.int64)
    for start in range(1, len(rows), _ROWS_AT_ONCE):
        here = slice(start, start + _ROWS_AT_ONCE)
        is_new[here] = texts[order[here]] != texts[order[start - 1 : start + _ROWS_AT_ONCE - 1][: len(order[here])]]
    ranks = np.empty_like(is_new)
    ranks[order] = np.cumsum(is_new)
    return ranks


def _repeats(architectures: Ints, task: TaskView) -> Ints:
    """Proposals that repeat an earlier one of the same run, by index and by isomorphism class, (num_runs, 2).

    Args:
        architectures: Proposals of each run, −1 if there is none, shape (num_runs, num_rows).
        task: The task.
    """
    classes = np.where(architectures >= 0, task.space.canonical(np.maximum(architectures, 0)), -1)
    repeats = []
    for names in (architectures, classes):
        ordered = np.sort(names, axis=1)
        repeats.append(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).sum(axis=1))
    return np.stack(repeats, axis=1)
