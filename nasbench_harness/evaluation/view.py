"""A task under a protocol: objectives, constraints, fidelity, oracle and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.evaluation.grid import LARGEST_VALUE, exact_means
from nasbench_harness.evaluation.measured import MeasuredOracle
from nasbench_harness.evaluation.measures import Measures, measures_of, noiseless_losses, scores_of
from nasbench_harness.evaluation.oracle import Oracle, TableOracle
from nasbench_harness.evaluation.problem import Budget, Constraint, Objective, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import Scores
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.proxies import FreeMetrics, has_shipped_scores
from nasbench_harness.tables.table import MetricArray, Provenance, Table

if TYPE_CHECKING:
    from nasbench_harness.evaluation.task import Task, Trained


@dataclass(frozen=True, eq=False)
class TaskView:
    """A task as a protocol shows it.

    Attributes:
        task: The task.
        protocol: The protocol.
        measures: Metrics that an evaluation measures, and the objectives and constraints that follow from them.
        fidelities: Epochs at which a run may be evaluated, ascending; empty if the table does not say.
        oracle: Answers the queries of strategies.
        search: Natural values of the first objective at the highest of them, (num_architectures, num_replicates, 1).
        typical_cost_s: Median training seconds at the highest of them; NaN if the table has no cost.
        least_cost_s: The same at the lowest of them.
        make_scores: Makes ``scores``.
        make_losses: Makes ``noiseless_losses``.
    """

    task: Task
    protocol: Protocol
    measures: Measures
    fidelities: tuple[int, ...]
    oracle: Oracle
    search: MetricArray
    typical_cost_s: float
    least_cost_s: float
    make_scores: Callable[[], Scores]
    make_losses: Callable[[], Floats]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Losses that strategies minimize."""
        return self.measures.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Conditions of a feasible architecture."""
        return self.measures.constraints

    @property
    def noiseless_losses(self) -> Floats:
        """Noiseless losses of every architecture, (num_architectures, num_objectives); +inf if one does not count."""
        return self.make_losses()

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def title(self) -> str:
        """Title of the task."""
        return self.task.title

    @property
    def table(self) -> Table:
        """The table."""
        return self.task.table

    @property
    def dataset(self) -> str:
        """The table's name of the data set."""
        return self.task.dataset

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.task.space

    @property
    def provenance(self) -> Provenance:
        """Source of the data."""
        return self.task.provenance

    @property
    def scores(self) -> Scores:
        """Scores of runs: ``val`` of the objective, and ``test`` if the task has it (see ``Task.scores``)."""
        return self.make_scores()

    @property
    def fidelity(self) -> int | None:
        """Highest number of epochs at which evaluations are read; None if the table does not say."""
        return self.fidelities[-1] if self.fidelities else None

    @property
    def has_default_fidelity(self) -> bool:
        """Whether the table, not the protocol, decides at which fidelity evaluations are read."""
        is_declared = self.table.datasets[self.dataset].default_fidelity is not None
        return is_declared and self.protocol.fidelity is None

    @property
    def sources(self) -> tuple[str, ...]:
        """Tasks whose search values a strategy may read: the protocol's without this task itself."""
        return tuple(name for name in self.protocol.sources if name != self.name)

    @property
    def has_cost(self) -> bool:
        """Whether there is a simulated clock."""
        return not math.isnan(self.typical_cost_s)

    @property
    def answers_version(self) -> int:
        """Part of the identity of runs if it is not 1: 2 if an earlier version of this package answered otherwise."""
        if self.protocol.duplicates_by == "class" and not self.has_value.all():
            return 2
        return self.oracle.version if self.protocol.noise != "mean" else 1  # means are what they were

    @property
    def has_value(self) -> Bools:
        """Which architectures have a replicate at all, shape (num_architectures,)."""
        exists: Bools = self.oracle.num_replicates(np.arange(self.space.num_architectures)) > 0
        return exists

    def query(self, architecture: int) -> dict[str, float]:
        """Noiseless values of one architecture (see ``Task.query``)."""
        return self.task.query(architecture)

    @property
    def has_proxies(self) -> bool:
        """Whether strategies may read training-free scores of its architectures."""
        return has_shipped_scores(self.space) or bool(self.table.metrics(self.task.dataset, "proxy"))

    def problem(self) -> Problem:
        """The part that a strategy sees."""
        columns = self.table.datasets[self.dataset].columns
        own = {name: _free_values(self.name, column) for name, column in columns.items() if column.metric.free}
        free = FreeMetrics(own, self.space, columns)
        budget = Budget(self.protocol.evaluations, self.protocol.simulated_seconds, self.protocol.epochs)
        return Problem(self.space, self.objectives, budget, free, self.fidelities, self.constraints, task=self.name)


ViewFactory = Callable[[Protocol], TaskView]


def view_factory(task: Task, protocol: Protocol) -> ViewFactory:
    """Prepare the view of a task.

    Args:
        task: The task.
        protocol: Its fidelity, objectives and constraints decide.

    Returns:
        Makes the view for every protocol with the same of these.

    Raises:
        InvalidInputError: The table has several fidelities and none is named, or not this one; or objectives or
            constraints do not fit.
        TableError: Its metrics do not fit together.
    """
    table, dataset = task.table, task.dataset
    search, cost = table.metrics(dataset, "search")[0], table.metrics(dataset, "cost")
    fidelities, fidelity = table.datasets[dataset].fidelities, protocol.fidelity_of(task.name)
    if fidelity is None:
        fidelity = table.datasets[dataset].default_fidelity
    measures, columns = Measures.plain(search.metric), [search]
    make_scores: Callable[[], Scores] = partial(getattr, task, "scores")
    oracle: Oracle | None = None if task.trained is None else task.trained.oracle
    if protocol.objectives or protocol.constraints:
        measures, columns = measures_of(task, protocol)
        make_scores = cache(partial(scores_of, task, measures, columns))
        if task.trained is not None:
            oracle = _measured_oracle(task.trained, measures, columns)
            make_scores = partial(getattr, oracle, "scores")
    if task.trained is None:  # the arrays of a task that trains are filled later
        for column in (*columns, *cost[:1]):
            check_values(task.name, column)
    has_values = partial(_has_values, () if task.trained is not None else columns)
    positions = _positions(task.name, fidelities, search.values.shape[2], fidelity, has_values)
    measured = [_at(column, positions) for column in columns]
    paid = _at(cost[0], positions) if cost else None
    _check_cost(task.name, measured[0], paid)
    if measures.is_plain:
        searched = _at(columns[0], positions[-1:])
    else:
        values = np.stack([_at(column, positions[-1:]).values for column in columns], axis=-1)
        searched = MetricArray(measures.objectives[0].metric, measures.natural(values, 0))
    return partial(
        TaskView,
        task,
        measures=measures,
        fidelities=tuple(fidelities[position] for position in positions) if fidelities else (),
        oracle=TableOracle(measured, paid) if oracle is None else oracle,
        search=searched,
        typical_cost_s=_typical_s(paid, -1),
        least_cost_s=_typical_s(paid, 0),
        make_scores=make_scores,
        make_losses=cache(partial(noiseless_losses, measures, columns)),
    )


def _measured_oracle(trained: Trained, measures: Measures, columns: Sequence[MetricArray]) -> MeasuredOracle:
    """The oracle of a task that trains, with free metrics beside what it measures."""
    (searched,) = (column for column in columns if column.metric.role == "search")
    free = {column.metric.name: column.values[:, 0, 0] for column in columns if column.metric.role != "search"}
    return MeasuredOracle(trained.oracle, trained.scores, searched, measures, free)


def check_values(task: str, column: MetricArray) -> None:
    """Refuse a metric without any value; such tables are not imported, but may be copied from elsewhere.

    Raises:
        TableError: It has none, or one that cannot be averaged.
    """
    if np.isnan(column.values).all():
        raise TableError(f"task {task}: {column.metric.name} has no value at all: import its table again without it")
    _check_finite(task, column)


def _check_finite(task: str, column: MetricArray) -> None:
    top = float(np.nan_to_num(np.abs(column.values[:, :, -1]), nan=0.0, posinf=math.inf).max(initial=0.0))
    if top > LARGEST_VALUE:
        raise TableError(
            f"task {task}: {column.metric.name} holds {top:g}, which cannot be averaged: import its table again with "
            "that value missing"
        )


def _free_values(task: str, column: MetricArray) -> Floats:
    _check_finite(task, column)
    return exact_means(column).values


def _check_cost(task: str, searched: MetricArray, paid: MetricArray | None) -> None:
    if paid is None:
        return
    if paid.values.shape[1] not in (1, searched.values.shape[1]):
        raise TableError(
            f"task {task}: {paid.metric.name} has {paid.values.shape[1]} replicates and {searched.metric.name} "
            f"{searched.values.shape[1]}: import its table again with as many"
        )
    known = paid.values[~np.isnan(paid.values)]
    if not known.size or not 0 <= known.min() <= known.max() < math.inf:
        fault = "is missing, negative or infinite at the fidelity that is searched"
        remedy = "with costs of at least 0"
    elif (paid.values < np.fmax.accumulate(paid.values, axis=2)).any():
        fault, remedy = "falls along the epochs", "with the cost of the whole training up to each epoch"
    elif (np.isnan(paid.values) & ~np.isnan(searched.values)).any():
        fault, remedy = f"is missing beside a value of {searched.metric.name}", "with that cost, or without that value"
    else:
        return
    raise TableError(f"task {task}: {paid.metric.name} {fault}: import its table again {remedy}")


def _typical_s(paid: MetricArray | None, position: int) -> float:
    return float(np.nanmedian(paid.values[:, :, position])) if paid is not None else math.nan


def _has_values(columns: Sequence[MetricArray], place: int) -> bool:
    """Whether every column has a value at a place on the fidelity axis; columns of one fidelity are read there."""
    return not any(
        np.isnan(column.values[:, :, place if column.values.shape[2] > 1 else 0]).all() for column in columns
    )


def _positions(
    name: str,
    fidelities: tuple[int, ...],
    num_places: int,
    fidelity: int | str | None,
    has_values: Callable[[int], bool],
) -> list[int]:
    """Places on the fidelity axis at which the search reads; epochs without any value cannot be asked for."""
    if fidelity is None:
        if num_places > 1:
            raise InvalidInputError(
                f"task {name} has {num_places} fidelities ({_written(fidelities)} epochs): name one, --fidelity, "
                "or let the strategy choose, --fidelity all"
            )
        return [0]
    if fidelity == "all":
        positions = [place for place in range(num_places) if has_values(place)]
        if len(fidelities) != num_places or len(positions) < 2:
            raise InvalidInputError(
                f"task {name} has one fidelity: there is nothing to choose; leave --fidelity out, or import a table "
                "with several"
            )
        return positions
    epochs = [fidelity] if isinstance(fidelity, int) else [int(part) for part in fidelity.split(",")]
    for wanted in epochs:
        if wanted not in fidelities:
            known = (
                f"it has {_written(fidelities)} epochs" if fidelities else "its table does not say at which it was read"
            )
            raise InvalidInputError(f"task {name} has no fidelity of {wanted} epochs: {known}")
    positions = [fidelities.index(wanted) for wanted in epochs]
    for place in positions:
        if not has_values(place):
            known = _written(tuple(epoch for other, epoch in enumerate(fidelities) if has_values(other)))
            raise InvalidInputError(
                f"task {name} has no value after {fidelities[place]} epochs: name some that have, {known or 'none'}"
            )
    return positions


def _written(fidelities: tuple[int, ...]) -> str:
    shown = [str(fidelity) for fidelity in fidelities]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", *shown[-2:]])


def _at(column: MetricArray, positions: list[int]) -> MetricArray:
    """A column at some fidelities; columns of one fidelity are read there."""
    if column.values.shape[2] == 1:
        return column
    if len(positions) == 1:
        return MetricArray(column.metric, column.values[:, :, positions[0] : positions[0] + 1])
    return MetricArray(column.metric, column.values[:, :, positions])
