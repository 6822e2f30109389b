"""From stored runs to the numbers of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from nasbench_harness.analysis.across import practical_margin, summarize
from nasbench_harness.analysis.anytime import AnytimeMeasures, anytime_measures
from nasbench_harness.analysis.comparison import Comparison, compare_column, over_the_study
from nasbench_harness.analysis.curves import Curve, curves
from nasbench_harness.analysis.epochs import epoch_grid
from nasbench_harness.analysis.exact_search import exact_search
from nasbench_harness.analysis.results import (
    Analysis,
    Axis,
    ScoreAnalysis,
    ScoredRuns,
    Spending,
    StrategyResult,
    TaskAnalysis,
)
from nasbench_harness.analysis.runs import Runs
from nasbench_harness.analysis.unscored import Unscored, unscored_lines
from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import RunsFailedError, StoreError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.statistics import Resamples, iqm_interval, mean_ranks, proportion, resamples
from nasbench_harness.store.record import MIN_SEEDS, Quoted, ReportOptions
from nasbench_harness.store.styles import style_numbers

NUM_TIMES = 100  # points of a curve over simulated seconds
_BOOTSTRAP = 0x626F6F74  # "boot": keeps the bootstrap's stream apart from every other use of the study seed
_MAX_KEPT_BYTES = 100_000_000  # of resamples: 15 pairs of strategy and task with 500 seeds need 75 MB

Counts = Callable[[int], Ints | Resamples]
Axes = dict[Axis, tuple[Floats | Ints, Floats | Ints]]  # positions of the rows, and of the points of curves


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
    styles: Mapping[str, int] | None = None,
    analyzed: Iterable[TaskAnalysis] = (),
) -> Analysis:
    """Analyze a study.

    Args:
        labels: Strategies.
        tasks: Tasks.
        read: Gives the runs of the strategy at a position in ``labels`` on a task; None if it did not run there.
        protocol: The study's protocol.
        study_seed: Seeds the bootstrap.
        num_seeds: Runs of each strategy on each task.
        num_resamples: Number of bootstrap resamples.
        replayed: Labels of strategies that ran elsewhere.
        options: How the report is laid out.
        quoted: Rows from papers.
        styles: Numbers of styles that labels keep (see ``style_numbers``).
        analyzed: Numbers of all tasks, if other processes have computed them already.

    Raises:
        UnknownNameError: The declared control is not in the study.
        RunsFailedError: No strategy is scored on any task, as runs ended without a result.
    """
    options = options or ReportOptions()
    if options.control is not None and options.control not in labels:
        raise UnknownNameError("label", options.control, labels, "report.control")
    numbers = style_numbers(labels, styles)
    position_of = {label: position for position, label in enumerate(labels)}
    labels = options.ordered(labels)

    def counts_of(task: str, label: str) -> Counts:
        seed = np.random.SeedSequence([study_seed, _BOOTSTRAP, _key(task), _key(label)])
        return lambda num_runs: _kept_resamples(kept, (task, label, num_runs), num_resamples, seed)

    kept: dict[tuple[str, str, int], Ints] = {}
    analyses = list(analyzed)
    for task in [] if analyses else tasks:
        found = ((label, read(position_of[label], task)) for label in labels)
        runs = {label: entry.in_canonical_order() for label, entry in found if entry is not None}
        analyses.append(_analyze_task(task, runs, counts_of, protocol, options))
        del runs  # before the next task's are read
    unscored = tuple(entry for found in analyses for entry in found.unscored)
    analyses = [found for found in analyses if found.results]
    if not analyses:
        raise RunsFailedError(unscored_lines(unscored, protocol))
    analyses = _with_study_families(analyses, options.control)
    analysis = Analysis(
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
        styles=numbers,
        unscored=unscored,
    )
    return replace(analysis, summaries=summarize(analysis, counts_of))


def _mean_ranks(labels: Sequence[str], tasks: Sequence[TaskAnalysis]) -> Floats:
    """Mean ranks among the strategies that ran on every task, NaN for the others."""
    everywhere = [label for label in labels if all(entry.result(label) for entry in tasks)]
    ranks = np.full(len(labels), np.nan)
    if everywhere:
        scores = [[entry.comparison.scores[label] for label in everywhere] for entry in tasks]
        ranks[[labels.index(label) for label in everywhere]] = mean_ranks(np.transpose(scores))
    return ranks


def _with_study_families(tasks: Sequence[TaskAnalysis], control: str | None) -> list[TaskAnalysis]:
    """The tasks with p-values that hold over the whole study: one family for each score."""
    names = dict.fromkeys(score.name for entry in tasks for score in entry.scores)
    corrected = {
        name: iter(
            over_the_study(
                [score.comparison for entry in tasks for score in entry.scores if score.name == name], control
            )
        )
        for name in names
    }
    return [
        replace(entry, scores=tuple(replace(score, comparison=next(corrected[score.name])) for score in entry.scores))
        for entry in tasks
    ]


def _kept_resamples(
    kept: dict[tuple[str, str, int], Ints],
    key: tuple[str, str, int],
    num_resamples: int,
    seed: np.random.SeedSequence,
) -> Ints | Resamples:
    """Resamples of a task, a label and a number of runs: drawn for the task, used again over the tasks if they fit."""
    if key in kept:
        return kept.pop(key)
    drawn = resamples(key[2], num_resamples, seed)
    if not isinstance(drawn, Resamples) and drawn.nbytes + sum(x.nbytes for x in kept.values()) <= _MAX_KEPT_BYTES:
        kept[key] = drawn
    return drawn


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
    lacking = {label: entry.seeds[~entry.has_result] for label, entry in runs.items()}
    unscored = tuple(
        Unscored(label, task.name, np.sort(seeds), len(runs[label].seeds))
        for label, seeds in lacking.items()
        if len(seeds)
    )
    runs = {label: entry for label, entry in runs.items() if entry.has_result.all()}
    if not runs:
        return TaskAnalysis(task, (), (), None, unscored=unscored)
    for entry in runs.values():
        task.oracle.prepare(np.unique(entry.row_picks[entry.row_picks >= 0]))
    # A study of supernets evaluates nothing: its curve has one point.
    num_steps = max(1, int(max(entry.num_evaluations.max() for entry in runs.values())))
    num_allowed = _steps_of_budget(protocol, num_steps)
    times_s, epochs = _times(task, protocol), epoch_grid(task, protocol)
    curve_score = "test" if "test" in options.curves and "test" in task.scores else "val"
    view, results = task.scores[curve_score], []
    for label, entry in runs.items():
        drawn = counts_of(task.name, label)(len(entry.seeds)) if len(entry.seeds) >= MIN_SEEDS else None
        scores = {name: _scored(task, view, entry.final, drawn) for name, view in task.scores.items()}
        axes = _axes(entry, num_steps, times_s, epochs)
        if curve_score != "val":
            _check_exists(task, view, entry.row_picks[entry.row_picks >= 0], "choices over time")
        drawn_curves = _curves(view, entry, axes, drawn)
        results.append(
            StrategyResult(
                label=label,
                seeds=entry.seeds,
                scores=scores,
                share_optimal=proportion(int((scores["val"].grid_values == 0).sum()), len(entry.seeds)),
                after_evaluations=drawn_curves["evaluations"],
                at_seconds=drawn_curves.get("seconds"),
                measures=_measures(view, entry, axes, num_allowed, options),
                spending=_spending(entry),
                chooses_itself=entry.chooses_itself,
                sets=entry.sets,
                num_infeasible=_num_infeasible(task, entry),
                at_epochs=drawn_curves.get("epochs"),
            )
        )
    scores_of_task = (
        ScoreAnalysis(
            name=name,
            view=view,
            comparison=_compare(view, {result.label: result.scores[name].grid_values for result in results}, options),
            random_search=exact_search(task, protocol, num_allowed, view),
            sampling=_mean_and_std(view),
        )
        for name, view in task.scores.items()
    )
    return TaskAnalysis(task, tuple(results), tuple(scores_of_task), times_s, epochs, curve_score, unscored)


def _num_infeasible(task: TaskView, runs: Runs) -> int | None:
    """Runs whose choice does not meet the constraints by noiseless values; None if there are none."""
    if not task.constraints:
        return None
    if runs.sets is not None:
        return int(runs.sets.lacks_feasible.sum())
    is_feasible = task.scores["val"].is_feasible
    return 0 if is_feasible is None else int((~is_feasible[runs.final]).sum())


def _times(task: TaskView, protocol: Protocol) -> Floats | None:
    """Times from one typical training to the budget, the same whatever is compared."""
    if not task.has_cost:
        return None
    ends = [] if protocol.evaluations is None else [protocol.evaluations * task.typical_cost_s / protocol.workers]
    ends += [] if protocol.simulated_seconds is None else [protocol.simulated_seconds]
    if protocol.epochs is not None and task.fidelity is not None:
        ends.append(protocol.epochs / task.fidelity * task.typical_cost_s / protocol.workers)
    first, last = min(task.least_cost_s, *ends), min(ends)
    # If no training fits into the budget, the curve shows what search time alone brings.
    return np.geomspace(first if first < last else last / NUM_TIMES, last, NUM_TIMES)


def _scored(task: TaskView, view: ScoreView, picks: Ints, counts: Ints | Resamples | None) -> ScoredRuns:
    """The choices, which were made without this score (unless it is the search metric), by this score."""
    _check_exists(task, view, picks, "final choices")
    grid_values = view.grid_regrets(picks)
    regret = grid_values * view.resolution
    return ScoredRuns(grid_values, regret, view.values[picks], None if counts is None else iqm_interval(regret, counts))


def _check_exists(task: TaskView, view: ScoreView, picks: Ints, name: str) -> None:
    """Refuse choices without a value of a score that is not the search metric."""
    lacking = int((~view.exists[picks]).sum())
    if lacking and view is not task.scores["val"]:
        raise StoreError(
            f"task {task.name}: {lacking} of {picks.size} {name} have no {view.metric.name} in the table, and "
            "nothing else may stand in for it: complete the table, or import it without that metric"
        )


def _axes(runs: Runs, num_steps: int, times_s: Floats | None, epochs: Ints | None) -> Axes:
    """Axes of a strategy's runs on a task: epochs only if trainings differ, seconds only if there is a clock."""
    axes: Axes = {"evaluations": (runs.row_totals, np.arange(1, num_steps + 1))}
    if times_s is not None:
        axes["seconds"] = runs.row_times_s, times_s
    if epochs is not None and runs.row_epochs is not None:
        axes["epochs"] = runs.row_epochs, epochs
    return axes


def _curves(view: ScoreView, runs: Runs, axes: Axes, counts: Ints | Resamples | None) -> dict[Axis, Curve]:
    picks = [runs.at(of_rows, points) for of_rows, points in axes.values()]
    found = curves(view, picks, [points for _, points in axes.values()], counts)
    return dict(zip(axes, found, strict=True))


def _measures(
    view: ScoreView, runs: Runs, axes: Axes, num_allowed: int, options: ReportOptions
) -> dict[Axis, AnytimeMeasures]:
    ends = {axis: float(points[-1]) for axis, (_, points) in axes.items()}
    if runs.num_evaluations.any():  # else the axis of evaluations is a single point
        ends["evaluations"] = float(num_allowed)
    return {
        axis: anytime_measures(runs, view, of_rows, float(points[0]), ends[axis], options)
        for axis, (of_rows, points) in axes.items()
    }


def _spending(runs: Runs) -> Spending:
    repeats = runs.repeats.mean(axis=0)
    source_evaluations, source_s = (0.0, 0.0) if runs.source_reads is None else runs.source_reads.mean(axis=0)
    return Spending(
        evaluations=float(runs.num_evaluations.mean()),
        simulated_h=float(runs.simulated_s.mean()) / 3600,
        repeats_by_index=float(repeats[0]),
        repeats_by_class=float(repeats[1]),
        overrun=float(runs.num_overrun.mean()),
        rejected=float(runs.num_rejected.mean()),
        lookups=float(runs.num_lookups.mean()),
        source_evaluations=float(source_evaluations),
        source_h=float(source_s) / 3600,
    )


def _compare(view: ScoreView, grid_values: dict[str, Ints], options: ReportOptions) -> Comparison:
    return compare_column(grid_values, view.resolution, options.estimand, practical_margin(view, options))


def _mean_and_std(view: ScoreView) -> tuple[float, float] | None:
    if not view.has_optimum or view.is_of_sets:
        return None
    values = view.values[view.exists]
    return float(values.mean()), float(values.std())


def _steps_of_budget(protocol: Protocol, num_steps: int) -> int:
    """Evaluations of measures and of exact random search: the budget, whatever is compared; the axis if others bind."""
    return num_steps if protocol.only_evaluations is None else max(num_steps, protocol.only_evaluations)
