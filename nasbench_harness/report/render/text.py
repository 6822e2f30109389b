"""Tables as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from typing import Any

from nasbench_harness.report.model import ReportCell, ReportTable
from nasbench_harness.untrusted import spreadsheet_row

MARK = "†"


def to_markdown(table: ReportTable, has_details: bool = True) -> str:
    """GitHub-flavored Markdown: caption, table, then its notes.

    Args:
        table: The table.
        has_details: Whether the caption describes the method in full; a report does this once for all tables.
    """
    headers = [f"{column.group} {column.header}".strip() for column in table.columns]
    lines = [table.caption if has_details else table.title, "", _line(headers)]
    lines.append(_line(["--:" if column.is_number else ":--" for column in table.columns]))
    for block, rows in groupby(table.rows, key=lambda row: row.block):
        if block in table.headings:
            lines.append(_line([f"*{table.headings[block]}*", *[""] * (len(table.columns) - 1)]))
        lines += [_line([_markdown_cell(cell, row.is_highlighted) for cell in row.cells]) for row in rows]
    for note in table.notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def to_csv(table: ReportTable) -> str:
    """Full digits: one column for each number of a cell; empty if there is none."""
    fields = _fields(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(spreadsheet_row(["block", *(key for key, _, _ in fields)]))
    for row in table.rows:
        cells = (_number(row.cells[position], suffix) for _, position, suffix in fields)
        writer.writerow(spreadsheet_row([row.block, *cells]))
    return buffer.getvalue()


def to_json(table: ReportTable) -> dict[str, Any]:
    """Caption and rows as dictionaries with full digits and marks."""
    fields = _fields(table)
    rows = []
    for row in table.rows:
        record: dict[str, Any] = {"block": row.block}
        for key, position, suffix in fields:
            number = _number(row.cells[position], suffix)
            record[key] = None if number == "" else number
        marks = {"bold": [], "not_significantly_worse": []}  # type: dict[str, list[str]]
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.is_bold:
                marks["bold"].append(column.key)
            if cell.is_marked:
                marks["not_significantly_worse"].append(column.key)
        rows.append(record | {name: keys for name, keys in marks.items() if keys})
    found = {"name": table.name, "caption": table.title, "rows": rows}
    return found | ({"notes": list(table.notes)} if table.notes else {})


def _fields(table: ReportTable) -> list[tuple[str, int, str | None]]:
    """(key, position of the column, suffix of the number; None for text) of every field, in order."""
    fields: list[tuple[str, int, str | None]] = []
    for position, column in enumerate(table.columns):
        if not column.is_number:
            fields.append((column.key, position, None))
            continue
        suffixes = dict.fromkeys(suffix for row in table.rows for suffix in row.cells[position].numbers)
        keys = [(f"{column.key}_{suffix}" if suffix else column.key, suffix) for suffix in suffixes or ("",)]
        fields += [(key, position, suffix) for key, suffix in keys]
    return fields


def _number(cell: ReportCell, suffix: str | None) -> Any:
    return cell.text if suffix is None else cell.numbers.get(suffix, "")


def _markdown_cell(cell: ReportCell, is_highlighted: bool) -> str:
    text = cell.text.replace("|", "\\|")
    if is_highlighted and not cell.numbers and cell.text != "–":
        text = f"*{text}*"
    return (f"**{text}**" if cell.is_bold else text) + (MARK if cell.is_marked and not cell.is_bold else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
