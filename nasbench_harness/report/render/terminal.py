"""Tables on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import caption_text
from nasbench_harness.report.model import ReportCell, ReportTable
from nasbench_harness.report.render.text import MARK
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.spending import spending_table
from nasbench_harness.report.sections.task import task_table

_MAX_TASKS_IN_DETAIL = 4
_SPREAD = re.compile(r" (?=[±\[(])")  # what follows an estimate
_UNBOUNDED = 10_000
BEST = "*"  # stands for bold without color
_SHORTENED = "estimates; a wider terminal shows their spread"
_MAX_NAME = 22  # letters of a name that are never folded


def print_report(console: Console, analysis: Analysis) -> None:
    """Few tasks: one block per task; many: tasks × strategies. Then ranks, spending and the caption."""
    overviews, spent = overview_tables(analysis), spending_table(analysis)
    if len(analysis.tasks) <= _MAX_TASKS_IN_DETAIL:
        for entry in analysis.tasks:
            table = task_table(analysis, entry)
            title = f"{entry.task.title} · {entry.task.name}"
            last = next((column for column in table.columns if column.key == f"{entry.val.view.distance}_iqm"), None)
            if last is not None and not _fits(console, table):
                table = without(table, last.key)
                title += f" (a wider terminal shows {last.header.partition(' [')[0]})"
            print_table(console, table, title)
            _print_notes(console, table.notes)
            print_table(console, _of_task(spent, entry.task.name), f"What a run spent · {entry.task.name}")
        if len(analysis.tasks) > 1 and len(analysis.labels) > 1:
            ranks = sorted(zip(analysis.mean_ranks.tolist(), analysis.labels, strict=True))
            line = "  ".join(f"{label} {rank:.2f}" for rank, label in ranks if rank == rank)
            console.print(Text.assemble(("mean rank over tasks  ", "bold"), line))
    else:
        for table in overviews:
            print_table(console, table, f"Final {distance_name(analysis.tasks)}")
            _print_notes(console, table.notes)
        console.print(Text(_repeats(analysis), style="dim"))
    is_detailed = len(analysis.tasks) <= _MAX_TASKS_IN_DETAIL
    caption = caption_text(analysis) if is_detailed else overviews[0].caption
    console.print(Text(caption.replace("Bold: ", f"Bold and {BEST}: "), style="dim"))


def print_table(console: Console, table: ReportTable, title: str) -> None:
    """Print the table whole, without its spreads, or one row under the other: the first that the terminal can hold.

    Args:
        console: The terminal.
        table: Any table of a report.
        title: A line above it.
    """
    for candidate, heading in ((table, title), (_estimates_only(table), f"{title} ({_SHORTENED})")):
        if _fits(console, candidate):
            console.print(_to_rich(candidate, heading))
            return
    console.print(Text(title, style="bold"))
    shown = [position for position, column in enumerate(table.columns) if not column.is_extra]
    for row in table.rows:
        first = row.cells[0].text
        name = f"{table.columns[0].header} {first}" if first.isdigit() else first
        console.print(Text(name, style="underline" if row.is_highlighted else ""))
        for position in shown[1:]:
            cell, column = row.cells[position], table.columns[position]
            if cell.text != "–":
                header = f"{column.group} {column.header}".strip()
                console.print(Text.assemble(f"  {header}: ", _text(cell, has_marks=False)))


def _fits(console: Console, table: ReportTable) -> bool:
    """Whether no number of the table would be cut off."""
    # Names may be folded, numbers may not.
    rows = [
        replace(row, cells=(replace(row.cells[0], text=row.cells[0].text[:_MAX_NAME]), *row.cells[1:]))
        for row in table.rows
    ]
    unbounded = console.options.update(width=_UNBOUNDED)
    folded = _to_rich(replace(table, rows=tuple(rows)), "")
    return Measurement.get(console, unbounded, folded).maximum <= console.width


def without(table: ReportTable, key: str) -> ReportTable:
    """The table with a column left out on the terminal."""
    columns = (replace(column, is_extra=column.is_extra or column.key == key) for column in table.columns)
    return replace(table, columns=tuple(columns))


def _of_task(table: ReportTable, task: str) -> ReportTable:
    """The rows of one task, without the column that names it."""
    rows = tuple(replace(row, cells=row.cells[1:]) for row in table.rows if row.cells[0].text == task)
    return replace(table, columns=table.columns[1:], rows=rows)


def _estimates_only(table: ReportTable) -> ReportTable:
    """The table without standard deviations, quartiles, intervals and bounds; columns of words stay whole."""
    rows = []
    for row in table.rows:
        pairs = zip(row.cells, table.columns, strict=True)
        cells = [
            replace(cell, text=_SPREAD.split(cell.text)[0]) if column.is_number else cell for cell, column in pairs
        ]
        rows.append(replace(row, cells=(row.cells[0], *cells[1:])))
    return replace(table, rows=tuple(rows))


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(Text(note))


def _repeats(analysis: Analysis) -> str:
    """Repeated proposals of each strategy, averaged over tasks."""
    parts = []
    for label in analysis.labels:
        spent = [result.spending for entry in analysis.tasks if (result := entry.result(label))]
        by_index = sum(part.repeats_by_index for part in spent) / len(spent)
        by_class = sum(part.repeats_by_class for part in spent) / len(spent)
        parts.append(f"{label} {by_index:.1f} / {by_class:.1f}")
    return "Repeated proposals a run, by index / by isomorphism class, mean over tasks: " + ", ".join(parts) + "."


def _to_rich(table: ReportTable, title: str) -> RichTable:
    """A rich table; the best is bold green, and strategies that are not significantly worse are marked."""
    rich = RichTable(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [position for position, column in enumerate(table.columns) if not column.is_extra]
    marked = {
        position
        for position in shown
        if any(row.cells[position].is_marked or row.cells[position].is_bold for row in table.rows)
    }
    for position in shown:
        column = table.columns[position]
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        header = re.sub(r" (?=\[|\([^)]*\)$|optimum|by )|(?<=-)(?=[a-z])", "\n", column.header)
        if column.group:
            header = "\n".join([*re.split(r" (?=\()", column.group), header])
        texts = [row.cells[position].text for row in table.rows] + header.split()
        width = None if column.is_number else min(_MAX_NAME, max(map(len, texts)))
        rich.add_column(header, justify=justify, no_wrap=column.is_number, overflow="fold", min_width=width)
    for row in table.rows:
        style = "dim" if row.block in ("reference", "quoted") else "underline" if row.is_highlighted else ""
        rich.add_row(*(_text(row.cells[position], position in marked) for position in shown), style=style)
    return rich


def _text(cell: ReportCell, has_marks: bool) -> Text:
    # In a column with marks every cell gets a place for one, so that numbers stay aligned.
    mark = BEST if cell.is_bold else MARK if cell.is_marked else " " if has_marks else ""
    return Text(cell.text + mark, style="bold green" if cell.is_bold else "")
