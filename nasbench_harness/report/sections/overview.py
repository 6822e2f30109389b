"""Tasks × strategies: final regrets."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.names import distance_meaning, distance_name
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import caption_text, summary_text
from nasbench_harness.report.cells import measures_of
from nasbench_harness.report.contradictions import unscored_notes, worse_in_bold, worse_on_test
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.sections.ranks import has_intervals, numbered, part_text, rank_cell
from nasbench_harness.report.strategy_cells import strategy_cell

# Strategies that fit on a page, by the width of their cells.
MAX_STRATEGIES_ABREAST = {"mean": 5, "interval": 4, "stochastic": 3}


def overview_tables(analysis: Analysis) -> list[ReportTable]:
    """Tasks × strategies: final regret; at most five strategies a table."""
    parts = _chunks(list(analysis.labels), MAX_STRATEGIES_ABREAST[analysis.options.estimand])
    return [_overview_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def _overview_table(analysis: Analysis, labels: Sequence[str], position: int, num_parts: int) -> ReportTable:
    columns = [ReportColumn("task", "Task", is_number=False)]
    columns += [ReportColumn(label, label) for label in labels]
    rows = []
    for entry in analysis.tasks:
        measure = measures_of(entry, analysis.options)[0]
        results = [entry.result(label) for label in labels]
        cells = [NOTHING if result is None else strategy_cell(measure, result, as_distance=True) for result in results]
        rows.append(ReportRow((ReportCell(f"{entry.task.title}"), *cells), entry.task.table.name))
    if len(analysis.tasks) > 1:
        ranks = [rank_cell(analysis, label) for label in labels]
        rows.append(ReportRow((ReportCell("mean rank"), *ranks), "mean rank"))
    units = sorted({entry.val.view.metric.difference_unit for entry in analysis.tasks})
    known = any(entry.val.view.has_optimum for entry in analysis.tasks)
    meaning = f": {distance_meaning(analysis.tasks)}" if known else ""
    title = f"Final {distance_name(analysis.tasks)} ({', '.join(units)}){part_text(position, num_parts)}{meaning}."
    details = caption_text(analysis, has_intervals=has_intervals(analysis), has_references=False)
    notes: tuple[str, ...] = ()
    if position == num_parts - 1:
        measures = [measures_of(entry, analysis.options)[0] for entry in analysis.tasks]
        notes = worse_on_test(analysis, analysis.tasks) + worse_in_bold(measures, as_distance=True)
        notes += unscored_notes(analysis, analysis.tasks)
    name, summary = numbered("overview", position, num_parts), summary_text(analysis, analysis.tasks)
    return ReportTable(name, title, tuple(columns), tuple(rows), notes, details, summary)


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
