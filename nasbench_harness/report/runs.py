"""Reading stored runs back as what each run would have returned after every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints
from nasbench_harness.errors import StoreError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import incumbent_steps
from nasbench_harness.store.blocks import read_columns
from nasbench_harness.store.folder import Block


@dataclass(frozen=True)
class Runs:
    """The runs of one strategy on one task.

    Attributes:
        picks: Architecture that each run would return after 1 … evaluations, shape (num_runs, num_steps); −1 before
            the first result. After a run has ended, its last pick stands.
        chooses_itself: Whether the strategy recommended, and the protocol lets it.
        num_evaluations: Counted evaluations of each run, shape (num_runs,).
    """

    picks: Ints
    chooses_itself: bool
    num_evaluations: Ints

    @property
    def final(self) -> Ints:
        """What each run returned, shape (num_runs,).

        Raises:
            StoreError: A run has nothing to return: all its evaluations failed or are missing in the table.
        """
        final: Ints = self.picks[:, -1]
        if (final < 0).any():
            raise StoreError(f"{int((final < 0).sum())} of {len(final)} runs ended without a single result")
        return final


def read_runs(blocks: Sequence[Block], task: Task, protocol: Protocol, num_seeds: int) -> Runs:
    """Read the runs with seeds 0 … num_seeds − 1.

    Raises:
        StoreError: Blocks are torn, or seeds are missing.
    """
    value = f"value_{task.objectives[0].metric.name}"
    names = ("seed", "architecture", "status", value, "recommended")
    parts, done = [], np.zeros(num_seeds, dtype=bool)
    for block in blocks:
        columns = read_columns(block.path, names)
        wanted = columns["seed"] < num_seeds
        wanted[wanted] &= ~done[columns["seed"][wanted]]  # blocks of concurrent commands may overlap
        if wanted.any():
            parts.append({name: column[wanted] for name, column in columns.items()})
            done[parts[-1]["seed"]] = True
    if not done.all():
        raise StoreError(f"the study lacks {int((~done).sum())} of {num_seeds} runs on {task.name}: run it to its end")
    recommends = any("recommended" in part for part in parts) and protocol.selection == "own"
    for part in parts:
        part.setdefault("recommended", np.full(len(part["seed"]), -1, dtype=np.int32))
    rows = {name: np.concatenate([part[name] for part in parts]) for name in names}
    order = np.argsort(rows["seed"], kind="stable")
    return _picks({name: column[order] for name, column in rows.items()}, task, protocol, recommends)


def _picks(rows: dict[str, AnyArray], task: Task, protocol: Protocol, recommends: bool) -> Runs:
    seeds, starts, lengths = np.unique(rows["seed"], return_index=True, return_counts=True)
    value = rows[f"value_{task.objectives[0].metric.name}"]
    position = np.arange(len(value)) - np.repeat(starts, lengths)
    run = np.repeat(np.arange(len(seeds)), lengths)
    shape = (len(seeds), int(lengths.max()))
    status = rows["status"]
    counted = status == Status.OK
    losses = np.full(shape, np.inf)
    has_value: Bools = counted | (status == Status.DUPLICATE)
    losses[run[has_value], position[has_value]] = task.objectives[0].loss(value[has_value])
    incumbents = incumbent_steps(losses)
    architectures = _matrix(rows["architecture"], run, position, shape, fill=-1)
    picks = np.where(incumbents >= 0, np.take_along_axis(architectures, np.maximum(incumbents, 0), axis=1), -1)
    if recommends:
        recommended = _matrix(rows["recommended"], run, position, shape, fill=-1)
        picks = np.where(recommended >= 0, recommended, picks)
    total = np.cumsum(_matrix(counted, run, position, shape, fill=False), axis=1)
    return Runs(_after_each_evaluation(picks, total, protocol.evaluations), recommends, total[:, -1])


def _after_each_evaluation(picks: Ints, total: Ints, num_steps: int) -> Ints:
    """Picks after the last row that belongs to each number of counted evaluations."""
    if (
        picks.shape[1] == num_steps
        and np.array_equal(total[:, 0], np.ones(len(total)))
        and (total[:, -1] == num_steps).all()
    ):
        return picks
    num_runs, num_rows = picks.shape
    last_row = np.zeros((num_runs, num_steps + 1), dtype=np.int64)
    rows = np.broadcast_to(np.arange(num_rows), picks.shape)
    np.maximum.at(last_row, (np.arange(num_runs)[:, None], total), rows)
    last_row = np.maximum.accumulate(last_row, axis=1)
    return np.take_along_axis(picks, last_row[:, 1:], axis=1)


def _matrix(column: AnyArray, run: Ints, position: Ints, shape: tuple[int, int], fill: int | bool) -> AnyArray:
    matrix = np.full(shape, fill, dtype=column.dtype)
    matrix[run, position] = column
    return matrix
