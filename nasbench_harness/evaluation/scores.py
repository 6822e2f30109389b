"""Noiseless values of a metric, by which runs are scored; strategies cannot reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.grid import exact_means, refuse_coarse
from nasbench_harness.tables.table import Metric, MetricArray

VAL, TEST = "val", "test"


@dataclass(frozen=True)
class ScoreView:
    """Noiseless values of one metric, for scoring only.

    Attributes:
        metric: The metric.
        values: Mean over replicates in natural units, shape (num_architectures,).
        grid_values: The same as integers on a grid of ``resolution``, larger is better for metrics to be maximized.
        resolution: Size of one grid step in the metric's unit.
        exists: Whether the table has a value at all, shape (num_architectures,).
        perfect: Grid value of a perfect value, used as the optimum if the optimum is unknown; None if it is known.
        is_feasible: Whether an architecture meets the constraints, shape (num_architectures,); None if there are none.
            Infeasible ones have the values of the worst feasible one.
        is_of_sets: Whether a run returns a set of architectures. What stands for an architecture everywhere else is
            then the set's loss of hypervolume in steps (see ``set_score_view``).
    """

    metric: Metric
    values: Floats
    grid_values: Ints
    resolution: float
    exists: Bools
    perfect: int | None = None
    is_feasible: Bools | None = None
    is_of_sets: bool = False

    @property
    def has_optimum(self) -> bool:
        """Whether the best architecture is known."""
        return self.perfect is None

    @property
    def distance(self) -> str:
        """Name of ``regret``: a loss, such as 100 − accuracy, if the optimum is unknown."""
        return "regret" if self.has_optimum else "loss"

    @property
    def best_value(self) -> float:
        """Value with regret 0."""
        return float(self.values[self.optimum]) if self.perfect is None else self.perfect * self.resolution

    @property
    def optimum(self) -> int:
        """The best architecture, the first of equals."""
        goodness = self.grid_values if self.metric.direction == "maximize" else -self.grid_values
        counts = self.exists if self.is_feasible is None else self.exists & self.is_feasible
        return int(np.where(counts, goodness, goodness.min() - 1).argmax())

    def grid_regrets(self, architectures: Ints) -> Ints:
        """Grid steps between the optimum and each architecture, 0 at the optimum; shape of ``architectures``."""
        best = self.grid_values[self.optimum] if self.perfect is None else self.perfect
        distance: Ints = np.abs(best - self.grid_values)
        return distance[architectures]

    def regret(self, architectures: Ints) -> Floats:
        """``grid_regrets`` in the metric's unit; the loss if the optimum is unknown."""
        return self.grid_regrets(architectures) * self.resolution


# By name: ``val`` is the search metric, ``test`` the first test metric of a table that has any.
Scores: TypeAlias = Mapping[str, ScoreView]


def noiseless_values(task: str, scores: Scores, architecture: int) -> dict[str, float]:
    """Noiseless value of one architecture in every score; NaN if the table has none.

    Raises:
        InvalidInputError: The architecture is outside the space; ``task`` is named in the message.
    """
    try:
        values = {name: view.values.item(architecture) for name, view in scores.items()}
    except (IndexError, TypeError):
        values = {}
    if not values or architecture < 0:
        size = len(scores[VAL].values)
        raise InvalidInputError(
            f"task {task}: an architecture is a whole number 0 … {size - 1:,}, not {architecture!r}"
        )
    return values


def constrained(view: ScoreView, is_feasible: Bools) -> ScoreView:
    """The same score if only some architectures count; the others have the values of the worst of these.

    Args:
        view: The score.
        is_feasible: Which architectures meet the constraints, shape (num_architectures,).
    """
    rows = np.flatnonzero(is_feasible & view.exists)
    grid_values = view.grid_values[rows]
    worst = rows[grid_values.argmin() if view.metric.direction == "maximize" else grid_values.argmax()]
    return replace(
        view,
        values=np.where(is_feasible, view.values, view.values[worst]),
        grid_values=np.where(is_feasible, view.grid_values, view.grid_values[worst]),
        exists=view.exists | ~is_feasible,
        is_feasible=is_feasible,
    )


NUM_SET_STEPS = 1_000_000  # of the loss of hypervolume: 0.0001 % each


@cache
def set_score_view() -> ScoreView:
    """Score of sets: their hypervolume in % of the true front's; position k is a loss of k steps."""
    resolution = 100 / NUM_SET_STEPS
    grid_values = np.arange(NUM_SET_STEPS, -1, -1)
    metric = Metric("hypervolume", "%", "maximize", "search")
    return ScoreView(
        metric,
        grid_values * resolution,
        grid_values,
        resolution,
        np.ones(len(grid_values), dtype=np.bool_),
        is_of_sets=True,
    )


def score_view(column: MetricArray) -> ScoreView:
    """Noiseless values of a column at the highest fidelity that has any.

    Raises:
        TableError: A value cannot be averaged, or is so large that the good architectures cannot be told apart.
    """
    means = exact_means(column, scored_fidelity(column))
    refuse_coarse(means, column.metric)
    return ScoreView(column.metric, means.values, means.grid_values, means.resolution, means.exists)


def scored_fidelity(column: MetricArray) -> int:
    """Position on the fidelity axis at which a column is scored: the highest that has any value."""
    has_any = ~np.isnan(column.values).all(axis=(0, 1))
    return int(np.flatnonzero(has_any)[-1]) if has_any.any() else 0
