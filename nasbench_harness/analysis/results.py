"""Numbers of a study, for the tables, figures and sentences of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nasbench_harness.analysis.anytime import AnytimeMeasures
from nasbench_harness.analysis.comparison import Comparison
from nasbench_harness.analysis.curves import Curve
from nasbench_harness.analysis.fronts import ReturnedSets
from nasbench_harness.analysis.supernets import SupernetRun
from nasbench_harness.analysis.unscored import Unscored
from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.statistics import ExactCurve, Interval, Proportion
from nasbench_harness.store.record import Quoted, ReportOptions, TuningRule

Axis = Literal["evaluations", "seconds", "epochs"]


@dataclass(frozen=True)
class Spending:
    """Means over the runs of a strategy on a task.

    Attributes:
        evaluations: Counted evaluations.
        simulated_h: Simulated hours; NaN if the task has no cost.
        repeats_by_index: Proposals that repeat an architecture of the run.
        repeats_by_class: Proposals that repeat an isomorphism class of the run.
        overrun: Evaluations that would have finished after the budget.
        rejected: Forbidden proposals.
        lookups: Values of free metrics that were read.
        source_evaluations: Evaluations of sources that were read.
        source_h: Their training time in hours; NaN if the sources have no cost.
    """

    evaluations: float
    simulated_h: float
    repeats_by_index: float
    repeats_by_class: float
    overrun: float
    rejected: float
    lookups: float
    source_evaluations: float
    source_h: float


@dataclass(frozen=True)
class ScoredRuns:
    """The final choices of a strategy's runs by one score; arrays have the shape (num_runs,).

    Attributes:
        grid_values: Distance to the best value as integers on the score's grid.
        regret: Distance to the best value in the score's unit; the loss, such as 100 − accuracy, if the optimum is
            unknown.
        value: Noiseless value in natural units.
        iqm: Interquartile mean of the regret with its interval; None below 10 seeds.
    """

    grid_values: Ints
    regret: Floats
    value: Floats
    iqm: Interval | None


@dataclass(frozen=True)
class StrategyResult:
    """One strategy on one task.

    Attributes:
        label: The strategy.
        seeds: Seed of each run, shape (num_runs,); the order of runs is canonical and does not depend on it.
        scores: Final choices by each score of the task; ``val`` is the search metric.
        share_optimal: Share of runs that end at the optimum by the search metric.
        after_evaluations: Regret after 1 … num_steps evaluations.
        at_seconds: Regret at the task's ``times_s``; None if the task has no cost.
        at_epochs: Regret at the task's ``epochs``; None if the task has none.
        measures: Measures of whole runs over each of the task's ``axes``.
        spending: Costs of the runs.
        chooses_itself: Whether the strategy named its own choice.
        sets: The sets that runs return under several objectives; None if they return architectures.
        num_infeasible: Runs without a feasible choice, scored as the worst feasible row; None without constraints.
    """

    label: str
    seeds: Ints
    scores: Mapping[str, ScoredRuns]
    share_optimal: Proportion
    after_evaluations: Curve
    at_seconds: Curve | None
    measures: Mapping[Axis, AnytimeMeasures]
    spending: Spending
    chooses_itself: bool
    sets: ReturnedSets | None = None
    num_infeasible: int | None = None
    at_epochs: Curve | None = None

    @property
    def val(self) -> ScoredRuns:
        """Final choices by the search metric."""
        return self.scores["val"]

    def over(self, axis: Axis) -> Curve | None:
        """The curve at the positions of the task's ``moments``; None if the task has no such axis."""
        by_epochs = self.after_evaluations if self.at_epochs is None else self.at_epochs
        return {"evaluations": self.after_evaluations, "seconds": self.at_seconds, "epochs": by_epochs}[axis]


@dataclass(frozen=True)
class ScoreAnalysis:
    """One score of a task: a metric by which the final choices of all strategies are compared.

    Attributes:
        name: ``val`` for the search metric, ``test`` for the test metric.
        view: Values of the metric, its grid and its optimum.
        comparison: The strategies compared by this score.
        random_search: Random search with replacement in closed form: regret after every evaluation up to the budget,
            which may lie beyond the curves. None if the table does not have rows or the optimum is unknown.
        sampling: Mean and standard deviation over the table's architectures, natural units; None if the optimum is
            unknown.
    """

    name: str
    view: ScoreView
    comparison: Comparison
    random_search: ExactCurve | None
    sampling: tuple[float, float] | None


@dataclass(frozen=True)
class TaskAnalysis:
    """One task's results.

    Attributes:
        task: The task.
        results: Strategies that ran on it, in the order of the study.
        scores: Scores of the task; the first one is the search metric.
        times_s: Simulated seconds of the curves over time, log-spaced; None if the task has no cost.
        epochs: Epochs of the curves over trained epochs, log-spaced; None if strategies do not choose the fidelity.
        curve_score: Name of the score that curves show.
        unscored: Strategies that ran on it and are not scored.
    """

    task: TaskView
    results: tuple[StrategyResult, ...]
    scores: tuple[ScoreAnalysis, ...]
    times_s: Floats | None
    epochs: Ints | None = None
    curve_score: str = "val"
    unscored: tuple[Unscored, ...] = ()

    @property
    def val(self) -> ScoreAnalysis:
        """The search metric."""
        return self.scores[0]

    @property
    def comparison(self) -> Comparison:
        """The strategies compared by the search metric."""
        return self.val.comparison

    @property
    def shown(self) -> ScoreAnalysis:
        """The score that curves show."""
        return next(score for score in self.scores if score.name == self.curve_score)

    @property
    def axes(self) -> list[Axis]:
        """Axes of the report's curves: epochs are left out if every training has as many, or if rows do not say."""
        found: list[Axis] = ["evaluations"]
        found += [] if self.times_s is None else ["seconds"]
        return found + ([] if self.epochs is None else ["epochs"])

    def moments(self, axis: Axis) -> Floats | Ints | None:
        """Positions of the curves' steps on an axis, shape (num_steps,); None if the task has no such axis."""
        if axis == "seconds":
            return self.times_s
        if axis == "epochs" and self.epochs is not None:
            return self.epochs
        steps = np.arange(1, len(self.results[0].after_evaluations.mean) + 1)
        if axis == "evaluations":
            return steps
        return steps * self.task.fidelities[0] if len(self.task.fidelities) == 1 else None

    def without_task(self) -> TaskAnalysis:
        """The numbers alone, which can be sent to another process."""
        nothing: Any = None
        scores = tuple(replace(score, view=nothing) for score in self.scores)
        return replace(self, task=nothing, scores=scores)

    def with_task(self, task: TaskView) -> TaskAnalysis:
        """The numbers that were sent, with the task and its values."""
        scores = tuple(replace(score, view=task.scores[score.name]) for score in self.scores)
        return replace(self, task=task, scores=scores)

    def score(self, name: str) -> ScoreAnalysis | None:
        """One score; None if the task does not have it."""
        return next((score for score in self.scores if score.name == name), None)

    def result(self, label: str) -> StrategyResult | None:
        """One strategy's result; None if it did not run on this task."""
        return next((result for result in self.results if result.label == label), None)


@dataclass(frozen=True)
class Summary:
    """One strategy over all tasks.

    Attributes:
        label: The strategy.
        normalized: Interquartile mean over tasks and runs of the normalized regret, with its interval; None if it is
            undefined on a task.
        rank: Mean rank and the ends of its interval; NaN if the strategy did not run on every task, and no interval
            below 10 seeds or under the estimand ``stochastic``.
        first: Share of resamples in which the strategy has the best mean rank; NaN without an interval.
        wins: Comparisons with another strategy on a task that are won by more than the margin.
        ties: Comparisons within the margin.
        losses: Comparisons that are lost by more than the margin.
    """

    label: str
    normalized: Interval | None
    rank: tuple[float, float, float]
    first: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Equivalent:
    """Evaluations of random search that give the same expected regret.

    A number is infinity if none is enough, and 0 if a single random evaluation has a smaller regret.

    Attributes:
        estimate: Number for the mean regret.
        low: Number for the upper end of the mean's 95 % interval; if all runs are at the optimum, number that misses
            it as rarely as the upper end of the 95 % interval of the share of other runs.
        high: Number for the lower end.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Analysis:
    """A study's results.

    Attributes:
        labels: Strategies.
        tasks: Results of each task on which a strategy is scored.
        mean_ranks: Rank of the estimand's score, averaged over tasks; 1 is best; shape (num_strategies,); NaN for a
            strategy that did not run on every task.
        protocol: Rules of the study.
        study_seed: Seed of the study.
        num_seeds: Runs of each strategy on each task.
        num_resamples: Resamples of the bootstrap.
        replayed: Strategies that ran elsewhere and were replayed.
        options: Layout of the report.
        quoted: Rows from papers.
        summaries: Each strategy over all tasks; empty for a single task.
        supernets: Runs that shared weights.
        styles: Number of each label's style.
        tuning: Equal tuning of the strategies; None if the study does not demand it.
        unscored: Strategies that are not scored on a task, by task.
    """

    labels: tuple[str, ...]
    tasks: tuple[TaskAnalysis, ...]
    mean_ranks: Floats
    protocol: Protocol
    study_seed: int
    num_seeds: int
    num_resamples: int
    replayed: tuple[str, ...] = ()
    options: ReportOptions = field(default_factory=ReportOptions)
    quoted: tuple[Quoted, ...] = ()
    summaries: tuple[Summary, ...] = ()
    supernets: tuple[SupernetRun, ...] = ()
    styles: Mapping[str, int] = field(default_factory=dict)
    tuning: TuningRule | None = None
    unscored: tuple[Unscored, ...] = ()

    @property
    def tasks_with_curves(self) -> list[TaskAnalysis]:
        """Tasks whose curves show the score that the options ask for."""
        wanted = "test" if "test" in self.options.curves else "val"
        return [entry for entry in self.tasks if entry.curve_score == wanted]

    def comparisons(self, name: str) -> list[Comparison]:
        """Comparisons by one score, of the tasks that have it."""
        found = [entry.score(name) for entry in self.tasks]
        return [score.comparison for score in found if score is not None]
