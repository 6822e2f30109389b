"""Figures with one panel for each task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.render.pictures import FIGURE_STYLE, TEXT_WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shown = TypeVar("Shown")
_PANEL_WIDTH = 1.6  # inches that a panel needs, so that its text has at least 7 points


def task_panels(
    entries: Sequence[Shown],
    draw: Callable[[Axes, Shown, bool, bool], None],
    *,
    width: float | None = None,
    row_height: float = 1.85,
    panel_width: float = _PANEL_WIDTH,
    extra_height: float = 0.55,
    has_long_names: bool = False,
    order: Sequence[str] = (),
    ax: Axes | None = None,
) -> Figure:
    """Draw one panel for each task, and one legend for all of them.

    Args:
        entries: Tasks, or whatever else has a panel.
        draw: Draws one of them into axes; the last two arguments say whether the panel is the first of its row, and the
            last of its column.
        width: Width in inches; None: the text of a single-column paper.
        row_height: Height of a row of panels in inches.
        panel_width: Least width of a panel in inches.
        extra_height: Height of the legend and of the lowest names in inches.
        has_long_names: Whether labels of strategies stand beside the panels; the layout then takes several passes.
        order: Labels of the legend, in order.
        ax: Axes to draw into, for a single task; the figure is theirs.

    Raises:
        InvalidInputError: There is no task, or there are several for one pair of axes.
    """
    import matplotlib as mpl
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from nasbench_harness.report.render.notebook import NotebookFigure

    if not entries:
        raise InvalidInputError("no task has what this figure shows")
    if ax is not None:
        if len(entries) > 1:
            raise InvalidInputError(f"ax holds one panel, and there are {len(entries)} tasks: choose one with tasks")
        with mpl.rc_context(FIGURE_STYLE):
            draw(ax, entries[0], True, True)
        return ax.get_figure(root=True)  # type: ignore[return-value]
    inches = width or TEXT_WIDTH
    num_columns = max(1, min(3 if inches <= TEXT_WIDTH else 4, len(entries), int(inches // panel_width)))
    num_rows = math.ceil(len(entries) / num_columns)
    with mpl.rc_context(FIGURE_STYLE):
        figure = NotebookFigure(figsize=(inches, row_height * num_rows + extra_height))
        panels = figure.subplots(num_rows, num_columns, squeeze=False)
        for position, panel in enumerate(panels.flat):
            if position >= len(entries):
                panel.set_axis_off()
                continue
            draw(panel, entries[position], position % num_columns == 0, position >= len(entries) - num_columns)
        _legend(figure, list(panels.flat), order, max(1, min(4, int(inches // 1.3))))
        engine = ConstrainedLayoutEngine(w_pad=0.12) if has_long_names else ConstrainedLayoutEngine()
        with _no_minor_ticks(figure):
            for _ in range(3 if has_long_names else 1):
                engine.execute(figure)
    return figure


@contextmanager
def _no_minor_ticks(figure: Figure) -> Iterator[None]:
    """The figure without minor ticks, for its layout: they change no extent, and their lines take half of its time."""
    from matplotlib.ticker import NullLocator

    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    locators = [axis.get_minor_locator() for axis in axes]
    for axis in axes:
        axis.set_minor_locator(NullLocator())
    yield
    for axis, locator in zip(axes, locators, strict=True):
        axis.set_minor_locator(locator)


def _legend(figure: Figure, panels: Sequence[Axes], order: Sequence[str], num_columns: int) -> None:
    """One legend with the lines of every panel: a trace may be on some tasks only."""
    lines: dict[str, Any] = {}
    for panel in panels:
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
            lines.setdefault(label, line)
    shown = [label for label in order if label in lines]
    if shown:
        handles = [lines[label] for label in shown]
        for columns in range(min(len(shown), num_columns), 0, -1):
            legend = figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False)
            if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
                break
            legend.remove()
