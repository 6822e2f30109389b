"""From stored runs to every number that a report prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task
from nasbench_harness.report.runs import Runs
from nasbench_harness.statistics import (
    ExactCurve,
    Interval,
    Proportion,
    a12_matrix,
    all_pairs,
    count_matrix,
    exact_random_search,
    iqm_band,
    iqm_interval,
    mean_ranks,
    not_significantly_worse,
    proportion,
)

ALPHA = 0.05
MIN_RUNS = 10  # below, intervals say nothing: none is shown
_BOOTSTRAP = 0x626F6F74  # "boot": keeps the bootstrap's stream apart from every other use of the study seed


@dataclass(frozen=True)
class Pair:
    """Two strategies on one task, paired by seed; A12 above ½ means the first has smaller regret more often."""

    first: int
    second: int
    p_value: float
    p_holm: float
    a12: float
    correlation: float


@dataclass(frozen=True)
class TaskAnalysis:
    """One task's results; arrays lead with num_strategies.

    Attributes:
        task: The task.
        regret: Final regret, shape (num_strategies, num_runs), in the metric's unit.
        value: Noiseless value of the final pick in natural units, shape (num_strategies, num_runs).
        iqm: Interquartile mean of the final regret with its interval; None below 10 seeds.
        share_optimal: Share of runs that end at the optimum.
        is_best: Smallest mean regret (ties included).
        is_not_worse: Not significantly worse than the best (all-pairs Holm).
        pairs: Every pair of strategies.
        bands: Regret after every evaluation: IQM and pointwise band; None below 10 seeds.
        mean_curves: Mean regret after every evaluation, shape (num_strategies, num_steps).
        random_search: Random search with replacement in closed form: regret after every evaluation.
        sampling: Mean and standard deviation over the table's architectures, natural units.
        chooses_itself: Which strategies named their own choice.
    """

    task: Task
    regret: Floats
    value: Floats
    iqm: Interval | None
    share_optimal: tuple[Proportion, ...]
    is_best: Bools
    is_not_worse: Bools
    pairs: tuple[Pair, ...]
    bands: tuple[Interval, ...] | None
    mean_curves: Floats
    random_search: ExactCurve
    sampling: tuple[float, float]
    chooses_itself: tuple[bool, ...]


@dataclass(frozen=True)
class Analysis:
    """A study's results.

    Attributes:
        labels: Strategies.
        tasks: Per task.
        mean_ranks: Rank of the mean regret, averaged over tasks; 1 is best; shape (num_strategies,).
        num_seeds: Runs of each strategy on each task.
        num_resamples: Of the bootstrap.
    """

    labels: tuple[str, ...]
    tasks: tuple[TaskAnalysis, ...]
    mean_ranks: Floats
    protocol: Protocol
    study_seed: int
    num_seeds: int
    num_resamples: int


def analyze(
    labels: Sequence[str],
    tasks: Sequence[Task],
    read: Callable[[int, Task], Runs],
    protocol: Protocol,
    study_seed: int,
    num_seeds: int,
    num_resamples: int,
) -> Analysis:
    """Analyze a study.

    Args:
        labels: Strategies.
        tasks: Tasks.
        read: Gives the runs of the strategy at a position in ``labels`` on a task.
        protocol: The study's protocol.
        study_seed: Seeds the bootstrap.
        num_seeds: Runs of each strategy on each task.
        num_resamples: Of the bootstrap.
    """
    counts = count_matrix(num_seeds, num_resamples, np.random.SeedSequence([study_seed, _BOOTSTRAP]))
    analyses = tuple(
        _analyze_task(task, [read(position, task) for position in range(len(labels))], counts, protocol)
        for task in tasks
    )
    ranks = mean_ranks(np.stack([entry.regret.mean(axis=1) for entry in analyses], axis=1))
    return Analysis(tuple(labels), analyses, ranks, protocol, study_seed, num_seeds, num_resamples)


def _analyze_task(task: Task, runs: Sequence[Runs], counts: Ints, protocol: Protocol) -> TaskAnalysis:
    picks = np.stack([entry.picks for entry in runs])
    codes = np.where(picks >= 0, task.report.regret_codes(picks), -1)
    curves = np.where(picks >= 0, codes * task.report.step, np.nan)
    final = task.report.regret_codes(np.stack([entry.final for entry in runs]))
    regret = final * task.report.step
    enough = final.shape[1] >= MIN_RUNS
    pairs, worse = _compare(final)
    means = final.mean(axis=1)
    return TaskAnalysis(
        task=task,
        regret=regret,
        value=task.report.values[picks[:, :, -1]],
        iqm=iqm_interval(regret, counts) if enough else None,
        share_optimal=tuple(proportion(int((row == 0).sum()), len(row)) for row in final),
        is_best=means == means.min(),
        is_not_worse=not_significantly_worse(means, worse, ALPHA),
        pairs=pairs,
        bands=tuple(iqm_band(curve, counts) for curve in curves) if enough else None,
        mean_curves=curves.mean(axis=1),
        random_search=_exact(task, protocol),
        sampling=(float(task.report.values.mean()), float(task.report.values.std())),
        chooses_itself=tuple(entry.chooses_itself for entry in runs),
    )


def _compare(final: Ints) -> tuple[tuple[Pair, ...], Floats]:
    """All pairs on one task, and their adjusted p as a symmetric matrix (num_strategies, num_strategies)."""
    num_strategies = len(final)
    adjusted = np.ones((num_strategies, num_strategies))
    if num_strategies < 2:
        return (), adjusted
    tests, larger = all_pairs(final), a12_matrix(final)
    pairs = []
    for position, (i, j) in enumerate(combinations(range(num_strategies), 2)):
        p_holm = float(tests.p_holm[position])
        adjusted[i, j] = adjusted[j, i] = p_holm
        p_value = float(tests.p_value[position])
        pairs.append(Pair(i, j, p_value, p_holm, float(larger[j, i]), _correlation(final[i], final[j])))
    return tuple(pairs), adjusted


def _correlation(first: Ints, second: Ints) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _exact(task: Task, protocol: Protocol) -> ExactCurve:
    """Regret of random search with replacement under the protocol's noise."""
    report = task.report
    values = task.table.metrics(task.dataset, "search")[0].values[:, :, 0]
    losses = task.objectives[0].loss(np.asarray(values))
    regrets = report.regret(np.arange(len(report.codes)))
    if protocol.replicate is not None:
        return exact_random_search(losses[:, [protocol.replicate]], protocol.evaluations, "mean", regrets)
    if protocol.noise == "mean":  # by grid codes: means that are equal must tie
        return exact_random_search(regrets[:, None], protocol.evaluations, "mean", regrets)
    return exact_random_search(
        losses, protocol.evaluations, "per_run" if protocol.noise == "per_run" else "per_query", regrets
    )
