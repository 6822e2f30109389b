"""The report as one page: no network, no script needed, everything from data escaped."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nasbench_harness.report.model import ReportCell, ReportTable
from nasbench_harness.report.render.latex import LatexStyle, to_latex
from nasbench_harness.report.render.pictures import to_svg

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

# Notebooks break and right-align all cells, and cut wide tables off.
_NOTEBOOK_STYLE = (
    "div.nasbench-harness .scroll { overflow-x: auto } "
    "div.nasbench-harness td, div.nasbench-harness th { white-space: nowrap } "
    "div.nasbench-harness td:first-child, div.nasbench-harness th:first-child { text-align: left }"
)


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page.

    Attributes:
        figure: The figure.
        alt: Text for readers who do not see it.
        caption: Text under it.
    """

    figure: Figure
    alt: str
    caption: str


@dataclass(frozen=True)
class PageSection:
    """A section of the page.

    Attributes:
        title: Heading.
        paragraphs: Texts.
        points: List of sentences.
        tables: Tables, with a heading each; an empty heading is not shown.
        figures: Figures.
    """

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[tuple[str, ReportTable]] = ()
    figures: Sequence[PageFigure] = field(default_factory=tuple)


def to_html(title: str, sections: Sequence[PageSection], command: str, version: str, style: LatexStyle) -> str:
    """The whole page.

    Args:
        title: Title.
        sections: Sections, in order; the navigation names them.
        command: Command that generates the page.
        version: Version of the harness.
        style: Width of the LaTeX that the page offers.
    """
    from markupsafe import Markup

    css, js = (_template(name).strip() for name in ("report.css", "report.js"))
    template = _environment().get_template("report.html")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return template.render(
        title=title,
        command=command,
        version=version,
        policy=policy,
        css=Markup(css),
        js=Markup(js),
        sections=[_section(section, command, style) for section in sections],
    )


def to_html_table(table: ReportTable) -> str:
    """One table as HTML, for notebooks, with the few styles that it needs there."""
    shown = _table("", table, LatexStyle()) | {"is_sortable": False, "latex": "", "title": table.caption}
    text = getattr(_environment().get_template("table.html").module, "show")(shown)  # noqa: B009 - a macro
    return f'<div class="nasbench-harness">\n<style>{_NOTEBOOK_STYLE}</style>\n{text}</div>'


def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined
    )


def _template(name: str) -> str:
    return (files("nasbench_harness.report.render") / "templates" / name).read_text(encoding="utf-8")


def anchor(text: str) -> str:
    """A text as the name of an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _section(section: PageSection, command: str, style: LatexStyle) -> dict[str, Any]:
    return {
        "id": anchor(section.title),
        "title": section.title,
        "paragraphs": section.paragraphs,
        "points": section.points,
        "tables": [_table(heading, table, style) for heading, table in section.tables],
        "figures": [_figure(figure, command) for figure in section.figures],
    }


def _figure(shown: PageFigure, command: str) -> dict[str, Any]:
    width, height = (round(96 * inches) for inches in shown.figure.get_size_inches())
    data = base64.b64encode(to_svg(shown.figure, command)).decode()
    return {"data": data, "alt": shown.alt, "caption": shown.caption, "width": width, "height": height}


def _table(heading: str, table: ReportTable, style: LatexStyle) -> dict[str, Any]:
    columns = table.columns
    is_text = not any(column.is_number for column in columns)
    groups = [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]
    bodies = []
    for block, rows in groupby(table.rows, key=lambda row: row.block):
        shown = [
            {
                "is_highlighted": row.is_highlighted,
                "cells": [_cell(cell, column.is_number) for cell, column in zip(row.cells, columns, strict=True)],
            }
            for row in rows
        ]
        bodies.append({"block": anchor(block), "heading": table.headings.get(block, ""), "rows": shown})
    return {
        "id": anchor(table.name),
        "heading": heading,
        "label": f"Table: {heading or table.title}",
        "title": table.title,
        "columns": columns,
        "groups": groups if any(group for group, _ in groups) else [],
        "bodies": bodies,
        "notes": table.notes,
        "is_sortable": len(table.rows) > 2,
        "is_wrapped": is_text,
        "latex": "" if is_text else to_latex(table, style),
    }


def _cell(cell: ReportCell, is_number: bool) -> dict[str, Any]:
    numbers = [value for value in cell.numbers.values() if isinstance(value, int | float)]
    value = numbers[0] if is_number and numbers and math.isfinite(numbers[0]) else None
    return {
        "text": cell.text,
        "is_bold": cell.is_bold,
        "is_marked": cell.is_marked,
        "is_number": is_number,
        "value": value,
    }
