"""Tables on the terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from nasbench_harness.report.analysis import Analysis
from nasbench_harness.report.cells import distance_name
from nasbench_harness.report.table import Cell, Table
from nasbench_harness.report.tables import overview_tables, spending_table, task_table
from nasbench_harness.report.text import MARK

_MAX_TASKS_IN_DETAIL = 4
_MAX_NAME = 22  # letters of a name that are never folded
_MIN_WIDTH_WITH_TEST = 104  # of a task's table with intervals
_MIN_WIDTH_PER_STRATEGY = 15  # of a mean with its standard deviation


def print_report(console: Console, analysis: Analysis) -> None:
    """Few tasks: one block per task; many: tasks × strategies. Then ranks, spending and the caption."""
    overviews, spent = overview_tables(analysis), spending_table(analysis)
    if len(analysis.tasks) <= _MAX_TASKS_IN_DETAIL:
        for entry in analysis.tasks:
            table = task_table(analysis, entry)
            if entry.task.test is not None and console.width < _MIN_WIDTH_WITH_TEST:
                table = _without(table, "regret_iqm")
            console.print(to_rich(table, f"{entry.task.title} · {entry.task.name}"))
            console.print(to_rich(_of_task(spent, entry.task.name), f"What a run spent · {entry.task.name}"))
        if len(analysis.tasks) > 1 and len(analysis.labels) > 1:
            ranks = sorted(zip(analysis.mean_ranks.tolist(), analysis.labels, strict=True))
            line = "  ".join(f"{label} {rank:.2f}" for rank, label in ranks if rank == rank)
            console.print(Text.assemble(("mean rank over tasks  ", "bold"), line))
    else:
        for table in overviews:
            is_wide = console.width >= 20 + _MIN_WIDTH_PER_STRATEGY * (len(table.columns) - 1)
            name = f"Final {distance_name(analysis.tasks)}"
            title = name if is_wide else f"{name} (means; a wider terminal shows standard deviations)"
            console.print(to_rich(table if is_wide else _means_only(table), title))
        console.print(Text(_repeats(analysis), style="dim"))
    console.print(Text(overviews[0].caption, style="dim"))


def _without(table: Table, key: str) -> Table:
    """The table with a column left out on the terminal."""
    columns = (replace(column, is_extra=column.is_extra or column.key == key) for column in table.columns)
    return replace(table, columns=tuple(columns))


def _of_task(table: Table, task: str) -> Table:
    """The rows of one task, without the column that names it."""
    rows = tuple(replace(row, cells=row.cells[1:]) for row in table.rows if row.cells[0].text == task)
    return replace(table, columns=table.columns[1:], rows=rows)


def _means_only(table: Table) -> Table:
    rows = [
        replace(row, cells=tuple(replace(cell, text=cell.text.partition(" ±")[0]) for cell in row.cells))
        for row in table.rows
    ]
    return replace(table, rows=tuple(rows))


def _repeats(analysis: Analysis) -> str:
    """Repeated proposals of each strategy, averaged over tasks."""
    parts = []
    for label in analysis.labels:
        spent = [result.spending for entry in analysis.tasks if (result := entry.result(label))]
        by_index = sum(part.repeats_by_index for part in spent) / len(spent)
        by_class = sum(part.repeats_by_class for part in spent) / len(spent)
        parts.append(f"{label} {by_index:.1f} / {by_class:.1f}")
    return "Repeated proposals a run, by index / by isomorphism class, mean over tasks: " + ", ".join(parts) + "."


def to_rich(table: Table, title: str) -> RichTable:
    """A rich table; the best is bold green, what is not significantly worse is marked."""
    rich = RichTable(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [position for position, column in enumerate(table.columns) if not column.is_extra]
    marked = {position for position in shown if any(row.cells[position].is_marked for row in table.rows)}
    for position in shown:
        column = table.columns[position]
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        header = re.sub(r" (?=\[|\([^)]*\)$|optimum|by )|(?<=-)(?=[a-z])", "\n", column.header)
        width = None if column.is_number else min(_MAX_NAME, max(len(row.cells[position].text) for row in table.rows))
        rich.add_column(header, justify=justify, no_wrap=column.is_number, overflow="fold", min_width=width)
    for row in table.rows:
        style = "dim" if row.block in ("reference", "quoted") else "underline" if row.is_highlighted else ""
        rich.add_row(*(_text(row.cells[position], position in marked) for position in shown), style=style)
    return rich


def _text(cell: Cell, has_marks: bool) -> Text:
    # In a column with marks every cell gets a place for one, so that numbers stay aligned.
    mark = MARK if cell.is_marked and not cell.is_bold else " " if has_marks else ""
    return Text(cell.text + mark, style="bold green" if cell.is_bold else "")
