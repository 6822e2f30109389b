"""Tables on the terminal."""

from __future__ import annotations

import re
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from nasbench_harness.report.analysis import Analysis
from nasbench_harness.report.tables import Cell, Table, main_tables, task_table
from nasbench_harness.report.text import MARK


def print_report(console: Console, analysis: Analysis) -> None:
    """One block per task, then the ranks over tasks, then the caption."""
    for entry in analysis.tasks:
        console.print(to_rich(task_table(analysis, entry), f"{entry.task.title} · {entry.task.name}"))
    if len(analysis.tasks) > 1 and len(analysis.labels) > 1:
        ranks = sorted(zip(analysis.mean_ranks.tolist(), analysis.labels, strict=True))
        line = "  ".join(f"{label} {rank:.2f}" for rank, label in ranks)
        console.print(Text.assemble(("mean rank over tasks  ", "bold"), line))
    console.print(Text(main_tables(analysis)[0].caption, style="dim"))


def to_rich(table: Table, title: str) -> RichTable:
    """A rich table; the best is bold green, what is not significantly worse is marked."""
    rich = RichTable(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [position for position, column in enumerate(table.columns) if not column.is_extra]
    marked = {position for position in shown if any(row.cells[position].is_marked for row in table.rows)}
    for column in (table.columns[position] for position in shown):
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        header = re.sub(r" (?=\[|\([^)]*\)$|optimum)", "\n", column.header, count=1)
        rich.add_column(header, justify=justify, no_wrap=column.is_number, overflow="fold")
    for row in table.rows:
        style = "dim" if row.block == "reference" else ""
        rich.add_row(*(_text(row.cells[position], position in marked) for position in shown), style=style)
    return rich


def _text(cell: Cell, has_marks: bool) -> Text:
    # In a column with marks every cell gets a place for one, so that numbers stay aligned.
    mark = MARK if cell.is_marked and not cell.is_bold else " " if has_marks else ""
    return Text(cell.text + mark, style="bold green" if cell.is_bold else "")
