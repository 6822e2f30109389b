"""The table object that terminal, Markdown, LaTeX, CSV and JSON render, so that their numbers cannot differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReportCell:
    """Content of one place of a table.

    Attributes:
        text: As printed, without marks; "–" for nothing.
        numbers: Full digits by suffix of the column's key, e.g. {"mean": …, "std": …}.
        latex: As siunitx reads it; None: the text, in braces.
        is_bold: Best of its column.
        is_marked: Not significantly worse than the best.
    """

    text: str
    numbers: dict[str, Any] = field(default_factory=dict)
    latex: str | None = None
    is_bold: bool = False
    is_marked: bool = False


@dataclass(frozen=True)
class ReportColumn:
    """A column: ``key`` for machines, ``header`` with unit for people, ``group`` above several columns."""

    key: str
    header: str
    group: str = ""
    is_number: bool = True
    is_extra: bool = False  # left out where space is short


@dataclass(frozen=True)
class ReportRow:
    """A row; ``block`` separates reference rows from strategies, quoted rows and optima."""

    cells: tuple[ReportCell, ...]
    block: str = "strategies"
    is_highlighted: bool = False


@dataclass(frozen=True)
class ReportTable:
    """A table with its texts.

    Attributes:
        name: Name of its files.
        title: One or two sentences that only this table needs.
        columns: Columns.
        rows: Rows.
        notes: Lines under the table.
        details: Method in full: samples, selection rule, tests, source of the data. A report prints it once.
        summary: Method in one line, for short captions.
        headings: Text above each block of rows that has one.
    """

    name: str
    title: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...] = ()
    details: str = ""
    summary: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """Title and method in full."""
        return f"{self.title} {self.details}".strip()


NOTHING = ReportCell("–")
