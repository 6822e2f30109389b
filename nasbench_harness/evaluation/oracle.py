"""Oracles answer queries; they know no run, budget, clock or noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.grid import exact_means, on_grid
from nasbench_harness.evaluation.status import Status
from nasbench_harness.tables.table import MetricArray

_OK = int(Status.OK)


class Answers(NamedTuple):
    """Answers of an oracle.

    Attributes:
        values: Natural units, shape (n, num_objectives); NaN if missing.
        cost_s: Seconds of the whole training up to the fidelity, shape (n,); NaN if the source stores none.
        status: OK or MISSING, shape (n,).
    """

    values: Floats
    cost_s: Floats
    status: npt.NDArray[np.int8]


class Oracle(ABC):
    """A pure function of (architecture, fidelity, replicate): same query, same answer, in any order or process.

    Arguments are never changed; the arrays of an answer belong to the caller.
    """

    @abstractmethod
    def evaluate(self, architectures: Ints, fidelities: Ints, replicates: Ints) -> Answers:
        """Answer n queries; all arguments have shape (n,).

        Args:
            architectures: Indices 0 … num_architectures − 1.
            fidelities: Indices on the task's fidelity axis.
            replicates: Which replicate to read; −1 means the mean over those that exist.
        """

    # Existing replicates of each architecture in ascending order, then −1, shape (num_architectures,
    # num_replicates); None if the missing ones always come last.
    replicate_order: Ints | None = None

    # Part of the identity of runs if it is not 1: 2 if an earlier version of this package answered otherwise.
    version: int = 1

    def prepare(self, architectures: Ints) -> None:  # noqa: B027 - most oracles know all their answers
        """Make sure that report views hold these architectures, shape (n,); for oracles that learn answers on demand.

        Args:
            architectures: Indices 0 … num_architectures − 1.
        """

    # Called with the number of answers that this process had to learn, whenever there is another.
    on_learned: Callable[[int], None] | None = None

    def forecast(self, num_queries: int | None) -> str:
        """Cost of so many new queries (None: any number) beyond looking up, in words; empty if there is none."""
        del num_queries
        return ""

    @abstractmethod
    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""


class TableOracle(Oracle):
    """Reads a table's search metrics and cost.

    Values of a search metric are on its grid, so that equal ones tie. The replicates of an architecture are those with
    a value at the most fidelities; at another fidelity such a replicate may be missing.

    Args:
        objectives: Columns (num_architectures, num_replicates, num_fidelities) to answer with.
        cost: Training seconds, a column of the same shape, None if the table has no cost.
    """

    def __init__(self, objectives: list[MetricArray], cost: MetricArray | None) -> None:
        shape = objectives[0].values.shape
        self._num_architectures, self._num_slots, self._num_fidelities = shape[0], shape[1] + 1, shape[2]
        self._num_objectives = len(objectives)
        columns = [*objectives, *([] if cost is None else [cost])]
        # One row per (architecture, −1 and replicates, fidelity), so that an answer is a single gather.
        table = np.full((shape[0], self._num_slots, shape[2], len(objectives) + 1), np.nan)
        for position, column in enumerate(columns):
            values = on_grid(column) if column.metric.role == "search" else column.values
            if values is not column.values:
                self.version = 2
            table[:, 1:, :, position] = values
            for fidelity in range(shape[2]):
                table[:, 0, fidelity, position] = exact_means(column, fidelity).values
        self._table = table.reshape(-1, table.shape[-1])
        self._means = np.ascontiguousarray(table[:, 0, 0])  # the common question, asked about many at once
        num_known = (~np.isnan(objectives[0].values)).sum(axis=2)
        most = num_known.max(axis=1, keepdims=True)
        self._exists: Bools = np.asarray((num_known == most) & (most > 0))
        if ((most > 0) & (most < shape[2])).any():
            self.version = 2
        has_any = np.asarray(self._exists).any(axis=1)
        order = np.argsort(~self._exists, axis=1, kind="stable")
        if not np.array_equal(order[has_any], np.broadcast_to(np.arange(shape[1]), order[has_any].shape)):
            self.replicate_order = np.where(np.arange(shape[1]) < self._exists.sum(axis=1)[:, None], order, -1)
        self._has_gaps = bool(np.isnan(self._table[:, : self._num_objectives]).any())

    def evaluate(self, architectures: Ints, fidelities: Ints, replicates: Ints) -> Answers:
        """Answer n queries (see Oracle).

        Raises:
            InvalidInputError: An index is outside its axis.
        """
        check_indices("architecture", architectures, self._num_architectures)
        check_indices("fidelity", fidelities, self._num_fidelities)
        if self._num_fidelities == 1 and _all_means(replicates):
            answers = self._means.take(architectures, axis=0)
        else:
            check_indices("replicate", replicates + 1, self._num_slots, offset=1)
            rows = architectures.astype(np.int64, copy=False) * self._num_slots
            rows = (rows + replicates + 1) * self._num_fidelities + fidelities
            answers = self._table.take(rows, axis=0)
        values = answers[:, : self._num_objectives]
        status = np.full(len(answers), _OK, dtype=np.int8)
        if self._has_gaps:
            status[np.isnan(values).any(axis=1)] = Status.MISSING
        return Answers(values, answers[:, self._num_objectives], status)

    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""
        counts: Ints = self._exists.sum(axis=1)[architectures]
        return counts


def check_indices(name: str, indices: Ints, size: int, offset: int = 0) -> None:
    """Refuse indices outside 0 … size − 1; those in the message are smaller by ``offset``.

    Raises:
        InvalidInputError: Names the first that is outside.
    """
    # Seen as unsigned, a negative index is huge: one comparison covers both ends.
    if len(indices) and indices.astype(np.int64, copy=False).view(np.uint64).max() >= size:
        wrong = indices[(indices < 0) | (indices >= size)][0] - offset
        raise InvalidInputError(f"{name} index {wrong} is outside the table's {size - offset:,}")


def _all_means(replicates: Ints) -> bool:
    return bool(len(replicates) and replicates[0] == -1 and replicates.max() == replicates.min() == -1)
