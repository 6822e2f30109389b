"""A task: one data set of a table with its objectives, split into what search sees and what scoring sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.oracle import TableOracle, mean_over_replicates
from nasbench_harness.evaluation.problem import Budget, Objective, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.registry import load_table, split_task_name
from nasbench_harness.tables.table import Column, Metric, Provenance, Table

# Means over one, two or three replicates all lie on a sixth of the grid of one value.
_PARTS = 6


@dataclass(frozen=True)
class ReportView:
    """Noiseless values of the search metric, for scoring only; strategies cannot reach it.

    Attributes:
        metric: What is scored.
        values: Mean over replicates in natural units, shape (num_architectures,).
        codes: The same as integers on a grid of ``step``, larger is better for metrics to be maximized.
        step: Size of one grid step in the metric's unit.
    """

    metric: Metric
    values: Floats
    codes: Ints
    step: float

    @property
    def optimum(self) -> int:
        """The best architecture, the first of equals."""
        return int(self.codes.argmax() if self.metric.direction == "maximize" else self.codes.argmin())

    def regret_codes(self, architectures: Ints) -> Ints:
        """Grid steps between the optimum and each architecture, 0 at the optimum; shape of ``architectures``."""
        distance: Ints = np.abs(self.codes[self.optimum] - self.codes)
        return distance[architectures]

    def regret(self, architectures: Ints) -> Floats:
        """``regret_codes`` in the metric's unit."""
        return self.regret_codes(architectures) * self.step


@dataclass(frozen=True)
class Task:
    """A table's data set, ready to be searched and scored.

    Attributes:
        name: E.g. ``nb201-cifar100``.
        title: As papers print it, e.g. ``CIFAR-100``.
        table: The table.
        dataset: The table's name of the data set.
        objectives: What strategies minimize.
        oracle: Answers their queries.
        report: What scoring sees.
    """

    name: str
    title: str
    table: Table
    dataset: str
    objectives: tuple[Objective, ...]
    oracle: TableOracle
    report: ReportView

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.table.space

    @property
    def provenance(self) -> Provenance:
        """Where the data came from."""
        return self.table.provenance

    def problem(self, protocol: Protocol) -> Problem:
        """The search view under a protocol."""
        columns = self.table.datasets[self.dataset].columns.values()
        free = {
            column.metric.name: mean_over_replicates(column.values)[:, 0] for column in columns if column.metric.free
        }
        return Problem(self.space, self.objectives, Budget(protocol.evaluations), free)


@cache
def load_task(name: str) -> Task:
    """Load a task by name, converting its table on first use.

    Raises:
        UnknownNameError: There is no such task.
        TableError: The table's source or cache is damaged.
    """
    table_name, dataset = split_task_name(name)
    return make_task(load_table(table_name), dataset)


def make_task(table: Table, dataset: str) -> Task:
    """Task on one data set of a table: its first search metric is the objective.

    Raises:
        InvalidInputError: The data set has no search metric, or several fidelities.
    """
    name = f"{table.name}-{dataset}"
    search = table.metrics(dataset, "search")
    if not search:
        raise InvalidInputError(f"task {name} has no metric with the role search")
    if search[0].values.shape[2] > 1:
        raise InvalidInputError(f"task {name} has {search[0].values.shape[2]} fidelities: name the one to search at")
    cost = table.metrics(dataset, "cost")
    return Task(
        name=name,
        title=table.datasets[dataset].title,
        table=table,
        dataset=dataset,
        objectives=(Objective(search[0].metric),),
        oracle=TableOracle(search[:1], cost[0] if cost else None),
        report=_report_view(search[0]),
    )


def _report_view(column: Column) -> ReportView:
    metric, values = column.metric, column.values[:, :, 0]
    if metric.resolution is None:
        return _gridless_view(metric, mean_over_replicates(values))
    grid = np.rint(np.where(np.isnan(values), 0, values) / metric.resolution).astype(np.int64)
    count = (~np.isnan(values)).sum(axis=1)
    codes = grid.sum(axis=1) * (_PARTS // np.maximum(count, 1))
    return ReportView(metric, codes * (metric.resolution / _PARTS), codes, metric.resolution / _PARTS)


def _gridless_view(metric: Metric, values: Floats) -> ReportView:
    """Codes at nine significant digits: far below any accuracy that matters, far above float noise."""
    step = 10.0 ** (np.floor(np.log10(np.abs(values).max())) - 8)
    codes = np.rint(values / step).astype(np.int64)
    return ReportView(metric, values, codes, float(step))
