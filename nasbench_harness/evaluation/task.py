"""A task: one data set of a table with its objectives, split into what search sees and what scoring sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.oracle import TableOracle
from nasbench_harness.evaluation.problem import Budget, Objective, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.registry import load_table, split_task_name
from nasbench_harness.tables.table import Metric, Provenance, Table


@dataclass(frozen=True)
class ReportView:
    """Noiseless values of the search metric, for scoring only; strategies cannot reach it.

    Attributes:
        metric: What is scored.
        values: Mean over replicates in natural units, shape (num_architectures,).
        codes: The same as integers on a grid of ``step``, larger is better for metrics to be maximized.
        step: Size of one grid step in the metric's unit.
        exists: Whether the table has a value at all, shape (num_architectures,).
    """

    metric: Metric
    values: Floats
    codes: Ints
    step: float
    exists: Bools

    @property
    def optimum(self) -> int:
        """The best architecture, the first of equals."""
        goodness = self.codes if self.metric.direction == "maximize" else -self.codes
        return int(np.where(self.exists, goodness, goodness.min() - 1).argmax())

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
        return self.table.datasets[self.dataset].space

    @property
    def provenance(self) -> Provenance:
        """Where the data came from."""
        return self.table.provenance

    def problem(self, protocol: Protocol) -> Problem:
        """The search view under a protocol."""
        columns = self.table.datasets[self.dataset].columns.values()
        free = {column.metric.name: exact_means(column).values for column in columns if column.metric.free}
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
    means = exact_means(search[0])
    return Task(
        name=name,
        title=table.datasets[dataset].title,
        table=table,
        dataset=dataset,
        objectives=(Objective(search[0].metric),),
        oracle=TableOracle(search[:1], cost[0] if cost else None),
        report=ReportView(search[0].metric, means.values, means.codes, means.step, means.exists),
    )
