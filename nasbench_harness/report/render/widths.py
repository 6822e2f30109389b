"""Widths of LaTeX tables, estimated from their characters, so that none overruns its column of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

# TeX points; a two-column style names the width of one column and of the page.
WIDTHS_PT = {"neurips": 397.0, "icml": 234.8, "ieee-column": 252.0, "ieee-page": 516.0}
# (command, size in points, space on each side of a column in points), the first that fits is taken.
SIZES = ((r"\small", 9.0, 4.0), (r"\footnotesize", 8.0, 3.0), (r"\scriptsize", 7.0, 2.0))
# Widths in em, of the bold series, which is the wider one. Computer Modern is wider than Times.
_WIDE, _CAPITAL, _LOWER, _DIGIT, _NARROW = 0.96, 0.82, 0.575, 0.59, 0.34
_SMALL_FONTS = 1.06  # fonts below 9 points are wider for their size


@dataclass(frozen=True)
class Layout:
    """Size and panels of a table.

    Attributes:
        size: Command that sets the size of the letters.
        separation_pt: Space on each side of a column.
        panels: Positions of the columns of each panel; the first column is in all of them.
    """

    size: str
    separation_pt: float
    panels: tuple[tuple[int, ...], ...]


def width_pt(name: str) -> float:
    """Points of a named width, or of a number of points."""
    return WIDTHS_PT[name] if name in WIDTHS_PT else float(name)


def is_page(name: str) -> bool:
    """Whether a table of this width spans both columns of a page."""
    return name == "ieee-page"


def width_em(text: str) -> float:
    """Width of a text in em, never below its real one."""
    total = 0.0
    for character in text:
        if character in "mwMW@%—":
            total += _WIDE
        elif character.isupper() or character in "±×≤+−=<>†&":
            total += _CAPITAL
        elif character.isdigit():
            total += _DIGIT
        elif character in " .,:;ijl()[]|'-–":
            total += _NARROW
        else:
            total += _LOWER
    return total


def layout(widths_em: Sequence[float], groups: Sequence[str], available_pt: float) -> Layout:
    """Choose the largest size at which all columns fit side by side; else set panels under each other.

    Args:
        widths_em: Width of each column in em.
        groups: Group of each column; columns of one group stay in one panel if they fit.
        available_pt: Width of the text.
    """
    everything = tuple(range(len(widths_em)))
    for size, points, separation in SIZES:
        if _total(widths_em, everything, points, separation) <= available_pt:
            return Layout(size, separation, (everything,))
    candidates = []
    for size, points, separation in SIZES[1:]:
        candidates.append(Layout(size, separation, _panels(widths_em, groups, points, separation, available_pt)))
    return min(candidates, key=lambda candidate: len(candidate.panels))


def _panels(
    widths_em: Sequence[float], groups: Sequence[str], points: float, separation: float, available_pt: float
) -> tuple[tuple[int, ...], ...]:
    """Columns in panels, as many in each as fit."""
    panels: list[tuple[int, ...]] = [(0,)]
    for _, members in groupby(range(1, len(widths_em)), key=lambda position: groups[position] or position):
        block = tuple(members)
        is_kept = _fits(widths_em, (0, *block), points, separation, available_pt)
        for part in [block] if is_kept else [(position,) for position in block]:
            if panels[-1] != (0,) and not _fits(widths_em, panels[-1] + part, points, separation, available_pt):
                panels.append((0,))
            panels[-1] += part
    return tuple(panels)


def _fits(widths: Sequence[float], panel: tuple[int, ...], points: float, separation: float, limit: float) -> bool:
    return _total(widths, panel, points, separation) <= limit


def _total(widths: Sequence[float], panel: tuple[int, ...], points: float, separation: float) -> float:
    factor = points * (1.0 if points >= 9 else _SMALL_FONTS)
    return sum(widths[position] for position in panel) * factor + 2 * separation * (len(panel) - 1)
