"""Captions: what a reviewer asks for, generated from the study."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.comparison import ALPHA, MIN_RUNS, Comparison
from nasbench_harness.analysis.names import distance_name, finals_name
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.report.cells import measures_of
from nasbench_harness.report.strategy_cells import AT_OPTIMUM, is_solved
from nasbench_harness.statistics import proportion


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
    parts = [
        f"{_cells(analysis, entries)} over N = {analysis.num_seeds:,} seeds after {analysis.protocol.describe()}.",
        "Scored is the noiseless mean over replicates of the incumbent, which is chosen by observed "
        f"{entries[0].val.view.metric.name.replace('_', ' ')}.",
    ]
    if any(len(entry.scores) > 1 for entry in entries):
        parts.append("Test: of the same choice; validation alone chooses.")
    unknown = [entry.task for entry in entries if not entry.val.view.has_optimum]
    if unknown:
        titles = ", ".join(task.title for task in unknown)
        parts.append(f"Optimum unknown ({titles}): compared is the loss, 100 − accuracy, not regret.")
    choosers = sorted({result.label for entry in entries for result in entry.results if result.chooses_itself})
    if choosers:
        parts.append(f"Choosing for themselves: {', '.join(choosers)}.")
    if analysis.replayed:
        names = ", ".join(_with_seeds(label, analysis.num_seeds, entries) for label in analysis.replayed)
        parts.append(f"Ran elsewhere, replayed under this protocol: {names}.")
    if has_references and any(entry.val.sampling for entry in entries):
        parts.append("Rows without strategies: mean ± standard deviation over the table, or in closed form.")
    parts += _comparison_lines(analysis, entries)
    if has_intervals and analysis.num_seeds >= MIN_RUNS:
        parts.append(
            f"Intervals: 95 % each, not simultaneous, percentile bootstrap, {analysis.num_resamples:,} resamples of "
            "each strategy's runs."
        )
    elif has_intervals:
        parts.append("Fewer than 10 seeds: no intervals.")
    if has_references and analysis.protocol.duplicates != "charge":
        parts.append("Exact random search is with replacement, every draw charged.")
    known = {entry.task.name for entry in entries}
    sources = dict.fromkeys(f"{quoted.method}: {quoted.source}" for quoted in analysis.quoted if quoted.task in known)
    if has_references and sources:
        parts.append(f"Quoted as published, under other protocols, not tested ({'; '.join(sources)}).")
    tables = {entry.task.table.name: entry.task.table for entry in entries}
    parts += [
        f"Table {name}: {table.provenance.source}, version {table.provenance.version}, sha256 {table.digest[:12]}."
        for name, table in sorted(tables.items())
    ]
    return " ".join(parts)


def _with_seeds(label: str, num_seeds: int, entries: Sequence[TaskAnalysis]) -> str:
    """A label, with its numbers of seeds if any of them is not the study's."""
    sizes = {len(result.seeds) for entry in entries for result in entry.results if result.label == label}
    return label if sizes <= {num_seeds} else f"{label} ({' or '.join(map(str, sorted(sizes)))} seeds)"


def name_of_test(analysis: Analysis) -> str:
    """The test between two strategies."""
    names = {"stochastic": "Brunner–Munzel test with the t distribution, exact Mann–Whitney test up to 50 runs,"}
    return names.get(analysis.options.estimand, "Welch's t-test")


def column_family(entries: Sequence[TaskAnalysis]) -> str:
    """The pairs that a column's marks are corrected over."""
    sizes = sorted({comparison.num_tests for comparison in _comparisons(entries) if comparison.num_tests})
    if not sizes:
        return "the pairs of a column"
    return f"the {'up to ' if len(sizes) > 1 else ''}{_plural(sizes[-1], 'pair')} of a column (one metric of a task)"


def study_family(analysis: Analysis) -> str:
    """The comparisons that sentences and counts over tasks are corrected over."""
    control = analysis.options.control
    sizes = [
        sum(
            pair.is_tested and control in (None, pair.first, pair.second)
            for comparison in comparisons
            for pair in comparison.pairs
        )
        for comparisons in (analysis.comparisons("val"), analysis.comparisons("test"))
    ]
    what = "pairs × tasks" if control is None else f"comparisons with {control} × tasks"
    by_test = f", and apart over the {sizes[1]:,} by test" if sizes[1] else ""
    return f"Holm over the {sizes[0]:,} {what} of the study{by_test}"


def worse_on_test(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> tuple[str, ...]:
    """A line for each task on which the best by validation is significantly worse on test than another strategy."""
    if analysis.options.estimand == "interval":
        return ()
    lines = []
    for entry in entries:
        test = entry.score("test")
        if test is None:
            continue
        for label in entry.comparison.best:
            pairs = test.comparison.better_than(label)
            if pairs:
                names = ", ".join(pair.second if pair.first == label else pair.first for pair in pairs)
                p = _p_text(max(pair.p_study for pair in pairs), is_bound=len(pairs) > 1)
                lines.append(f"{entry.task.name}: {label}, best by validation, is worse on test than {names} ({p}).")
    return tuple(lines)


def _cells(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> str:
    """What a cell holds."""
    if analysis.options.estimand == "stochastic":
        is_compared = any(entry.comparison.pairs for entry in entries)
        return "Median [quartiles]" + (" (mean A12 against the other strategies)" if is_compared else "")
    if analysis.options.estimand == "interval":
        return "Interquartile mean" + (" [95 % interval]" if analysis.num_seeds >= MIN_RUNS else "")
    return "Mean ± standard deviation (ddof 1)"


def _comparisons(entries: Sequence[TaskAnalysis]) -> list[Comparison]:
    return [score.comparison for entry in entries for score in entry.scores]


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
    if any(comparison.has_marks for comparison in _comparisons(compared)):
        is_single = max(comparison.num_tests for comparison in _comparisons(compared)) == 1
        holm = "" if is_single else f"Holm over {column_family(compared)}, "
        lines.append(
            f"{bold}; †: not significantly worse than the best ({name_of_test(analysis)} on {finals_name(entries)} of "
            f"independent runs, two-sided, {holm}alpha = {ALPHA} per column)."
        )
        if len(analysis.tasks) > 1 or analysis.options.control is not None:
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
    few = sorted((size, label) for label, size in sizes if size < MIN_RUNS)
    if not few:
        return []
    counts = sorted({size for size, _ in few})
    names = "" if len(few) == len(sizes) else f" ({', '.join(dict.fromkeys(label for _, label in few))})"
    return [f"N = {', '.join(map(str, counts))}{names}: no tests below {MIN_RUNS} seeds."]


def _constants(entries: Sequence[TaskAnalysis]) -> list[str]:
    """A bound for strategies without any spread, of which a test cannot know how certain it is."""
    lines = []
    for entry in entries:
        test = entry.score("test")
        by_test = {} if test is None else test.comparison.constant
        for label, num_runs in {**by_test, **entry.comparison.constant}.items():
            where = "" if label in entry.comparison.constant else " by test"
            bound = 100 * proportion(0, num_runs).high
            lines.append(
                f"On {entry.task.title} all {num_runs} runs of {label} ended equal{where}; a share of up to "
                f"{bound:.1f} % of other outcomes is compatible with that."
            )
    return lines


def _p_text(p: float, is_bound: bool) -> str:
    if p < 1e-3:
        return "p < .001"
    return f"p {'≤' if is_bound else '='} {p:.3f}".replace("0.", ".")


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
