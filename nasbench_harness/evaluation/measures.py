"""What an evaluation measures, and the losses and conditions that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.derived import Formula, derived_objective
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.problem import Constraint, Objective
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import (
    TEST,
    VAL,
    Scores,
    ScoreView,
    constrained,
    score_view,
    scored_fidelity,
    set_score_view,
)
from nasbench_harness.evaluation.wording import WrittenConstraint, read_constraint, read_objective, written_constraint
from nasbench_harness.tables.proxies import FreeMetrics
from nasbench_harness.tables.table import Metric, MetricArray

if TYPE_CHECKING:
    from nasbench_harness.evaluation.task import Task

_FREE_ROLES = ("hardware", "proxy")


class _Part(NamedTuple):
    """How an objective follows from what is measured: places of its metrics, and a formula unless it is one of them."""

    places: tuple[int, ...]
    formula: Formula | None

    def natural(self, values: Floats) -> Floats:
        """Natural values of the objective; ``values`` has the shape (…, num_metrics)."""
        own = [values[..., place] for place in self.places]
        return own[0] if self.formula is None else self.formula(own)


@dataclass(frozen=True)
class Measures:
    """What an evaluation measures, in the order of the store's value columns.

    Attributes:
        metrics: Metrics that are measured.
        objectives: Losses that strategies minimize.
        constraints: Conditions of a feasible architecture.
    """

    metrics: tuple[Metric, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    _parts: tuple[_Part, ...]
    _constrained: tuple[int, ...]

    @classmethod
    def plain(cls, metric: Metric) -> Measures:
        """The measures of one objective without constraints."""
        return cls((metric,), (Objective(metric),), (), (_Part((0,), None),), ())

    @property
    def is_plain(self) -> bool:
        """Whether the only metric is the only objective."""
        return len(self.metrics) == 1 and len(self._parts) == 1 and self._parts[0].formula is None

    @property
    def names(self) -> list[str]:
        """Names of the store's value columns."""
        return [f"value_{metric.name}" for metric in self.metrics]

    def losses(self, values: Floats) -> Floats:
        """Losses of measured values.

        Args:
            values: Natural values, shape (…, num_metrics).

        Returns:
            Losses in the order of the objectives, shape (…, num_objectives).
        """
        pairs = zip(self.objectives, self._parts, strict=True)
        return np.stack([objective.loss(part.natural(values)) for objective, part in pairs], axis=-1)

    def is_feasible(self, values: Floats) -> Bools:
        """Whether measured values, shape (…, num_metrics), meet every constraint; shape (…)."""
        met = np.ones(values.shape[:-1], dtype=np.bool_)
        for constraint, place in zip(self.constraints, self._constrained, strict=True):
            met &= constraint.is_met(values[..., place])
        return met

    def natural(self, values: Floats, position: int) -> Floats:
        """Natural values of one objective, shape (…), of measured values, shape (…, num_metrics)."""
        return self._parts[position].natural(values)


class _Reader:
    """Finds metrics of a task by name, as columns of its search metric's replicates and fidelities."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.columns = task.table.datasets[task.dataset].columns
        self.search = task.table.metrics(task.dataset, "search")
        own = {name: exact_means(column).values for name, column in self.columns.items() if column.metric.free}
        self.free = FreeMetrics(own, task.space, self.columns)
        self.metrics: dict[str, Metric] = {}

    def metric(self, name: str) -> Metric:
        """A metric that may be an objective or be bounded.

        Raises:
            UnknownNameError: The task has no such metric.
            InvalidInputError: It has it, but strategies must not see it.
        """
        if name in self.columns and name not in self.free and self.columns[name].metric.role != "search":
            role = self.columns[name].metric.role
            why = "test never selects" if role == "test" else "only search metrics and free metrics can be"
            raise InvalidInputError(
                f"task {self.task.name}: {name} has the role {role} and is neither objective nor constraint: {why}"
            )
        known = [*(column.metric.name for column in self.search), *self.free]
        if name not in known:
            raise UnknownNameError("metric", name, known, f"task {self.task.name}")
        if name in self.columns:
            return self.columns[name].metric
        return Metric(name, "score", "maximize", "proxy", free=True)

    def place(self, name: str) -> int:
        """Place of a metric among those that are measured, which it joins."""
        self.metrics.setdefault(name, self.metric(name))
        return list(self.metrics).index(name)

    def values(self, name: str) -> Floats:
        """Values of a metric, shape (num_architectures, num_replicates, num_fidelities).

        A free metric is read as its mean over replicates, as ``lookup`` gives it, wherever the search metric exists.
        """
        if name not in self.free:
            return np.asarray(self.columns[name].values, dtype=np.float64)
        reference = self.search[0].values
        if self.task.trained is not None:  # nothing is known to be missing
            return np.broadcast_to(self.free[name][:, None, None], reference.shape)
        return np.where(np.isnan(reference), np.nan, self.free[name][:, None, None])


def measures_of(task: Task, protocol: Protocol) -> tuple[Measures, list[MetricArray]]:
    """What evaluations of a task measure under a protocol, and a column of values for each metric.

    Raises:
        InvalidInputError: An objective or a constraint does not fit the task, or no row meets the constraints.
        UnknownNameError: The task has no such metric.
    """
    reader = _Reader(task)
    texts = protocol.objectives or (reader.search[0].metric.name,)
    objectives: list[Objective] = []
    parts: list[_Part] = []
    for text in texts:
        name, metrics, parameters = read_objective(text)
        places = tuple(map(reader.place, metrics or (name,)))
        if metrics:
            known = [list(reader.metrics.values())[place] for place in places]
            metric, formula = derived_objective(name, known, parameters)
            objectives.append(Objective(metric))
            parts.append(_Part(places, formula))
        else:
            objectives.append(Objective(reader.metric(name)))
            parts.append(_Part(places, None))
    if len({objective.metric.name for objective in objectives}) < len(objectives):
        raise InvalidInputError(f"objectives {', '.join(texts)}: two have the same name in the store; use one of them")
    if len(objectives) > 2 and find_spec("moocore") is None:
        raise InvalidInputError("three and more objectives need moocore: pip install moocore")
    written = [read_constraint(text) for text in protocol.constraints]
    if task.trained is not None:
        _check_trained(reader, parts, [constraint.metric for constraint in written])
    constrained_places = tuple(reader.place(constraint.metric) for constraint in written)
    constraints = tuple(_resolved(reader, constraint) for constraint in written)
    columns = [MetricArray(metric, reader.values(name)) for name, metric in reader.metrics.items()]
    shapes = {column.values.shape for column in columns}
    if len(shapes) > 1:
        raise InvalidInputError(
            f"task {task.name}: {', '.join(reader.metrics)} differ in replicates or fidelities and cannot be measured "
            "in one evaluation"
        )
    found = Measures(tuple(reader.metrics.values()), tuple(objectives), constraints, tuple(parts), constrained_places)
    certain = columns
    if task.trained is not None:
        certain = [_zeros(column) if column.metric.role == "search" else column for column in columns]
    if constraints and not _feasible_rows(found, certain).any():
        shown = " and ".join(protocol.constraints)
        raise InvalidInputError(f"constraints {shown}: no architecture of task {task.name} meets all of them")
    return found, columns


def _check_trained(reader: _Reader, parts: Sequence[_Part], constrained: Sequence[str]) -> None:
    """Refuse what a task that trains cannot know: its front, and which architectures meet a bound on accuracy.

    Raises:
        InvalidInputError: There are several objectives, the one is free, or a constraint bounds a search metric.
    """
    task, search = reader.task.name, reader.search[0].metric.name
    place = list(reader.metrics).index(search) if search in reader.metrics else -1
    if len(parts) > 1 or place not in parts[0].places:
        raise InvalidInputError(
            f"task {task} trains on demand and takes one objective, {search} or a function of it: "
            "several objectives need a table"
        )
    if search in constrained:
        raise InvalidInputError(f"task {task} trains what is asked for: constraints bound free metrics, not {search}")


def _zeros(column: MetricArray) -> MetricArray:
    return MetricArray(column.metric, np.zeros_like(column.values))


def scores_of(task: Task, measures: Measures, columns: Sequence[MetricArray]) -> Scores:
    """What runs are scored by under these measures.

    The noiseless objective, and the test metric of the task if the objective is its first search metric. With several
    objectives it is the hypervolume of the set that a run returns.
    """
    feasible = _feasible_rows(measures, columns) if measures.constraints else None
    if len(measures.objectives) > 1:
        return {VAL: set_score_view()}
    first = task.table.metrics(task.dataset, "search")[0].metric
    views = {VAL: objective_views(measures, columns)[0]}
    if measures.objectives[0].metric == first:
        views |= {name: view for name, view in task.scores.items() if name == TEST}
    if feasible is None:
        return views
    return {name: constrained(view, feasible) for name, view in views.items()}


def objective_views(measures: Measures, columns: Sequence[MetricArray]) -> list[ScoreView]:
    """Noiseless values of each objective at the highest fidelity that has any."""
    values = _scored_values(columns)
    return [
        score_view(MetricArray(objective.metric, measures.natural(values, position)[:, :, None]))
        for position, objective in enumerate(measures.objectives)
    ]


def noiseless_losses(measures: Measures, columns: Sequence[MetricArray]) -> Floats:
    """Noiseless losses, shape (num_architectures, num_objectives); +inf if a row has no value or is infeasible."""
    views = objective_views(measures, columns)
    exists = np.all([view.exists for view in views], axis=0)
    if measures.constraints:
        exists = exists & _feasible_rows(measures, columns)
    # Grid values times resolution: equal means are equal numbers.
    losses = [
        objective.loss(view.grid_values * view.resolution)
        for objective, view in zip(measures.objectives, views, strict=True)
    ]
    return np.where(exists[:, None], np.stack(losses, axis=1), np.inf)


def _scored_values(columns: Sequence[MetricArray]) -> Floats:
    """Measured values at the highest fidelity, shape (num_architectures, num_replicates, num_metrics)."""
    return np.stack([column.values[:, :, scored_fidelity(column)] for column in columns], axis=-1)


def _feasible_rows(measures: Measures, columns: Sequence[MetricArray]) -> Bools:
    """Rows whose noiseless values meet every constraint, shape (num_architectures,)."""
    means = [_bounded_values(column) for column in columns]
    exists = np.all([~np.isnan(mean) for mean in means], axis=0)
    values = np.stack([np.where(exists, mean, np.nan) for mean in means], axis=-1)
    rows: Bools = measures.is_feasible(values) & exists
    return rows


def _bounded_values(column: MetricArray) -> Floats:
    """Noiseless values that bounds apply to, shape (num_architectures,); NaN if there is none.

    Those of a free metric are the same in every replicate. They are read as they are: a mean of equal numbers may
    differ from them in the last bit, and the row at a quantile would not meet its own bound.
    """
    place = scored_fidelity(column)
    if column.metric.free:
        same: Floats = np.fmax.reduce(column.values[:, :, place], axis=1)
        return same
    means = exact_means(column, place)
    return np.where(means.exists, means.values, np.nan)


def _resolved(reader: _Reader, constraint: WrittenConstraint) -> Constraint:
    """A constraint whose bound is a number.

    Raises:
        InvalidInputError: No row meets it.
    """
    metric = reader.metric(constraint.metric)
    column = MetricArray(metric, reader.values(constraint.metric))
    values = _bounded_values(column)
    values = values[~np.isnan(values)]
    bound = constraint.bound
    if constraint.is_quantile:
        bound = float(np.quantile(values, bound / 100, method="inverted_cdf"))
    found = Constraint(metric, bound, constraint.is_upper)
    if not found.is_met(values).any():
        raise InvalidInputError(
            f"constraint {written_constraint(constraint)}: no architecture of task {reader.task.name} meets it; its "
            f"values are in {values.min():.6g} … {values.max():.6g} {metric.unit}"
        )
    return found
