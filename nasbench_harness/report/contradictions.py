"""Lines under a table: bold strategies that are significantly worse, and strategies that are not scored."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.report.cells import Measure, measures_of
from nasbench_harness.report.strategy_cells import bold_labels, is_solved


def worse_on_test(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> tuple[str, ...]:
    """A line for each task on which the best by validation is significantly worse on test than another strategy."""
    lines = []
    for entry in entries:
        test = entry.score("test")
        if test is None:
            continue
        for label in bold_labels(measures_of(entry, analysis.options)[0]):
            pairs = test.comparison.better_than(label)
            if pairs:
                names = ", ".join(pair.second if pair.first == label else pair.first for pair in pairs)
                p = _p_text(max(pair.p_study for pair in pairs), is_bound=len(pairs) > 1)
                lines.append(f"{entry.task.name}: {label}, best by validation, is worse on test than {names} ({p}).")
    return tuple(lines)


def worse_in_bold(measures: Sequence[Measure], *, as_distance: bool) -> tuple[str, ...]:
    """A line for each strategy that is bold because it prints the best number, and significantly worse."""
    lines = []
    for measure in measures:
        comparison = measure.comparison
        if not comparison.has_marks or is_solved(measure):
            continue
        for label in bold_labels(measure, as_distance):
            against = [pair for pair in comparison.pairs_with(label) if pair.other(label) in comparison.best]
            tested = [pair.p_column for pair in against if pair.is_tested]
            if tested and label not in comparison.marked:
                name = measure.view.metric.name.replace("_", " ")
                what = f"{name} ({measure.view.distance})" if as_distance else name
                lines.append(
                    f"{measure.entry.task.name}, {what}: {label} prints the best number and is significantly worse "
                    f"({_p_text(max(tested), is_bound=len(tested) > 1)})."
                )
    return tuple(lines)


def unscored_notes(analysis: Analysis, entries: Sequence[TaskAnalysis]) -> tuple[str, ...]:
    """A line for each strategy that is not scored on these tasks, or on a task that no table has."""
    shown, all_shown = ({entry.task.name for entry in part} for part in (entries, analysis.tasks))
    return tuple(entry.note for entry in analysis.unscored if entry.task in shown or entry.task not in all_shown)


def _p_text(p: float, is_bound: bool) -> str:
    if p < 1e-3:
        return "p < .001"
    return f"p {'≤' if is_bound else '='} {p:.3f}".replace("0.", ".")
