"""Oracles answer queries; they know no run, budget, clock or noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.status import Status
from nasbench_harness.tables.table import Column

_OK = int(Status.OK)


class Answers(NamedTuple):
    """What an oracle answers.

    Attributes:
        values: Natural units, shape (n, num_objectives); NaN where missing.
        cost_s: Seconds of the whole training up to the fidelity, shape (n,); NaN where the source stores none.
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

    @abstractmethod
    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""


class TableOracle(Oracle):
    """Reads a table's search metrics and cost.

    Args:
        objectives: Columns (num_architectures, num_replicates, num_fidelities) to answer with.
        cost: Column of training seconds of the same shape, None where the table has no cost.
    """

    def __init__(self, objectives: list[Column], cost: Column | None) -> None:
        shape = objectives[0].values.shape
        self._num_architectures, self._num_slots, self._num_fidelities = shape[0], shape[1] + 1, shape[2]
        self._num_objectives = len(objectives)
        columns = [column.values for column in objectives]
        columns.append(np.full(shape, np.nan) if cost is None else cost.values)
        # One row per (architecture, −1 and replicates, fidelity), so that an answer is a single gather.
        table = np.empty((shape[0], self._num_slots, shape[2], len(columns)))
        for position, values in enumerate(columns):
            table[:, 0, :, position] = mean_over_replicates(values)
            table[:, 1:, :, position] = values
        self._table = table.reshape(-1, len(columns))
        self._exists = ~np.isnan(columns[0]).any(axis=2)
        self._has_gaps = bool(np.isnan(self._table[:, : self._num_objectives]).any())

    def evaluate(self, architectures: Ints, fidelities: Ints, replicates: Ints) -> Answers:
        """Answer n queries (see Oracle).

        Raises:
            InvalidInputError: An index lies outside its axis.
        """
        slots = replicates + 1
        self._check("replicate", slots, self._num_slots, offset=1)
        self._check("architecture", architectures, self._num_architectures)
        rows = architectures * self._num_slots
        rows += slots
        if self._num_fidelities > 1 or fidelities.any():
            self._check("fidelity", fidelities, self._num_fidelities)
            rows = rows * self._num_fidelities + fidelities
        answers = self._table.take(rows, axis=0)
        values = answers[:, : self._num_objectives]
        status = np.full(len(rows), _OK, dtype=np.int8)
        if self._has_gaps:
            status[np.isnan(values).any(axis=1)] = Status.MISSING
        return Answers(values, answers[:, self._num_objectives], status)

    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""
        counts: Ints = self._exists.sum(axis=1)[architectures]
        return counts

    @staticmethod
    def _check(name: str, indices: Ints, size: int, offset: int = 0) -> None:
        # Seen as unsigned, a negative index is huge: one comparison covers both ends.
        if len(indices) and indices.view(np.uint64).max() >= size:
            wrong = indices[(indices < 0) | (indices >= size)][0] - offset
            raise InvalidInputError(f"{name} index {wrong} lies outside the table's {size - offset:,}")


def mean_over_replicates(values: npt.NDArray[Any]) -> Floats:
    """Mean over the replicates that exist: (num_architectures, num_replicates, …) → (num_architectures, …)."""
    exists = ~np.isnan(values)
    count = exists.sum(axis=1)
    total = np.where(exists, values, 0.0).sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
