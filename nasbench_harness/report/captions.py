"""Captions for reviewers, generated from the study."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.comparison import ALPHA
from nasbench_harness.analysis.fronts import REFERENCE
from nasbench_harness.analysis.names import distance_name, finals_name
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.report.cells import measures_of
from nasbench_harness.report.families import (
    column_family,
    comparisons_of,
    family_sizes,
    name_of_test,
    study_family,
)
from nasbench_harness.report.strategy_cells import AT_OPTIMUM, is_solved
from nasbench_harness.statistics import MAX_RUNS_EXACT, proportion
from nasbench_harness.store.record import MIN_SEEDS, Quoted
from nasbench_harness.words import plural

_OTHER_SCORE = " (ROC-AUC)"  # stands in the title of a data set whose columns of accuracies hold it


def caption_text(
    analysis: Analysis,
    tasks: Sequence[TaskAnalysis] | None = None,
    *,
    has_intervals: bool = True,
    has_references: bool = True,
) -> str:
    """Sample size, unit, budget, selection rule, test, correction and table, as one paragraph.

    Args:
        analysis: The study's numbers.
        tasks: The tasks of the table; None: all of them.
        has_intervals: Whether the table shows intervals.
        has_references: Whether the table has rows without strategies: random search, quoted numbers.
    """
    entries = analysis.tasks if tasks is None else tasks
    parts = [f"{_cells(analysis, entries)} after {analysis.protocol.describe()}.", *_scored_lines(entries)]
    others = [entry.task.title.replace(_OTHER_SCORE, "") for entry in entries if _OTHER_SCORE in entry.task.title]
    if others:
        parts.append(f"Accuracy on {', '.join(others)} is ROC-AUC.")
    parts += _default_fidelity_line(entries)
    left_out = [entry.task.name for entry in entries if entry.task.name in analysis.protocol.sources]
    if left_out:
        parts.append(f"No task is its own source (left out on {', '.join(left_out)}).")
    if any(len(entry.scores) > 1 for entry in entries):
        parts.append("Test: of the same choice; validation alone chooses.")
    unknown = [entry for entry in entries if not entry.val.view.has_optimum]
    if unknown:
        titles = ", ".join(entry.task.title for entry in unknown)
        losses = dict.fromkeys(_loss(entry.val.view) for entry in unknown)
        parts.append(f"Optimum unknown ({titles}): compared is the loss, {' or '.join(losses)}, not regret.")
    choosers = sorted({result.label for entry in entries for result in entry.results if result.chooses_itself})
    if choosers:
        parts.append(f"Choosing for themselves: {', '.join(choosers)}.")
    parts += _early_lines(analysis, entries)
    replayed = [label for label in analysis.replayed if any(entry.result(label) for entry in entries)]
    if replayed:
        names = ", ".join(_with_seeds(label, analysis.num_seeds, entries) for label in replayed)
        parts.append(f"Ran elsewhere, replayed under this protocol: {names}.")
    if has_references and any(entry.val.sampling for entry in entries):
        infeasible = ", an infeasible row as the worst feasible one" if any(e.task.constraints for e in entries) else ""
        over = f"mean ± standard deviation over the table{infeasible}"
        parts.append(f"Rows without strategies: {over}, or in closed form.")
    parts += _comparison_lines(analysis, entries)
    if has_intervals:
        parts += _interval_lines(analysis, entries)
    if has_references and analysis.protocol.duplicates != "charge":
        parts.append("Exact random search is with replacement, every draw charged.")
    known = {entry.task.name for entry in entries}
    quoted = [row for row in analysis.quoted if row.task in known]
    if has_references and quoted:
        parts.append(f"Quoted as published, under other protocols, not tested ({'; '.join(_sources(quoted))}).")
    tables = {entry.task.table.name: entry.task.table for entry in entries}
    parts += [
        f"Table {name}: {table.provenance.described}, sha256 {table.digest[:12]}."
        for name, table in sorted(tables.items())
    ]
    return " ".join(parts)


def _sources(quoted: Sequence[Quoted]) -> list[str]:
    """Each method with its source and its number of runs, as far as that is known."""
    counts: dict[str, set[int]] = {}
    for row in quoted:
        counts.setdefault(f"{row.method}: {row.source}", set()).update(() if row.n is None else (row.n,))
    return [f"{name}, N = {'–'.join(map(str, sorted({min(n), max(n)})))}" if n else name for name, n in counts.items()]


def _scored_lines(entries: Sequence[TaskAnalysis]) -> list[str]:
    """What is scored, the bounds of constraints, and the runs without a feasible choice."""
    if any(entry.val.view.is_of_sets for entry in entries):
        names = " and ".join(objective.metric.name for objective in entries[0].task.objectives)
        lines = [
            "Scored is the hypervolume of the set that a run returns: its evaluations that no other one dominates by "
            f"observed {names.replace('_', ' ')}. It is computed from noiseless means, in % of the true front's; the "
            f"true front's ideal and nadir are 0 and 1, the reference point is {REFERENCE}.",
        ]
    else:
        names = " or ".join(dict.fromkeys(entry.val.view.metric.name.replace("_", " ") for entry in entries))
        lines = [f"Scored is the noiseless mean over replicates of the incumbent, which is chosen by observed {names}."]
    bounds = [entry for entry in entries if entry.task.constraints]
    if bounds:
        shown = "; ".join(f"{entry.task.title}: {', '.join(map(str, entry.task.constraints))}" for entry in bounds)
        lines.append(f"Feasible ({shown}) is better than infeasible; the optimum is the best feasible row.")
        counts = [
            f"{result.label} on {entry.task.title} {result.num_infeasible} of {len(result.seeds)}"
            for entry in bounds
            for result in entry.results
            if result.num_infeasible
        ]
        if counts:
            lines.append(f"Runs without a feasible choice, scored as the worst feasible row: {'; '.join(counts)}.")
    metrics = dict.fromkeys(metric for entry in entries for metric in entry.task.measures.metrics)
    if costs := [f"{metric.name} {metric.cost_s:,.1f} s" for metric in metrics if metric.cost_s is not None]:
        lines.append(f"Declared cost, once for the table and charged to no run: {', '.join(costs)}.")
    return lines


def _early_lines(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> list[str]:
    """A line if strategies end before their budget of evaluations, unless another budget may have ended them."""
    budget = analysis.protocol.only_evaluations
    if budget is None:
        return []
    fewest: dict[str, float] = {}
    for entry in entries:
        for result in entry.results:
            fewest[result.label] = min(fewest.get(result.label, budget), result.spending.evaluations)
    early = [f"{label} {mean:.1f}" for label, mean in fewest.items() if mean < budget]
    return [f"Ended before the budget of {budget:,} evaluations (mean on a task): {', '.join(early)}."] if early else []


def summary_text(analysis: Analysis, entries: Sequence[TaskAnalysis], *, has_intervals: bool = False) -> str:
    """Cells, sample size, budget, bold and marks in a few short sentences.

    Args:
        analysis: The study's numbers.
        entries: The tasks of the table.
        has_intervals: Whether the table shows intervals whatever the estimand.
    """
    number, estimand = runs_text(analysis, "run", entries), analysis.options.estimand
    cells = "The result" if number == "1 run" else _estimate(analysis, entries, deviation="std")
    parts = [f"{cells} of {number}, {analysis.protocol.describe_budget()}.", *_default_fidelity_line(entries)]
    if any(comparison.has_marks for comparison in comparisons_of(entries)):
        test = "Welch"
        if estimand == "stochastic":
            most = max(len(result.seeds) for entry in entries for result in entry.results)
            test = "Mann–Whitney" if most <= MAX_RUNS_EXACT else "Brunner–Munzel"
        is_single = max(comparison.num_tests for comparison in comparisons_of(entries)) == 1
        holm = "" if is_single else "Holm per column, "
        parts.append(f"Bold: best; †: not significantly worse ({test}, {holm}alpha = {ALPHA}).")
    elif any(entry.comparison.pairs for entry in entries):
        parts.append("Bold: best.")
    parts += _solved_line(analysis, entries)
    if estimand != "interval" and any(entry.comparison.pairs for entry in entries):
        parts += _too_few(entries)
    has_intervals |= estimand == "interval"
    if has_intervals and (without_width := _without_width(analysis, entries)):
        parts.append(f"{without_width}.")
    return " ".join(parts)


def _default_fidelity_line(entries: Sequence[TaskAnalysis]) -> list[str]:
    """The epochs that a table chose, because the protocol names none."""
    defaults = [entry.task for entry in entries if entry.task.has_default_fidelity]
    epochs = ", ".join(f"{task.title} {task.fidelity} epochs" for task in defaults)
    return [f"Fidelity by default of the table: {epochs}."] if defaults else []


def runs_text(analysis: Analysis, noun: str, tasks: Sequence[TaskAnalysis] | None = None) -> str:
    """Number of runs of each strategy on each task; the smallest and the largest one if they differ.

    Args:
        analysis: The study's numbers.
        noun: Word for a run.
        tasks: The tasks of the table; None: all of them.
    """
    fewest, most = run_counts(analysis, tasks)
    return plural(most, noun) if fewest == most else f"{fewest:,}–{most:,} {noun}s"


def run_counts(analysis: Analysis, tasks: Sequence[TaskAnalysis] | None = None) -> tuple[int, int]:
    """The smallest and the largest number of runs of a strategy on a task."""
    entries = analysis.tasks if tasks is None else tasks
    sizes = [len(result.seeds) for entry in entries for result in entry.results] or [analysis.num_seeds]
    return min(sizes), max(sizes)


def _with_seeds(label: str, num_seeds: int, entries: Sequence[TaskAnalysis]) -> str:
    """A label, with its numbers of seeds if any of them is not the study's."""
    sizes = {len(result.seeds) for entry in entries for result in entry.results if result.label == label}
    return label if sizes <= {num_seeds} else f"{label} ({' or '.join(map(str, sorted(sizes)))} seeds)"


def _cells(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> str:
    """Content of a cell, and its number of runs."""
    number = runs_text(analysis, "seed", entries)
    return f"The result of N = {number}" if number == "1 seed" else f"{_estimate(analysis, entries)} over N = {number}"


def _estimate(
    analysis: Analysis, entries: Sequence[TaskAnalysis], deviation: str = "standard deviation (ddof 1)"
) -> str:
    if analysis.options.estimand == "stochastic":
        is_compared = any(entry.comparison.pairs for entry in entries)
        return "Median [quartiles]" + (" (mean A12 against the other strategies)" if is_compared else "")
    if analysis.options.estimand == "interval":
        has_any = any(result.val.iqm is not None for entry in entries for result in entry.results)
        return "Interquartile mean" + (" [95 % interval]" if has_any else "")
    return f"Mean ± {deviation}"


def _loss(view: ScoreView) -> str:
    """How the loss follows from the metric."""
    name = view.metric.name.replace("_", " ")
    return f"{view.best_value:g} − {name}" if view.metric.direction == "maximize" else f"{name} − {view.best_value:g}"


def _interval_lines(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> list[str]:
    """Kind of the intervals, and the strategies without one."""
    results = [result for entry in entries for result in entry.results]
    if all(result.val.iqm is None for result in results):
        return [f"Fewer than {MIN_SEEDS} seeds: no intervals."]
    line = (
        f"Intervals: 95 % each, not simultaneous, percentile bootstrap, {analysis.num_resamples:,} resamples of each "
        "strategy's runs"
    )
    if any(result.val.iqm is None for result in results):
        line += f"; none below {MIN_SEEDS} seeds"
    if without_width := _without_width(analysis, entries):
        line += f"; {without_width}"
    return [f"{line}."]


def _without_width(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> str:
    """The bound in place of an interval without width; empty if no cell has one."""
    names = ["val", "test"] if analysis.options.estimand == "interval" else ["val"]
    results = [result for entry in entries for result in entry.results]
    shown = [result.scores[name].iqm for result in results for name in names if name in result.scores]
    if not any(interval is not None and interval.is_degenerate for interval in shown):
        return ""
    return '"(≤ b % other)" if an interval has no width: up to b % of runs may end elsewhere'


def _comparison_lines(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> list[str]:
    """Bold, marks, tests and their families; nothing if a single strategy is compared with nobody."""
    estimand, compared = analysis.options.estimand, [entry for entry in entries if entry.comparison.pairs]
    if not compared:
        return _solved_line(analysis, entries)
    lines = []
    best = {
        "mean": f"smallest mean {distance_name(entries)}",
        "stochastic": "largest mean A12",
        "interval": f"smallest interquartile mean of {finals_name(entries)}",
    }[estimand]
    bold = f"Bold: {best} by a column's metric"
    if any(comparison.has_marks for comparison in comparisons_of(compared)):
        is_single = max(comparison.num_tests for comparison in comparisons_of(compared)) == 1
        holm = "" if is_single else f"Holm over {column_family(compared)}, "
        test = f"{name_of_test(analysis, compared)} on {finals_name(entries)}"
        lines.append(
            f"{bold}; †: not significantly worse than the best ({test} of independent runs, two-sided, "
            f"{holm}alpha = {ALPHA} per column)."
        )
        if any(family_sizes(analysis)) and (len(analysis.tasks) > 1 or analysis.options.control is not None):
            lines.append(f"Sentences and counts over tasks: {study_family(analysis)}.")
        lines += _constants(compared)
        if analysis.protocol.noise == "per_run":
            lines.append("Runs with the same seed share the table's noise: tests of independent runs are conservative.")
    else:
        no_marks = "; no marks, as interquartile means are not tested" if estimand == "interval" else ""
        lines.append(f"{bold}{no_marks}.")
    lines += _solved_line(analysis, entries)
    if estimand != "interval":
        lines += _too_few(compared)
    return lines


def _solved_line(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> list[str]:
    if not any(is_solved(measure) for entry in entries for measure in measures_of(entry, analysis.options)):
        return []
    return [f"{AT_OPTIMUM}: every run at the optimum; nothing is bold in that column."]


def _too_few(entries: Sequence[TaskAnalysis]) -> list[str]:
    """Which strategies have too few runs to be tested."""
    sizes = {(result.label, len(result.seeds)) for entry in entries for result in entry.results}
    few = sorted((size, label) for label, size in sizes if size < MIN_SEEDS)
    if not few:
        return []
    counts = sorted({size for size, _ in few})
    names = "" if len(few) == len(sizes) else f" ({', '.join(dict.fromkeys(label for _, label in few))})"
    line = f"N = {', '.join(map(str, counts))}{names}: no tests below {MIN_SEEDS} seeds"
    comparisons = comparisons_of(entries)
    if any(comparison.has_marks for comparison in comparisons) and not all(
        comparison.has_marks for comparison in comparisons
    ):
        line += ", and no † in a column whose best is not tested"
    return [f"{line}."]


def _constants(entries: Sequence[TaskAnalysis]) -> list[str]:
    """A bound for strategies without any spread, of which a test cannot know how certain it is."""
    found: dict[int, dict[str, list[str]]] = {}
    for entry in entries:
        test = entry.score("test")
        by_test = {} if test is None else test.comparison.constant
        for label, num_runs in {**by_test, **entry.comparison.constant}.items():
            by = "" if label in entry.comparison.constant else " (by test)"
            found.setdefault(num_runs, {}).setdefault(entry.task.title, []).append(f"{label}{by}")
    lines = []
    for num_runs, labels in sorted(found.items()):
        where = "; of ".join(f"{', '.join(names)} on {title}" for title, names in labels.items())
        lines.append(
            f"All {num_runs} runs of {where} ended equal; a share of up to {100 * proportion(0, num_runs).high:.1f} % "
            "of other outcomes is compatible with that."
        )
    return lines
