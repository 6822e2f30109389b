"""Strategies over all tasks, and random-search equivalents on each task."""

from __future__ import annotations

import math

from nasbench_harness.analysis.across import equivalent, practical_margin
from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis, Equivalent, Summary
from nasbench_harness.report.cells import count, interval_cell, plain
from nasbench_harness.report.contradictions import unscored_notes
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.store.record import MIN_SEEDS

_RANKED = {"mean": "mean", "stochastic": "mean A12 of the", "interval": "interquartile mean of the"}


def summary_table(analysis: Analysis) -> ReportTable | None:
    """Normalized regret, mean rank and wins of each strategy over the tasks; None for a single task or strategy."""
    if not analysis.summaries or len(analysis.labels) < 2:
        return None
    has_normalized = any(entry.normalized for entry in analysis.summaries)
    has_intervals = any(not math.isnan(entry.first) for entry in analysis.summaries)
    columns = [ReportColumn("strategy", "Strategy", is_number=False)]
    if has_normalized:
        columns.append(ReportColumn("normalized_regret", "normalized regret, IQM [95 %]"))
    columns.append(ReportColumn("rank", "mean rank [95 %]" if has_intervals else "mean rank"))
    if has_intervals:
        columns.append(ReportColumn("first", "P(rank 1)"))
    columns += [ReportColumn(name, name) for name in ("wins", "ties", "losses")]
    rows = []
    for entry in analysis.summaries:
        cells = [ReportCell(entry.label)]
        if has_normalized:
            cells.append(interval_cell(entry.normalized, 3))
        cells.append(_rank_cell(entry))
        if has_intervals:
            cells.append(NOTHING if math.isnan(entry.first) else plain(entry.first, 2))
        cells += [count(entry.wins), count(entry.ties), count(entry.losses)]
        rows.append(ReportRow(tuple(cells), is_highlighted=entry.label in analysis.options.highlight))
    caption, notes = _caption(analysis, has_normalized, has_intervals), unscored_notes(analysis, analysis.tasks)
    return ReportTable("summary", caption, tuple(columns), tuple(rows), notes)


def equivalents_table(analysis: Analysis) -> ReportTable | None:
    """Tasks × strategies: random evaluations with the same mean regret; None if there is no closed form."""
    columns = [ReportColumn("task", "Task", is_number=False)]
    columns += [ReportColumn(label, label) for label in analysis.labels]
    rows = []
    for entry in analysis.tasks:
        results = [entry.result(label) for label in analysis.labels]
        cells = [NOTHING if result is None else _equivalent_cell(equivalent(entry, result)) for result in results]
        if any(cell is not NOTHING for cell in cells):
            rows.append(ReportRow((ReportCell(entry.task.title), *cells), entry.task.table.name))
    if not rows:
        return None
    budget = analysis.protocol.describe_budget()
    caption = (
        "Random-search equivalents: number of random evaluations with the expected regret of a strategy after "
        f"{budget}. The expectation is exact, with replacement. [95 %]: numbers for the ends of the t interval of the "
        f"mean regret.{_ends_meaning(analysis)}"
    )
    return ReportTable("equivalents", caption, tuple(columns), tuple(rows))


def _ends_meaning(analysis: Analysis) -> str:
    """The meaning of numbers without end, and of those below 1, if the table has any."""
    text, found, endless = "", [], []
    for entry in analysis.tasks:
        for result in entry.results:
            same = equivalent(entry, result)
            if same is None or entry.val.random_search is None:
                continue
            found.append((same, not result.val.regret.any()))
            if math.isinf(same.high):
                endless.append(entry.val.random_search.law.limit > 0.0)
    if any(endless):
        text += " ∞: no number of random evaluations has it, because of the noise."
    if not all(endless):
        name = "∞ without noise" if text else "∞"
        text += f" {name}: only more and more random evaluations approach a mean regret of 0."
    if any(is_solved and math.isfinite(same.low) for same, is_solved in found):
        text += (
            " Lower end if all runs are at the optimum: the number whose chance to miss it is the upper end of the "
            "95 % interval of the share of other runs."
        )
    if any(same.low == 0.0 for same, _ in found):
        text += ' "< 1": worse than a single random evaluation.'
    return text


def rounded(number: float) -> str:
    """A number of evaluations with three digits; "< 1" if a single one is already better."""
    if number == 0:
        return "< 1"
    return "∞" if math.isinf(number) else f"{float(f'{number:.3g}'):,.0f}"


def equivalent_text(found: Equivalent) -> str:
    """An equivalent with its interval; alone if both ends print like it."""
    estimate, low, high = (rounded(number) for number in (found.estimate, found.low, found.high))
    return estimate if low == estimate == high else f"{estimate} [{low}, {high}]"


def _equivalent_cell(found: Equivalent | None) -> ReportCell:
    if found is None:
        return NOTHING
    numbers = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return ReportCell(equivalent_text(found), {name: value for name, value in numbers.items() if math.isfinite(value)})


def _rank_cell(entry: Summary) -> ReportCell:
    rank, low, _ = entry.rank
    if math.isnan(rank):
        return NOTHING
    return plain(rank, 2, "point") if math.isnan(low) else interval_cell(entry.rank, 2)


def _tie(analysis: Analysis) -> str:
    has_margin = {practical_margin(entry.val.view, analysis.options) is not None for entry in analysis.tasks}
    within = f"means within {analysis.options.margin:g} pp"
    if len(has_margin) > 1:
        return f"{within} on tasks in percent, equal means on others"
    return within if has_margin == {True} else "equal means"


def _caption(analysis: Analysis, has_normalized: bool, has_intervals: bool) -> str:
    distance = distance_name(analysis.tasks)
    parts = [f"Strategies over {len(analysis.tasks)} tasks."]
    if has_normalized:
        feasible = "feasible rows of the " if any(entry.task.constraints for entry in analysis.tasks) else ""
        parts.append(
            "Normalized regret: regret divided by the distance between the optimum and the median of the "
            f"{feasible}table; interquartile mean over tasks and runs."
        )
    parts.append(f"Mean rank: of the {_RANKED[analysis.options.estimand]} {distance}.")
    if has_intervals:
        parts.append(
            "Intervals and P(rank 1), the share of resamples with the best mean rank (ties are shared equally): "
            f"{analysis.num_resamples:,} bootstrap resamples of runs within each task; the tasks are fixed."
        )
    elif analysis.num_seeds < MIN_SEEDS:
        parts.append(f"No intervals below {MIN_SEEDS} seeds.")
    others = len(analysis.labels) - 1
    parts.append(
        f"Wins, ties, losses: comparisons with the other {others} {'strategies' if others > 1 else 'strategy'} on each "
        f"task; tie: {_tie(analysis)}."
    )
    return " ".join(parts)
