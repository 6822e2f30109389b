"""Tables as LaTeX (booktabs and siunitx version 3), ready to be pasted."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby

from nasbench_harness.report.model import ReportCell, ReportColumn, ReportTable

_PREAMBLE = "% \\usepackage{booktabs,siunitx}  (siunitx version 3)\n"
# In the float, so that pasting the table is enough; the settings end with it.
_SETTINGS = r"\sisetup{separate-uncertainty=true, table-align-uncertainty=true, detect-weight=true, mode=text}"
_ESCAPES = {
    **{character: f"\\{character}" for character in "_%&#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "†": r"$\dagger$",
    "–": "--",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "<": "$<$",
    ">": "$>$",
}
MAX_NUMBERS_IN_SMALL = 4  # more columns of numbers are set in a smaller size
MAX_HEADER = 11  # letters of a name above numbers
_DAGGER = r"$^\dagger$"


def to_latex(table: ReportTable) -> str:
    """A table environment with the caption above, one S column for every column of numbers, extra columns left out."""
    table = _without_extras(table)
    is_wide = sum(column.is_number for column in table.columns) > MAX_NUMBERS_IN_SMALL
    size = r"\footnotesize\setlength{\tabcolsep}{3pt}" if is_wide else r"\small\setlength{\tabcolsep}{4pt}"
    lines = [
        _PREAMBLE + rf"\begin{{table}}\centering{size}",
        _SETTINGS,
        rf"\caption{{{escape(table.caption)}}}",
    ]
    lines.append(rf"\begin{{tabular}}{{@{{}}{' '.join(_column(table, i) for i in range(len(table.columns)))}@{{}}}}")
    lines.append(r"\toprule")
    if any(column.group for column in table.columns):
        lines.append(_groups(table.columns))
    lines.append(
        _row(
            [
                escape(column.header) if not column.is_number else f"{{{_header(column.header)}}}"
                for column in table.columns
            ]
        )
    )
    for _, rows in groupby(table.rows, key=lambda row: row.block):
        lines.append(r"\midrule")
        for row in rows:
            cells = [_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
            if row.is_highlighted:
                cells[0] = rf"\textit{{{cells[0]}}}"
            lines.append(_row(cells))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines.append(r"\par\smallskip\parbox{\linewidth}{\footnotesize " + r"\\ ".join(map(escape, table.notes)) + "}")
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _header(text: str) -> str:
    """A header above numbers; a long name is broken at its first hyphen."""
    first, hyphen, rest = text.partition("-")
    if hyphen and " " not in text and len(text) > MAX_HEADER:
        return rf"\shortstack{{{escape(first)}-\\{escape(rest)}}}"
    return escape(text)


def _without_extras(table: ReportTable) -> ReportTable:
    shown = [position for position, column in enumerate(table.columns) if not column.is_extra]
    rows = [replace(row, cells=tuple(row.cells[position] for position in shown)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[position] for position in shown), rows=tuple(rows))


def escape(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _column(table: ReportTable, position: int) -> str:
    if not table.columns[position].is_number:
        return "l"
    cells = [row.cells[position] for row in table.rows if row.cells[position].latex is not None]
    if not cells:
        return "c"
    numbers = [re.fullmatch(r"([+-]?\d+)(?:\.(\d+))?(?:\((\d+)\))?", str(cell.latex)) for cell in cells]
    whole = max(len(match[1].lstrip("+-")) for match in numbers if match)
    fraction = max(len(match[2] or "") for match in numbers if match)
    uncertainty = max(len(match[3] or "") for match in numbers if match)
    sign = "-" if any(match[1].startswith(("+", "-")) for match in numbers if match) else ""
    form = f"{sign}{whole}.{fraction}" + (f"({uncertainty})" if uncertainty else "")
    is_marked = any(row.cells[position].is_marked and not row.cells[position].is_bold for row in table.rows)
    post = f",table-space-text-post={{{_DAGGER}}}" if is_marked else ""
    return f"S[table-format={form}{post}]"


def _cell(cell: ReportCell, column: ReportColumn) -> str:
    mark = _DAGGER if cell.is_marked and not cell.is_bold else ""
    if not column.is_number:
        return escape(cell.text)
    if cell.latex is None:
        text = escape(cell.text) + mark
        return f"{{\\bfseries {text}}}" if cell.is_bold else f"{{{text}}}"
    return (r"\bfseries " if cell.is_bold else "") + cell.latex + mark


def _groups(columns: tuple[ReportColumn, ...]) -> str:
    parts, rules, start = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        width = len(list(members))
        if not group:
            parts += [""] * width
        else:
            parts.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return _row(parts) + " " + " ".join(rules)


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
