"""A task: one data set of a table with its objectives, split into what search sees and what scoring sees."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation.grid import LARGEST_VALUE, exact_means
from nasbench_harness.evaluation.oracle import Oracle, TableOracle
from nasbench_harness.evaluation.problem import Budget, Objective, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.location import cache_folder
from nasbench_harness.tables.proxies import FreeMetrics, has_shipped_scores
from nasbench_harness.tables.registry import (
    TASK_GROUP,
    load_table,
    split_task_name,
    task_names,
    trained_task_names,
)
from nasbench_harness.tables.restricted import MARK, restricted_table
from nasbench_harness.tables.table import Column, Metric, Provenance, Table

_RESTRICTION = re.compile(rf"{MARK}[\w.+-]+(,[\w.+-]+)*", re.ASCII)


@dataclass(frozen=True)
class ReportView:
    """Noiseless values of a metric, for scoring only; strategies cannot reach it.

    Attributes:
        metric: What is scored.
        values: Mean over replicates in natural units, shape (num_architectures,).
        codes: The same as integers on a grid of ``step``, larger is better for metrics to be maximized.
        step: Size of one grid step in the metric's unit.
        exists: Whether the table has a value at all, shape (num_architectures,).
        perfect: Code of a perfect value, which stands for the optimum where nobody knows it; None where it is known.
    """

    metric: Metric
    values: Floats
    codes: Ints
    step: float
    exists: Bools
    perfect: int | None = None

    @property
    def has_optimum(self) -> bool:
        """Whether the best architecture is known."""
        return self.perfect is None

    @property
    def distance(self) -> str:
        """What ``regret`` is called: a loss, such as 100 − accuracy, where the optimum is unknown."""
        return "regret" if self.has_optimum else "loss"

    @property
    def best_value(self) -> float:
        """Value with regret 0."""
        return float(self.values[self.optimum]) if self.perfect is None else self.perfect * self.step

    @property
    def optimum(self) -> int:
        """The best architecture, the first of equals."""
        goodness = self.codes if self.metric.direction == "maximize" else -self.codes
        return int(np.where(self.exists, goodness, goodness.min() - 1).argmax())

    def regret_codes(self, architectures: Ints) -> Ints:
        """Grid steps between the optimum and each architecture, 0 at the optimum; shape of ``architectures``."""
        best = self.codes[self.optimum] if self.perfect is None else self.perfect
        distance: Ints = np.abs(best - self.codes)
        return distance[architectures]

    def regret(self, architectures: Ints) -> Floats:
        """``regret_codes`` in the metric's unit; the loss where the optimum is unknown."""
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
        report: What scoring sees: the search metric, at the highest fidelity that has any value.
        test: The first report metric (test accuracy), at its highest fidelity; None where the table has none.
        search: The first objective's column at the fidelity that is searched, (num_architectures, num_replicates, 1).
        fidelity: Epochs at which evaluations are read; None where the table does not say.
        typical_cost_s: Median training seconds at that fidelity; NaN where the table has no cost.
    """

    name: str
    title: str
    table: Table
    dataset: str
    objectives: tuple[Objective, ...]
    oracle: Oracle
    report: ReportView
    test: ReportView | None
    search: Column
    fidelity: int | None
    typical_cost_s: float

    @property
    def has_cost(self) -> bool:
        """Whether the table stores training times, so that there is a simulated clock."""
        return not math.isnan(self.typical_cost_s)

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
        own = {column.metric.name: _free_values(self.name, column) for column in columns if column.metric.free}
        free = FreeMetrics(own, has_shipped_scores(self.space))
        return Problem(self.space, self.objectives, Budget(protocol.evaluations, protocol.simulated_seconds), free)


def load_task(name: str, fidelity: int | None = None) -> Task:
    """Load a task by name, converting its table on first use.

    Args:
        name: E.g. ``nb201-cifar100``, or ``nb201-cifar100@without=none,skip_connect``: the architectures that have
            none of these choices.
        fidelity: Epochs at which evaluations are read; must be named where the table has several.

    Raises:
        UnknownNameError: There is no such task.
        InvalidInputError: The table has several fidelities and none is named, or not this one.
        TableError: The table's source or cache is damaged.
    """
    if name in trained_task_names():
        task = _registered_task(name, cache_folder())
        if fidelity not in (None, task.fidelity):
            raise InvalidInputError(f"task {name} has no fidelity of {fidelity} epochs: it has {task.fidelity} epochs")
        return task
    check_task_name(name)
    whole, _, without = name.partition(MARK)
    table_name, dataset = split_task_name(whole)
    return _task_of(load_table(table_name).digest, table_name, dataset, without, fidelity)


def load_table_task(name: str, fidelity: int | None = None) -> Task:
    """Load a task that has a table; without a fidelity, at the last one.

    Raises:
        UnknownNameError: There is no such task.
        InvalidInputError: It has no table, or not this fidelity.
        TableError: The table's source or cache is damaged.
    """
    check_task_name(name)
    if name in trained_task_names():
        raise InvalidInputError(f"task {name} has no table: its architectures are trained on demand")
    if fidelity is None:
        table_name, dataset = split_task_name(name.partition(MARK)[0])
        fidelity = next(reversed(load_table(table_name).datasets[dataset].fidelities), None)
    return load_task(name, fidelity)


def check_task_name(name: str) -> None:
    """Refuse text that names no task; the choices that are left out are checked when it is loaded.

    Raises:
        UnknownNameError: There is no such task.
        InvalidInputError: The text after ``@`` is not written as it must be, or the task has no table.
    """
    whole, at, _ = name.partition("@")
    if whole not in all_task_names():
        raise UnknownNameError("task", whole, all_task_names())
    if not at:
        return
    if whole in trained_task_names():
        raise InvalidInputError(f"task {name}: only a task with a table can leave choices out")
    if not _RESTRICTION.fullmatch(name[len(whole) :]):
        raise InvalidInputError(f"task {name}: write {whole}{MARK}choice, or several choices with commas between them")


def split_task_names(text: str) -> list[str]:
    """Names of tasks with commas between them; a part that is no task belongs to the ``@without=`` before it."""
    names: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if names and MARK in names[-1] and part.partition("@")[0] not in all_task_names():
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names


def all_task_names() -> list[str]:
    """Every task: those on tables, then those that train what is asked for."""
    return [*task_names(), *trained_task_names()]


@cache
def _registered_task(name: str, cache: Path) -> Task:  # noqa: ARG001 - part of the key: it keeps what was trained
    (entry,) = entry_points(group=TASK_GROUP, name=name)
    task: Task = entry.load()()
    return task


@cache
def _task_of(digest: str, table_name: str, dataset: str, without: str, fidelity: int | None) -> Task:  # noqa: ARG001 - part of the key
    """The task, made once for each content of its table."""
    table = load_table(table_name)
    return make_task(table, dataset, fidelity) if not without else restricted_task(table, dataset, without, fidelity)


def restricted_task(table: Table, dataset: str, without: str, fidelity: int | None = None) -> Task:
    """Task on the architectures of a data set that have none of some choices.

    Args:
        table: The table.
        dataset: Its data set.
        without: Names of the choices, with commas between them, in the order of the space.
        fidelity: See ``load_task``.

    Raises:
        InvalidInputError: They cannot be left out, or stand in another order.
    """
    part = restricted_table(table, dataset, without.split(","))
    return make_task(part, f"{dataset}{MARK}{without}", fidelity)


def make_task(table: Table, dataset: str, fidelity: int | None = None) -> Task:
    """Task on one data set of a table: its first search metric is the objective (see ``load_task``).

    Raises:
        UnknownNameError: The table has no such data set.
        InvalidInputError: The data set has no search metric, or ``fidelity`` cannot be read.
        TableError: Its metrics do not fit together.
    """
    name = f"{table.name}-{dataset}"
    if dataset not in table.datasets:
        raise UnknownNameError("data set", dataset, table.datasets, f"table {table.name}")
    search, cost = table.metrics(dataset, "search"), table.metrics(dataset, "cost")
    if not search:
        raise InvalidInputError(f"task {name} has no metric with the role search")
    fidelities = table.datasets[dataset].fidelities
    position = _position(name, fidelities, search[0].values.shape[2], fidelity)
    searched = _at(search[0], position)
    paid = _at(cost[0], position) if cost else None
    tests = table.metrics(dataset, "report")
    for column in (search[0], *cost[:1], *tests[:1]):
        _check_values(name, column)
    _check_cost(name, searched, paid)
    return Task(
        name=name,
        title=table.datasets[dataset].title,
        table=table,
        dataset=dataset,
        objectives=(Objective(search[0].metric),),
        oracle=TableOracle([searched], paid),
        report=_report_view(search[0]),
        test=_report_view(tests[0]) if tests else None,
        search=searched,
        fidelity=fidelities[position] if fidelities else None,
        typical_cost_s=float(np.nanmedian(paid.values)) if paid is not None else math.nan,
    )


def _check_values(task: str, column: Column) -> None:
    """Refuse a metric without any value; such tables are not imported, but may be copied from elsewhere."""
    if np.isnan(column.values).all():
        raise TableError(f"task {task}: {column.metric.name} has no value at all: import its table again without it")
    _check_finite(task, column)


def _check_finite(task: str, column: Column) -> None:
    top = float(np.nan_to_num(np.abs(column.values[:, :, -1]), nan=0.0, posinf=math.inf).max(initial=0.0))
    if top > LARGEST_VALUE:
        raise TableError(
            f"task {task}: {column.metric.name} holds {top:g}, which cannot be averaged: import its table again with "
            "that value missing"
        )


def _free_values(task: str, column: Column) -> Floats:
    _check_finite(task, column)
    return exact_means(column).values


def _check_cost(task: str, searched: Column, paid: Column | None) -> None:
    if paid is None:
        return
    if paid.values.shape[1] not in (1, searched.values.shape[1]):
        raise TableError(
            f"task {task}: {paid.metric.name} has {paid.values.shape[1]} replicates and {searched.metric.name} "
            f"{searched.values.shape[1]}: import its table again with as many"
        )
    known = paid.values[~np.isnan(paid.values)]
    if not known.size or not 0 <= known.min() <= known.max() < math.inf:
        raise TableError(
            f"task {task}: {paid.metric.name} is missing, negative or infinite at the fidelity that is searched: "
            "import its table again with costs of at least 0"
        )


def _position(name: str, fidelities: tuple[int, ...], num_fidelities: int, fidelity: int | None) -> int:
    """Where the search reads on the fidelity axis."""
    if fidelity is None:
        if num_fidelities > 1:
            raise InvalidInputError(
                f"task {name} has {num_fidelities} fidelities ({_written(fidelities)} epochs): name one, --fidelity"
            )
        return 0
    if fidelity not in fidelities:
        known = f"it has {_written(fidelities)} epochs" if fidelities else "its table does not say at which it was read"
        raise InvalidInputError(f"task {name} has no fidelity of {fidelity} epochs: {known}")
    return fidelities.index(fidelity)


def _written(fidelities: tuple[int, ...]) -> str:
    shown = [str(fidelity) for fidelity in fidelities]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", *shown[-2:]])


def _at(column: Column, position: int) -> Column:
    """A column at one fidelity; columns of one fidelity are read there."""
    if column.values.shape[2] == 1:
        return column
    return Column(column.metric, column.values[:, :, position : position + 1])


def scored_fidelity(column: Column) -> int:
    """Position on the fidelity axis at which a column is scored: the highest that has any value."""
    has_any = ~np.isnan(column.values).all(axis=(0, 1))
    return int(np.flatnonzero(has_any)[-1]) if has_any.any() else 0


def _report_view(column: Column) -> ReportView:
    """Noiseless values at the highest fidelity at which the metric has any."""
    means = exact_means(column, scored_fidelity(column))
    return ReportView(column.metric, means.values, means.codes, means.step, means.exists)
