"""Costs of the runs."""

from __future__ import annotations

import math

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.cells import plain
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable

_SOURCES = {
    "charged": "their evaluations are among the evaluations, and their hours among the hours",
    "reported": "their evaluations and hours come on top of the budget",
    "free": "declared to be free; their evaluations and hours come on top of the budget",
}


def spending_table(analysis: Analysis) -> ReportTable:
    """Spending of the runs, and their numbers of repeats."""
    spent = [result.spending for entry in analysis.tasks for result in entry.results]
    columns: tuple[ReportColumn, ...] = (
        ReportColumn("task", "task", is_number=False),
        ReportColumn("strategy", "strategy", is_number=False),
        ReportColumn("evaluations", "evaluations"),
        ReportColumn("simulated_h", "hours"),
        ReportColumn("repeats_by_index", "repeats by index"),
        ReportColumn("repeats_by_class", "repeats by class"),
        ReportColumn("overrun", "overrun", is_extra=not any(part.overrun for part in spent)),
        ReportColumn("rejected", "rejected", is_extra=not any(part.rejected for part in spent)),
    )
    if any(part.lookups for part in spent):
        columns += (ReportColumn("lookups", "free values read"),)
    has_sources = any(part.source_evaluations for part in spent)
    if has_sources:
        columns += (
            ReportColumn("source_evaluations", "source evaluations"),
            ReportColumn("source_h", "source hours"),
        )
    rows = []
    for entry in analysis.tasks:
        for result in entry.results:
            values = [float(getattr(result.spending, column.key)) for column in columns[2:]]
            numbers = [NOTHING if math.isnan(value) else plain(value, 1) for value in values]
            rows.append(ReportRow((ReportCell(entry.task.name), ReportCell(result.label), *numbers)))
    caption = (
        "What a run spent, mean over seeds. Repeats: proposals that name an architecture (by index) or an isomorphism "
        "class (by class) that the same run proposed before. Overrun: evaluations that would have finished after the "
        "budget. Hours are simulated, the table's own training times; – where it has none."
    )
    if any(part.lookups for part in spent):
        caption += " Free values: sizes, latencies or proxies that the strategy looked up beside its evaluations."
    if has_sources:
        caption += f" Sources: {_SOURCES[analysis.protocol.source_cost]}."
    if not all(entry.val.view.has_optimum for entry in analysis.tasks):
        caption += " Of trained tasks they are declared: operations over a constant of the recipe."
    return ReportTable("spending", caption, columns, tuple(rows))
