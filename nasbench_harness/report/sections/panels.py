"""Figures with one panel for each task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.render.pictures import FIGURE_STYLE, TEXT_WIDTH, load_matplotlib, without_minor_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shown = TypeVar("Shown")
_PANEL_WIDTH = 1.6  # inches that a panel needs, so that its text has at least 7 points
MAX_IN_LEGEND = 14  # names of a legend; of more lines, each has its name beside its end
_NAME_HEIGHT, _CHARACTER_WIDTH = 0.115, 0.056  # inches of a name with 7 points


def task_panels(
    entries: Sequence[Shown],
    draw: Callable[[Axes, Shown, bool, bool], None],
    *,
    width: float | None = None,
    row_height: float = 1.85,
    panel_width: float = _PANEL_WIDTH,
    extra_height: float = 0.55,
    names_width: float = 0.0,
    order: Sequence[str] = (),
    ax: Axes | None = None,
) -> Figure:
    """Draw one panel for each task, and one legend for all of them, or the names beside the lines if there are many.

    Args:
        entries: Tasks, or whatever else has a panel.
        draw: Draws one of them into axes; the last two arguments say whether the panel is the first of its row, and the
            last of its column.
        width: Width in inches; None: the text of a single-column paper.
        row_height: Height of a row of panels in inches.
        panel_width: Least width of a panel in inches.
        extra_height: Height of the legend and of the lowest names in inches.
        names_width: Width of the names beside the first panel of a row in inches. If there are such names, the layout
            takes several passes.
        order: Labels of the legend, in order.
        ax: Axes to draw into, for a single task; the figure is theirs.

    Raises:
        InvalidInputError: There is no task, or there are several for one pair of axes.
    """
    mpl = load_matplotlib()
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from nasbench_harness.report.render.notebook import NotebookFigure

    if not entries:
        raise InvalidInputError("no chosen task has values for this figure: choose other tasks, or another figure")
    if ax is not None:
        if len(entries) > 1:
            raise InvalidInputError(f"ax holds one panel, and there are {len(entries)} tasks: choose one with tasks")
        with mpl.rc_context(FIGURE_STYLE):
            draw(ax, entries[0], True, True)
        return ax.get_figure(root=True)  # type: ignore[return-value]
    inches = width or TEXT_WIDTH
    has_names_beside = len(order) > MAX_IN_LEGEND
    legend_columns = max(1, min(4, int(inches // 1.3)))
    if has_names_beside:
        row_height = max(row_height, _NAME_HEIGHT * len(order) + 0.5)
        panel_width += _CHARACTER_WIDTH * max(map(len, order)) + 0.3
    else:
        extra_height += 0.15 * max(0, math.ceil(len(order) / legend_columns) - 2)
    most = min(3 if inches <= TEXT_WIDTH else 4, len(entries))
    num_columns = max(1, min(most, int((inches - names_width) // panel_width)))
    num_rows = math.ceil(len(entries) / num_columns)
    with mpl.rc_context(FIGURE_STYLE):
        figure = NotebookFigure(figsize=(inches, row_height * num_rows + extra_height))
        panels = figure.subplots(num_rows, num_columns, squeeze=False)
        for position, panel in enumerate(panels.flat):
            if position >= len(entries):
                panel.set_axis_off()
                continue
            draw(panel, entries[position], position % num_columns == 0, position >= len(entries) - num_columns)
        if has_names_beside:
            for panel in panels.flat[: len(entries)]:
                _names_beside(panel)
        else:
            _legend(figure, list(panels.flat), order, legend_columns)
        has_long_names = has_names_beside or names_width > 0
        engine = ConstrainedLayoutEngine(w_pad=0.12) if has_long_names else ConstrainedLayoutEngine()
        with without_minor_ticks(figure):  # they change no extent, and their lines take half of the layout's time
            for _ in range(3 if has_long_names else 1):
                engine.execute(figure)
    return figure


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


def _names_beside(panel: Axes) -> None:
    """The name of each line beside its end, from top to bottom in the order of the ends, with a sample of the line."""
    from matplotlib.lines import Line2D

    right, ends = panel.get_xlim()[1], dict[Line2D, float]()
    to_panel = panel.transData + panel.transAxes.inverted()
    for line in panel.lines:
        if str(line.get_label()).startswith("_"):
            continue
        heights = np.asarray(line.get_ydata(), dtype=np.float64)
        finite = heights[np.isfinite(heights)]
        if len(finite):
            height = float(to_panel.transform((right, finite[-1]))[1])
            ends[line] = min(max(height, 0.0), 1.0) if math.isfinite(height) else 0.0
    places = np.linspace(1, 0, len(ends)).tolist()
    for place, line in zip(places, sorted(ends, key=lambda line: -ends[line]), strict=True):
        sample = Line2D([], [])
        sample.update_from(line)
        sample.set(data=([1, 1.06, 1.14, 1.22], [ends[line], place, place, place]), drawstyle="default", markevery=[2])
        sample.set(transform=panel.transAxes, clip_on=False, linewidth=0.8, label="_sample")
        panel.add_artist(sample)
        panel.annotate(
            str(line.get_label()),
            (1.22, place),
            (2, 0),
            "axes fraction",
            "offset points",
            va="center_baseline",
            fontsize=7,
        )
