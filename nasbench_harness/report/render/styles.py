"""Line styles bound to labels: a strategy looks the same in every figure, whatever else is compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_harness.store.styles import style_numbers

# Okabe and Ito's palette: distinct under the common color deficiencies; dashes and markers tell lines apart in print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The strategies that are compared by default have a color and dashes of their own, without markers.
_PLAIN_DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1)))
# Shapes, filled and hollow; those of one shape are far from each other.
MARKERS = (
    ("o", True),
    ("s", False),
    ("^", True),
    ("D", False),
    ("v", True),
    ("o", False),
    ("s", True),
    ("^", False),
    ("D", True),
    ("P", True),
    ("X", True),
    ("*", True),
)


@dataclass(frozen=True)
class LineStyle:
    """Look of a line.

    Attributes:
        color: Color of line, marker and band.
        dashes: Dashes as Matplotlib reads them.
        marker: Marker; empty for none.
        is_filled: Whether the marker is filled.
    """

    color: str
    dashes: Any
    marker: str = ""
    is_filled: bool = True


def style_of_number(number: int) -> LineStyle:
    """Look of a style; different numbers below ``NUM_STYLES`` look different.

    Args:
        number: Number of the style (see ``style_numbers``).

    Example:
        >>> style_of_number(5)
        LineStyle(color='#0072B2', dashes='-', marker='o', is_filled=True)
    """
    if number < len(_PLAIN_DASHES):
        return LineStyle(COLORS[number], _PLAIN_DASHES[number])
    rest = number - len(_PLAIN_DASHES)
    color, shape = rest % len(COLORS), rest // len(COLORS) % len(MARKERS)
    turn = rest // (len(COLORS) * len(MARKERS))
    return LineStyle(COLORS[color], DASHES[(turn + color + shape) % len(DASHES)], *MARKERS[shape])


def styles_of(labels: Iterable[str], numbers: Mapping[str, int] | None = None) -> dict[str, LineStyle]:
    """Style of each label.

    Args:
        labels: Labels of a figure.
        numbers: Number of each label's style in the study; None: as in a study of these labels.

    Example:
        >>> styles_of(["random-search"])["random-search"].color
        '#009E73'
    """
    shown = list(labels)
    numbers = style_numbers(shown) if numbers is None else numbers
    return {label: style_of_number(numbers[label]) for label in shown}


def line_options(style: LineStyle, width: float, times: Any) -> dict[str, Any]:
    """Keyword arguments of Matplotlib's ``plot``; markers stand at about six places along the axis.

    Args:
        style: Look of the line.
        width: Width of the line in points.
        times: Positions of the line's points, ascending and positive, shape (num_steps,).
    """
    options: dict[str, Any] = {"color": style.color, "linestyle": style.dashes, "linewidth": width}
    if style.marker:
        places = np.unique(np.searchsorted(times, np.geomspace(times[0], times[-1], 6)))
        options |= {"marker": style.marker, "markevery": places.tolist(), "markersize": 3.5}
        options |= {"markerfacecolor": style.color if style.is_filled else "white", "markeredgewidth": 0.7}
    return options
