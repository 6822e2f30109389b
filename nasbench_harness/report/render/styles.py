"""Line styles bound to labels: a strategy looks the same in every figure, whatever else is compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np

# Okabe and Ito's palette: distinct under the common color deficiencies; dashes and markers tell lines apart in print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p", "h", "*")
# The strategies that are compared by default have a color and dashes of their own, without markers.
_FIXED = ("genetic-algorithm", "local-search", "random-search", "regularized-evolution", "reinforce")


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


_STYLES = [LineStyle(*parts) for parts in product(COLORS, DASHES, MARKERS, (True, False))]


def styles_of(labels: Iterable[str]) -> dict[str, LineStyle]:
    """Style of each label; no two are alike.

    A style is a hash of the label. If two labels of a figure hash to one style (1 in 1,176 for each pair), the later
    one in alphabetical order takes the next free style.

    Args:
        labels: Labels of a figure, in any order.

    Example:
        >>> styles_of(["random-search"])["random-search"].color
        '#009E73'
    """
    found: dict[str, LineStyle] = {}
    taken = set()
    for label in sorted(labels):
        if label in _FIXED:
            place = _FIXED.index(label)
            found[label] = LineStyle(COLORS[place], DASHES[place])
            continue
        slot = int.from_bytes(sha256(label.encode()).digest()[:8], "big") % len(_STYLES)
        while slot in taken:
            slot = (slot + 1) % len(_STYLES)
        taken.add(slot)
        found[label] = _STYLES[slot]
    return found


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
