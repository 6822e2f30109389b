"""Tables as LaTeX (booktabs and siunitx version 3), ready to be pasted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportTable
from nasbench_harness.report.render.widths import is_page, layout, width_em, width_pt

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
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "<": "$<$",
    ">": "$>$",
}
MAX_HEADER = 11  # letters of a name above numbers
_DAGGER = r"$^\dagger$"


@dataclass(frozen=True)
class LatexStyle:
    """Place of a table in a paper.

    Attributes:
        width: Name of a width, or TeX points (see ``widths.py``).
        notes: ``below``: the method in full under the table; ``apart``: not in the table.
    """

    width: str = "neurips"
    notes: str = "apart"


def to_latex(table: ReportTable, style: LatexStyle | None = None) -> str:
    """A table environment with a short caption above, one S column for every column of numbers, no extra columns.

    The size is the largest at which the columns fit into the width; if none does, the columns are split into panels
    that stand under each other.
    """
    style = style or LatexStyle()
    table = _without_extras(table)
    chosen = layout(
        [_width_em(table, position) for position in range(len(table.columns))],
        [column.group for column in table.columns],
        width_pt(style.width),
    )
    environment = "table*" if is_page(style.width) else "table"
    lines = [
        _PREAMBLE
        + rf"\begin{{{environment}}}\centering{chosen.size}\setlength{{\tabcolsep}}{{{chosen.separation_pt:g}pt}}",
        _SETTINGS,
        rf"\caption{{{escape(f'{table.title} {table.summary}'.strip())}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
    ]
    for number, panel in enumerate(chosen.panels):
        lines += [r"\par\medskip"] if number else []
        lines += _tabular(_without_empty_rows(_part(table, panel)))
    notes = [*table.notes, *([table.details] if style.notes == "below" and table.details else [])]
    if notes:
        text = r"\\ ".join(map(escape, notes))
        lines.append(r"\par\smallskip\parbox{\linewidth}{\footnotesize\raggedright " + text + "}")
    lines.append(rf"\end{{{environment}}}")
    return "\n".join(lines) + "\n"


def notes_text(tables: Sequence[ReportTable]) -> str:
    """The method of every table in full, as paragraphs, each text once."""
    by_text: dict[str, list[str]] = {}
    for table in tables:
        if table.details:
            by_text.setdefault(table.details, []).append(rf"Table~\ref{{tab:{table.name.replace('_', '-')}}}")
    return "\n\n".join(rf"\noindent {', '.join(names)}: {escape(text)}" for text, names in by_text.items()) + "\n"


def _part(table: ReportTable, positions: Sequence[int]) -> ReportTable:
    rows = [replace(row, cells=tuple(row.cells[position] for position in positions)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[position] for position in positions), rows=tuple(rows))


def _without_empty_rows(table: ReportTable) -> ReportTable:
    return replace(table, rows=tuple(row for row in table.rows if any(cell != NOTHING for cell in row.cells[1:])))


def _tabular(table: ReportTable) -> list[str]:
    columns = " ".join(_column(table, position) for position in range(len(table.columns)))
    lines = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule"]
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
    for block, rows in groupby(table.rows, key=lambda row: row.block):
        lines.append(r"\midrule")
        if block in table.headings:
            heading = escape(table.headings[block])
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\emph{{{heading}}}}} \\")
        for row in rows:
            cells = [_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
            if row.is_highlighted:
                cells[0] = rf"\textit{{{cells[0]}}}"
            lines.append(_row(cells))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _width_em(table: ReportTable, position: int) -> float:
    """Width of a column: its widest cell, header, and share of the header above it."""
    column = table.columns[position]
    is_marked = any(row.cells[position].is_marked for row in table.rows)
    cells = [width_em(row.cells[position].text) + 0.45 * is_marked for row in table.rows]
    broken = column.is_number and "-" in column.header and " " not in column.header and len(column.header) > MAX_HEADER
    headers = column.header.split("-", 1) if broken else [column.header]
    shared = sum(other.group == column.group for other in table.columns)
    above = width_em(column.group) / shared if column.group else 0.0
    if column.is_number and any(row.cells[position].latex for row in table.rows):
        # The column aligns numbers by their points: the widest parts on both sides add up.
        cells.append(_aligned_em(table, position) + 0.45 * is_marked)
    return max([*cells, *map(width_em, headers), above])


def _aligned_em(table: ReportTable, position: int) -> float:
    texts = [row.cells[position].text for row in table.rows if row.cells[position].latex is not None]
    left = max(width_em(text.partition(".")[0]) for text in texts)
    return left + max(width_em("." + text.partition(".")[2]) for text in texts)


def _header(text: str) -> str:
    """A header above numbers; a long name is broken at its first hyphen."""
    first, hyphen, rest = text.partition("-")
    if hyphen and " " not in text and len(text) > MAX_HEADER:
        return rf"\shortstack{{{escape(first)}-\\{escape(rest)}}}"
    return escape(text)


def _without_extras(table: ReportTable) -> ReportTable:
    return _part(table, [position for position, column in enumerate(table.columns) if not column.is_extra])


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
