"""From stored runs to every number that a report prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import StoreError, UnknownNameError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.report.comparison import MIN_RUNS, Comparison, compare_column, over_the_study
from nasbench_harness.report.curves import Curve, curves
from nasbench_harness.report.runs import Runs
from nasbench_harness.statistics import (
    ExactCurve,
    Interval,
    Proportion,
    Resamples,
    exact_random_search,
    iqm_interval,
    mean_ranks,
    proportion,
    resamples,
)
from nasbench_harness.store.record import Quoted, ReportOptions

NUM_TIMES = 100  # points of a curve over simulated seconds
_BOOTSTRAP = 0x626F6F74  # "boot": keeps the bootstrap's stream apart from every other use of the study seed

Counts = Callable[[int], Ints | Resamples]


@dataclass(frozen=True)
class Spending:
    """What a run spent, averaged over runs.

    Attributes:
        evaluations: Counted evaluations.
        simulated_h: Simulated hours; NaN where the task has no cost.
        repeats_by_index: Proposals that repeat an architecture of the run.
        repeats_by_class: Proposals that repeat an isomorphism class of the run.
        overrun: Evaluations that would have finished after the budget.
        rejected: Forbidden proposals.
        lookups: Values of free metrics that were read.
    """

    evaluations: float
    simulated_h: float
    repeats_by_index: float
    repeats_by_class: float
    overrun: float
    rejected: float
    lookups: float


@dataclass(frozen=True)
class StrategyResult:
    """One strategy on one task; arrays have the shape (num_runs,).

    Attributes:
        label: The strategy.
        seeds: Seed of each run; the order of runs is canonical and does not depend on it.
        regret: Final regret in the metric's unit; the loss, such as 100 − accuracy, where the optimum is unknown.
        value: Noiseless value of the final choice, natural units.
        test_value: Test value of the same choice; None where the table has no test.
        test_regret: Distance to the best test value, or the loss; None where the table has no test.
        iqm: Interquartile mean of the final regret with its interval; None below 10 seeds.
        test_iqm: The same of the regret by test; None also where the table has no test.
        share_optimal: Share of runs that end at the optimum.
        after_evaluations: Regret after 1 … num_steps evaluations.
        at_seconds: Regret at the task's ``times_s``; None where it has no cost.
        spending: What the runs spent.
        chooses_itself: Whether the strategy named its own choice.
    """

    label: str
    seeds: Ints
    regret: Floats
    value: Floats
    test_value: Floats | None
    test_regret: Floats | None
    iqm: Interval | None
    test_iqm: Interval | None
    share_optimal: Proportion
    after_evaluations: Curve
    at_seconds: Curve | None
    spending: Spending
    chooses_itself: bool


@dataclass(frozen=True)
class TaskAnalysis:
    """One task's results.

    Attributes:
        task: The task.
        results: Of the strategies that ran on it, in the order of the study.
        comparison: They compared by the search metric.
        test_comparison: The same by the test metric of the same choices; None where the table has no test.
        random_search: Random search with replacement in closed form: regret after every evaluation; None where the
            table lacks rows or the optimum is unknown.
        random_search_test: The same for test regret; None where the table has no test or lacks rows.
        times_s: Simulated seconds of the curves over time, log-spaced; None where the task has no cost.
        sampling: Mean and standard deviation over the table's architectures, natural units; None where the optimum is
            unknown.
        test_sampling: The same of the test metric; None also where the table has no test.
    """

    task: TaskView
    results: tuple[StrategyResult, ...]
    comparison: Comparison
    test_comparison: Comparison | None
    random_search: ExactCurve | None
    random_search_test: ExactCurve | None
    times_s: Floats | None
    sampling: tuple[float, float] | None
    test_sampling: tuple[float, float] | None

    def result(self, label: str) -> StrategyResult | None:
        """One strategy's result; None where it did not run on this task."""
        return next((result for result in self.results if result.label == label), None)


@dataclass(frozen=True)
class Analysis:
    """A study's results.

    Attributes:
        labels: Strategies.
        tasks: Per task.
        mean_ranks: Rank of the estimand's score, averaged over tasks; 1 is best; shape (num_strategies,); NaN for a
            strategy that did not run on every task.
        num_seeds: Runs of each strategy on each task.
        num_resamples: Of the bootstrap.
        replayed: Strategies that ran elsewhere and were replayed.
        options: How the report is laid out.
        quoted: Rows from papers.
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


def analyze(
    labels: Sequence[str],
    tasks: Sequence[TaskView],
    read: Callable[[int, TaskView], Runs | None],
    protocol: Protocol,
    study_seed: int,
    num_seeds: int,
    num_resamples: int,
    replayed: Sequence[str] = (),
    options: ReportOptions | None = None,
    quoted: Sequence[Quoted] = (),
) -> Analysis:
    """Analyze a study.

    Args:
        labels: Strategies.
        tasks: Tasks.
        read: Gives the runs of the strategy at a position in ``labels`` on a task; None where it did not run there.
        protocol: The study's protocol.
        study_seed: Seeds the bootstrap.
        num_seeds: Runs of each strategy on each task.
        num_resamples: Of the bootstrap.
        replayed: Labels of strategies that ran elsewhere.
        options: How the report is laid out.
        quoted: Rows from papers.

    Raises:
        UnknownNameError: The declared control is not in the study.
    """
    options = options or ReportOptions()
    if options.control is not None and options.control not in labels:
        raise UnknownNameError("label", options.control, labels, "report.control")
    position_of = {label: position for position, label in enumerate(labels)}
    labels = options.ordered(labels)

    def counts_of(task: str, label: str) -> Counts:
        seed = np.random.SeedSequence([study_seed, _BOOTSTRAP, _key(task), _key(label)])
        return lambda num_runs: resamples(num_runs, num_resamples, seed)

    analyses = []
    for task in tasks:
        found = ((label, read(position_of[label], task)) for label in labels)
        runs = {label: entry.in_canonical_order() for label, entry in found if entry is not None}
        analyses.append(_analyze_task(task, runs, counts_of, protocol, options))
        del runs  # before the next task's are read
    analyses = _with_study_families(analyses, options.control)
    return Analysis(
        tuple(labels),
        tuple(analyses),
        _mean_ranks(labels, analyses),
        protocol,
        study_seed,
        num_seeds,
        num_resamples,
        tuple(replayed),
        options,
        tuple(quoted),
    )


def _mean_ranks(labels: Sequence[str], tasks: Sequence[TaskAnalysis]) -> Floats:
    """Mean ranks among the strategies that ran on every task, NaN for the others."""
    everywhere = [label for label in labels if all(entry.result(label) for entry in tasks)]
    ranks = np.full(len(labels), np.nan)
    if everywhere:
        scores = [[entry.comparison.scores[label] for label in everywhere] for entry in tasks]
        ranks[[labels.index(label) for label in everywhere]] = mean_ranks(np.transpose(scores))
    return ranks


def _with_study_families(tasks: Sequence[TaskAnalysis], control: str | None) -> list[TaskAnalysis]:
    """The tasks with p-values that hold over the whole study: one family by the search metric, one by test."""
    by_search = over_the_study([entry.comparison for entry in tasks], control)
    tested = [entry.test_comparison for entry in tasks if entry.test_comparison is not None]
    by_test = iter(over_the_study(tested, control))
    return [
        replace(entry, comparison=found, test_comparison=None if entry.test_comparison is None else next(by_test))
        for entry, found in zip(tasks, by_search, strict=True)
    ]


def _key(name: str) -> int:
    """A name as an entropy word of a seed."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def _analyze_task(
    task: TaskView,
    runs: dict[str, Runs],
    counts_of: Callable[[str, str], Counts],
    protocol: Protocol,
    options: ReportOptions,
) -> TaskAnalysis:
    val, test = task.scores["val"], task.scores.get("test")
    for entry in runs.values():
        task.oracle.prepare(np.unique(entry.row_picks[entry.row_picks >= 0]))
    final = {label: val.regret_codes(entry.final) for label, entry in runs.items()}
    num_steps = int(max(entry.num_evaluations.max() for entry in runs.values()))
    times_s = _times(task, protocol)
    results = []
    for label, entry in runs.items():
        counts = counts_of(task.name, label)
        regret = final[label] * val.step
        tested = None if test is None else _test(task, test, entry.final)
        drawn = counts(len(regret)) if len(regret) >= MIN_RUNS else None
        after_evaluations, at_seconds = _curves(task, entry, num_steps, times_s, drawn)
        results.append(
            StrategyResult(
                label=label,
                seeds=entry.seeds,
                regret=regret,
                value=val.values[entry.final],
                test_value=None if tested is None else tested[0],
                test_regret=None if tested is None else tested[1],
                iqm=None if drawn is None else iqm_interval(regret, drawn),
                test_iqm=None if drawn is None or tested is None else iqm_interval(tested[1], drawn),
                share_optimal=proportion(int((final[label] == 0).sum()), len(regret)),
                after_evaluations=after_evaluations,
                at_seconds=at_seconds,
                spending=_spending(entry),
                chooses_itself=entry.chooses_itself,
            )
        )
    return TaskAnalysis(
        task=task,
        results=tuple(results),
        comparison=_compare(val, final, options),
        test_comparison=None
        if test is None
        else _compare(test, {label: test.regret_codes(entry.final) for label, entry in runs.items()}, options),
        random_search=_exact(task, protocol, num_steps, val),
        random_search_test=None if test is None else _exact(task, protocol, num_steps, test),
        times_s=times_s,
        sampling=_mean_and_std(val),
        test_sampling=None if test is None else _mean_and_std(test),
    )


def _times(task: TaskView, protocol: Protocol) -> Floats | None:
    """Times from one typical training to the budget, the same whatever is compared."""
    if not task.has_cost:
        return None
    ends = [] if protocol.evaluations is None else [protocol.evaluations * task.typical_cost_s / protocol.workers]
    ends += [] if protocol.simulated_seconds is None else [protocol.simulated_seconds]
    return np.geomspace(min(task.typical_cost_s, *ends), min(ends), NUM_TIMES)


def _test(task: TaskView, test: ScoreView, picks: Ints) -> tuple[Floats, Floats]:
    """Test value and regret by test of what was chosen without looking at either."""
    lacking = int((~test.exists[picks]).sum())
    if lacking:
        raise StoreError(
            f"task {task.name}: {lacking} of {len(picks)} final choices have no {test.metric.name} in the table, and "
            "nothing else may stand in for it: complete the table, or import it without that metric"
        )
    return test.values[picks], test.regret(picks)


def _curves(
    task: TaskView, runs: Runs, num_steps: int, times_s: Floats | None, counts: Ints | Resamples | None
) -> tuple[Curve, Curve | None]:
    """Regret over evaluations and, if there is a clock, over simulated seconds."""
    picks, moments = [runs.after_evaluations(num_steps)], [np.arange(1, num_steps + 1)]
    if times_s is None:
        return curves(task, picks, moments, counts)[0], None
    after, at_seconds = curves(task, [*picks, runs.at_seconds(times_s)], [*moments, times_s], counts)
    return after, at_seconds


def _spending(runs: Runs) -> Spending:
    repeats = runs.repeats.mean(axis=0)
    return Spending(
        evaluations=float(runs.num_evaluations.mean()),
        simulated_h=float(runs.simulated_s.mean()) / 3600,
        repeats_by_index=float(repeats[0]),
        repeats_by_class=float(repeats[1]),
        overrun=float(runs.num_overrun.mean()),
        rejected=float(runs.num_rejected.mean()),
        lookups=float(runs.num_lookups.mean()),
    )


def _compare(view: ScoreView, codes: dict[str, Ints], options: ReportOptions) -> Comparison:
    margin = options.margin if view.metric.unit == "%" else None
    return compare_column(codes, view.step, options.estimand, margin)


def _mean_and_std(view: ScoreView) -> tuple[float, float] | None:
    if not view.has_optimum:
        return None
    values = view.values[view.exists]
    return float(values.mean()), float(values.std())


def _exact(task: TaskView, protocol: Protocol, num_steps: int, scored: ScoreView) -> ExactCurve | None:
    """Regret of random search with replacement under the protocol's noise; None where the table lacks rows.

    None with several workers, too: quick trainings finish first, so that the order of results is no random order.
    """
    if not scored.has_optimum or protocol.workers > 1:
        return None
    regrets = scored.regret(np.arange(task.space.num_architectures))
    losses = task.objectives[0].loss(np.asarray(task.search.values[:, :, 0]))
    if np.isnan(losses).all(axis=1).any() or not scored.exists.all():
        return None
    if protocol.replicate is not None:
        return exact_random_search(losses[:, [protocol.replicate]], num_steps, "mean", regrets)
    if protocol.noise == "mean":  # by grid codes: means that are equal must tie
        codes = exact_means(task.search).codes.astype(np.float64)
        signed = codes if task.search.metric.direction == "minimize" else -codes
        return exact_random_search(signed[:, None], num_steps, "mean", regrets)
    return exact_random_search(losses, num_steps, "per_run" if protocol.noise == "per_run" else "per_query", regrets)
