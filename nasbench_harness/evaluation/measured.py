"""Objectives and constraints of tasks that train on demand: free metrics stand beside what each training measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.measures import Measures
from nasbench_harness.evaluation.oracle import Answers, Oracle
from nasbench_harness.evaluation.scores import VAL, Scores, ScoreView
from nasbench_harness.tables.table import MetricArray

_DIGITS = 9  # of the grid values of metrics on no grid


class MeasuredOracle(Oracle):
    """Answers with free metrics, too, and fills the scores of a measured objective as architectures are trained.

    The best value of an objective is a bound: the best one of any architecture if its accuracy was perfect or 0. An
    infeasible architecture has the worst such value, as no worst feasible one is known.

    Args:
        oracle: Trains on demand.
        scores: The task's own scores, which the oracle fills.
        searched: Values that it fills, shape (num_architectures, num_replicates, 1).
        measures: What evaluations measure: the searched metric and free metrics, with one objective.
        free: Values of the free metrics by name, shape (num_architectures,).

    Attributes:
        scores: Scores of the objective: ``val``, and ``test`` if the objective is the searched metric.
    """

    def __init__(
        self, oracle: Oracle, scores: Scores, searched: MetricArray, measures: Measures, free: Mapping[str, Floats]
    ) -> None:
        self._oracle, self._own, self._searched, self._measures, self._free = oracle, scores, searched, measures, free
        self.replicate_order = oracle.replicate_order
        perfect = scores[VAL].best_value
        ends = [self._objective(np.full((len(scores[VAL].values), 1), value))[:, 0] for value in (perfect, 0.0)]
        bounds = np.concatenate([values[np.isfinite(values)] for values in ends])
        is_maximized = measures.objectives[0].metric.direction == "maximize"
        best, worst = (bounds.max(), bounds.min()) if is_maximized else (bounds.min(), bounds.max())
        feasible = self._feasible() if measures.constraints else None
        kept = scores if measures.objectives[0].metric == searched.metric else {VAL: scores[VAL]}
        self.scores: Scores = {name: self._empty(view, best, worst, feasible) for name, view in kept.items()}

    @property
    def on_learned(self) -> Callable[[int], None] | None:
        """That of the oracle that trains."""
        return self._oracle.on_learned

    @on_learned.setter
    def on_learned(self, call: Callable[[int], None] | None) -> None:
        self._oracle.on_learned = call

    def evaluate(self, architectures: Ints, fidelities: Ints, replicates: Ints) -> Answers:
        """Answer n queries (see Oracle)."""
        answers = self._oracle.evaluate(architectures, fidelities, replicates)
        return answers._replace(values=self._measured(answers.values, architectures)[:, 0])

    def prepare(self, architectures: Ints) -> None:
        """Train what was not trained, shape (n,), and enter it in the scores."""
        self._oracle.prepare(architectures)
        for name, view in self.scores.items():
            rows = np.unique(architectures)
            rows = rows if view.is_feasible is None else rows[view.is_feasible[rows]]
            view.exists[rows] = True
            if self._measures.objectives[0].metric == self._searched.metric:
                view.values[rows], view.grid_values[rows] = (
                    self._own[name].values[rows],
                    self._own[name].grid_values[rows],
                )
            else:
                metric = self._measures.objectives[0].metric
                natural = self._objective(self._searched.values[rows, :, 0], rows)
                view.values[rows] = exact_means(MetricArray(metric, natural[:, :, None])).values
                view.grid_values[rows] = np.rint(view.values[rows] / view.resolution)

    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""
        return self._oracle.num_replicates(architectures)

    def forecast(self, num_queries: int | None) -> str:
        """Cost of so many new queries in words."""
        return self._oracle.forecast(num_queries)

    def _measured(self, searched: Floats, rows: Ints) -> Floats:
        """Values of every measured metric; ``searched`` has the shape (n, k), the result (n, k, num_metrics)."""
        columns = [
            searched
            if metric == self._searched.metric
            else np.broadcast_to(self._free[metric.name][rows, None], searched.shape)
            for metric in self._measures.metrics
        ]
        return np.stack(columns, axis=-1)

    def _objective(self, searched: Floats, rows: Ints | None = None) -> Floats:
        """Natural values of the objective if the searched metric has these values, shape (n, k)."""
        everyone = np.arange(len(searched)) if rows is None else rows
        return self._measures.natural(self._measured(searched, everyone), 0)

    def _feasible(self) -> Bools:
        size = self._searched.values.shape[0]
        return self._measures.is_feasible(self._measured(np.zeros((size, 1)), np.arange(size)))[:, 0]

    def _empty(self, own: ScoreView, best: float, worst: float, feasible: Bools | None) -> ScoreView:
        """A score whose rows are filled later; infeasible rows have the worst value."""
        metric, resolution = self._measures.objectives[0].metric, own.resolution
        if metric == self._searched.metric:
            metric, perfect = own.metric, own.perfect
        else:
            resolution = 10.0 ** (math.floor(math.log10(max(abs(best), abs(worst), 1e-9))) + 1 - _DIGITS)
            perfect = round(best / resolution)
        values = np.full(len(own.values), worst)
        grid_values = np.full(len(own.values), round(worst / resolution))
        exists = np.zeros(len(own.values), dtype=np.bool_) if feasible is None else ~feasible
        return replace(
            own,
            metric=metric,
            values=values,
            grid_values=grid_values,
            resolution=resolution,
            exists=exists,
            perfect=perfect,
            is_feasible=feasible,
        )
