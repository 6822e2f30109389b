"""Tables that print themselves, and that notebooks display."""

from __future__ import annotations

from dataclasses import dataclass, fields

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.errors import UnknownNameError
from nasbench_harness.report.model import ReportTable
from nasbench_harness.report.render.html import to_html_table
from nasbench_harness.report.render.text import to_markdown
from nasbench_harness.report.sections.main import main_table
from nasbench_harness.report.sections.task import task_table


@dataclass(frozen=True)
class ShownTable(ReportTable):
    """A table whose text is Markdown, and that a notebook shows as HTML."""

    @classmethod
    def of(cls, table: ReportTable) -> ShownTable:
        """The same table."""
        return cls(**{field.name: getattr(table, field.name) for field in fields(table)})

    def __str__(self) -> str:
        return to_markdown(self)

    def __repr__(self) -> str:  # an interactive session and a notebook's file hold it
        return str(self)

    def _repr_html_(self) -> str:
        return to_html_table(self)


def table_of(analysis: Analysis, task: str | None = None) -> ShownTable:
    """The main table with all tasks, or one task's table in detail.

    Raises:
        UnknownNameError: The study has no such task.
    """
    if task is None:
        return ShownTable.of(main_table(analysis))
    entries = {entry.task.name: entry for entry in analysis.tasks}
    if task not in entries:
        raise UnknownNameError("task", task, entries, "this study")
    return ShownTable.of(task_table(analysis, entries[task]))
