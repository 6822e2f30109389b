"""From stored runs to every number that a report prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import StoreError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import ReportView, Task
from nasbench_harness.report.curves import Curve, curves
from nasbench_harness.report.runs import Runs
from nasbench_harness.statistics import (
    ExactCurve,
    Interval,
    Proportion,
    a12,
    adjust,
    all_pairs,
    count_matrix,
    exact_random_search,
    iqm_interval,
    mean_ranks,
    not_significantly_worse,
    proportion,
    signed_rank,
)
from nasbench_harness.store.record import Quoted, ReportOptions

ALPHA = 0.05
MIN_RUNS = 10  # below, intervals say nothing: none is shown
NUM_TIMES = 100  # points of a curve over simulated seconds
_BOOTSTRAP = 0x626F6F74  # "boot": keeps the bootstrap's stream apart from every other use of the study seed

Counts = Callable[[int], Ints]


@dataclass(frozen=True)
class Pair:
    """Two strategies on one task, paired by seed; A12 above ½ means the first has smaller regret more often."""

    first: str
    second: str
    p_value: float
    p_holm: float
    a12: float
    correlation: float


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
    """

    evaluations: float
    simulated_h: float
    repeats_by_index: float
    repeats_by_class: float
    overrun: float
    rejected: float


@dataclass(frozen=True)
class StrategyResult:
    """One strategy on one task; arrays have the shape (num_runs,).

    Attributes:
        label: The strategy.
        seeds: Seed of each run.
        regret: Final regret in the metric's unit; the loss, such as 100 − accuracy, where the optimum is unknown.
        value: Noiseless value of the final choice, natural units.
        test_value: Test value of the same choice; None where the table has no test.
        test_regret: Distance to the best test value, or the loss; None where the table has no test.
        iqm: Interquartile mean of the final regret with its interval; None below 10 seeds.
        share_optimal: Share of runs that end at the optimum.
        is_best: Smallest mean regret (ties included).
        is_not_worse: Not significantly worse than the best (all-pairs Holm).
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
    share_optimal: Proportion
    is_best: bool
    is_not_worse: bool
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
        pairs: Every pair of them.
        random_search: Random search with replacement in closed form: regret after every evaluation; None where the
            table lacks rows or the optimum is unknown.
        random_search_test: The same for test regret; None where the table has no test or lacks rows.
        times_s: Simulated seconds of the curves over time, log-spaced; None where the task has no cost.
        sampling: Mean and standard deviation over the table's architectures, natural units; None where the optimum is
            unknown.
        test_sampling: The same of the test metric; None also where the table has no test.
    """

    task: Task
    results: tuple[StrategyResult, ...]
    pairs: tuple[Pair, ...]
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
        mean_ranks: Rank of the mean regret, averaged over tasks; 1 is best; shape (num_strategies,); NaN for a
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
    tasks: Sequence[Task],
    read: Callable[[int, Task], Runs | None],
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
    """
    options = options or ReportOptions()
    position_of = {label: position for position, label in enumerate(labels)}
    labels = options.ordered(labels)

    @cache
    def counts(num_runs: int) -> Ints:
        return count_matrix(num_runs, num_resamples, np.random.SeedSequence([study_seed, _BOOTSTRAP]))

    analyses = []
    for task in tasks:
        found = {label: read(position_of[label], task) for label in labels}
        runs = {label: entry for label, entry in found.items() if entry is not None}
        analyses.append(_analyze_task(task, runs, counts, protocol))
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
        means = [[result.regret.mean() for result in entry.results if result.label in everywhere] for entry in tasks]
        ranks[[labels.index(label) for label in everywhere]] = mean_ranks(np.transpose(means))
    return ranks


def _analyze_task(task: Task, runs: dict[str, Runs], counts: Counts, protocol: Protocol) -> TaskAnalysis:
    for entry in runs.values():
        task.oracle.prepare(np.unique(entry.row_picks[entry.row_picks >= 0]))
    final = {label: task.report.regret_codes(entry.final) for label, entry in runs.items()}
    num_steps = int(max(entry.num_evaluations.max() for entry in runs.values()))
    times_s = _times(task, protocol)
    pairs, is_not_worse = _compare({label: (runs[label].seeds, codes) for label, codes in final.items()})
    means = {label: codes.mean() for label, codes in final.items()}
    results = []
    for label, entry in runs.items():
        regret = final[label] * task.report.step
        test = None if task.test is None else _test(task, task.test, entry.final)
        resamples = counts(len(regret)) if len(regret) >= MIN_RUNS else None
        after_evaluations, at_seconds = _curves(task, entry, num_steps, times_s, resamples)
        results.append(
            StrategyResult(
                label=label,
                seeds=entry.seeds,
                regret=regret,
                value=task.report.values[entry.final],
                test_value=None if test is None else test[0],
                test_regret=None if test is None else test[1],
                iqm=None if resamples is None else iqm_interval(regret, resamples),
                share_optimal=proportion(int((final[label] == 0).sum()), len(regret)),
                is_best=bool(means[label] == min(means.values())),
                is_not_worse=is_not_worse[label],
                after_evaluations=after_evaluations,
                at_seconds=at_seconds,
                spending=_spending(entry),
                chooses_itself=entry.chooses_itself,
            )
        )
    return TaskAnalysis(
        task=task,
        results=tuple(results),
        pairs=pairs,
        random_search=_exact(task, protocol, num_steps, task.report),
        random_search_test=None if task.test is None else _exact(task, protocol, num_steps, task.test),
        times_s=times_s,
        sampling=_mean_and_std(task.report),
        test_sampling=None if task.test is None else _mean_and_std(task.test),
    )


def _times(task: Task, protocol: Protocol) -> Floats | None:
    """Times from one typical training to the budget, the same whatever is compared."""
    if not task.has_cost:
        return None
    ends = [] if protocol.evaluations is None else [protocol.evaluations * task.typical_cost_s]
    ends += [] if protocol.simulated_seconds is None else [protocol.simulated_seconds]
    return np.geomspace(min(task.typical_cost_s, *ends), min(ends), NUM_TIMES)


def _test(task: Task, test: ReportView, picks: Ints) -> tuple[Floats, Floats]:
    """Test value and regret by test of what was chosen without looking at either."""
    lacking = int((~test.exists[picks]).sum())
    if lacking:
        raise StoreError(
            f"task {task.name}: {lacking} of {len(picks)} final choices have no {test.metric.name} in the table, and "
            "nothing else may stand in for it: complete the table, or import it without that metric"
        )
    return test.values[picks], test.regret(picks)


def _curves(
    task: Task, runs: Runs, num_steps: int, times_s: Floats | None, counts: Ints | None
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
    )


def _compare(final: dict[str, tuple[Ints, Ints]]) -> tuple[tuple[Pair, ...], dict[str, bool]]:
    """All pairs on one task, paired by common seeds, and who is not significantly worse than the best."""
    labels = list(final)
    adjusted = np.ones((len(labels), len(labels)))
    couples = list(combinations(range(len(labels)), 2))
    paired = [_common(final[labels[i]], final[labels[j]]) for i, j in couples]
    p_values = _p_values([codes for _, codes in final.values()], paired)
    p_holm = adjust(p_values) if couples else p_values
    pairs = []
    for (i, j), (first, second), p, holm in zip(couples, paired, p_values.tolist(), p_holm.tolist(), strict=True):
        adjusted[i, j] = adjusted[j, i] = holm
        larger = a12(final[labels[j]][1], final[labels[i]][1])
        pairs.append(Pair(labels[i], labels[j], p, holm, larger, _correlation(first, second)))
    means = np.array([codes.mean() for _, codes in final.values()])
    return tuple(pairs), dict(zip(labels, not_significantly_worse(means, adjusted, ALPHA).tolist(), strict=True))


def _common(first: tuple[Ints, Ints], second: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Grid codes of the runs whose seeds both have."""
    _, of_first, of_second = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
    return first[1][of_first], second[1][of_second]


def _p_values(codes: list[Ints], paired: list[tuple[Ints, Ints]]) -> Floats:
    if len(codes) > 1 and all(len(first) == len(codes[0]) for first, _ in paired) and len(set(map(len, codes))) == 1:
        return all_pairs(np.stack(codes)).p_value
    return np.array([float(signed_rank(first - second).p_value) if len(first) else 1.0 for first, second in paired])


def _correlation(first: Ints, second: Ints) -> float:
    if not len(first) or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _mean_and_std(view: ReportView) -> tuple[float, float] | None:
    if not view.has_optimum:
        return None
    values = view.values[view.exists]
    return float(values.mean()), float(values.std())


def _exact(task: Task, protocol: Protocol, num_steps: int, scored: ReportView) -> ExactCurve | None:
    """Regret of random search with replacement under the protocol's noise; None where the table lacks rows."""
    if not scored.has_optimum:
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
