"""The trace of a batch of runs, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints

_CHOICE = "recommended"  # a column of strategies that recommend; −1: nothing yet
_TYPES = {
    "architecture": np.int32,
    "fidelity": np.int16,
    "replicate": np.int16,
    "training": np.int32,
    "cost_s": np.float64,
    "finished_s": np.float64,
    "status": np.int8,
}
_OF_WORKERS = {"worker": np.int16, "started_s": np.float64}


class Trace:
    """Columns (num_rows, num_runs) that grow as the engine records; status 0 marks "no row for this run".

    Args:
        num_runs: Runs in the batch.
        value_names: Names of the value columns, float64.
        expected_rows: Rows to make room for at first.
        has_workers: Whether a run has several workers; the worker and the start of each evaluation are then kept.
    """

    def __init__(
        self, num_runs: int, value_names: Sequence[str], expected_rows: int, has_workers: bool = False
    ) -> None:
        self.num_rows = 0
        types = {**_TYPES, **dict.fromkeys(value_names, np.float64), **(_OF_WORKERS if has_workers else {})}
        self._columns: dict[str, AnyArray] = {
            name: np.zeros((expected_rows, num_runs), dtype=dtype) for name, dtype in types.items()
        }

    def append(self, **columns: AnyArray) -> None:
        """Record one row of every run; columns that are not named stay 0."""
        if self.num_rows == len(self._columns["status"]):
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, np.full_like(column, -1 if name == _CHOICE else 0)])
        for name, values in columns.items():
            self._columns[name][self.num_rows] = values
        self.num_rows += 1

    def recommend(self, architectures: Ints) -> None:
        """Add the recommendation of each run after its last row, shape (num_runs,)."""
        if _CHOICE not in self._columns:
            self._columns[_CHOICE] = np.full(self._columns["status"].shape, -1, dtype=np.int32)
        self._columns[_CHOICE][self.num_rows - 1] = architectures

    def columns(self) -> dict[str, AnyArray]:
        """The recorded columns, views of shape (num_rows, num_runs); a status of 0 marks "no row for this run"."""
        return {name: column[: self.num_rows] for name, column in self._columns.items()}

    def rows(self, runs: slice) -> dict[str, AnyArray]:
        """The rows of some runs as flat columns, by run, then in order; ``run`` and ``step`` count from 0."""
        columns = {
            name: np.ascontiguousarray(column[: self.num_rows, runs].T) for name, column in self._columns.items()
        }
        if _CHOICE in columns and columns[_CHOICE].max(initial=-1) < 0:
            del columns[_CHOICE]  # what a run's rows hold must not depend on the other runs of its batch
        is_row = columns["status"] != 0
        run, position = np.indices(is_row.shape, dtype=np.int32, sparse=True)
        columns["run"], columns["step"] = np.broadcast_to(run, is_row.shape), np.broadcast_to(position, is_row.shape)
        if is_row.all():
            return {name: column.ravel() for name, column in columns.items()}
        columns["step"] = np.cumsum(is_row, axis=1, dtype=np.int32) - 1
        return {name: column[is_row] for name, column in columns.items()}


def joined_rows(runs: Sequence[tuple[Trace, int]]) -> dict[str, AnyArray]:
    """The rows of runs that may be in different traces, as ``Trace.rows`` gives them.

    Args:
        runs: The trace of each run and its position there.
    """
    parts: list[dict[str, AnyArray]] = []
    start = 0
    for end in range(1, len(runs) + 1):
        trace, position = runs[start]
        if end == len(runs) or runs[end][0] is not trace or runs[end][1] != position + end - start:
            columns = trace.rows(slice(position, position + end - start))
            columns["run"] = columns["run"] + np.int32(start)
            parts.append(columns)
            start = end
    if len(parts) == 1:
        return parts[0]
    names = max(parts, key=len)  # only runs that recommended have a column for it
    return {
        name: np.concatenate([part[name] if name in part else np.full_like(part["step"], -1) for part in parts])
        for name in names
    }


@dataclass
class Batch:
    """A finished batch.

    Attributes:
        trace: Its rows.
        strategy_seconds: Real seconds spent inside the strategy.
        num_evaluations: Evaluations that were charged to its runs.
        is_empty: Runs that ended without an evaluation or a recommendation, shape (num_runs,): nothing can be scored.
        failures: Error of each run that failed alone, by its position; its rows are not to be used.
    """

    trace: Trace
    strategy_seconds: float
    num_evaluations: int
    is_empty: Bools
    failures: dict[int, Exception]
