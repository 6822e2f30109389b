"""Figures of pairs: heat map of A12, and forest of differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.analysis.comparison import ALPHA, Pair
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.report.sections.panels import task_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heatmap_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """A12 of every row against every column, one panel per task; bold: significant after Holm within the task.

    A12 is the chance that the strategy of the row has the smaller regret, ties counting one half.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    labels = list(analysis.labels)

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        chances = np.full((len(labels), len(labels)), np.nan)
        significant = np.zeros(chances.shape, dtype=bool)
        for pair in _pairs(analysis, entry):
            row, column = labels.index(pair.first), labels.index(pair.second)
            chances[row, column], chances[column, row] = pair.a12, 1 - pair.a12
            significant[row, column] = significant[column, row] = pair.p_column <= ALPHA
        panel.imshow(chances, cmap="PuOr_r", vmin=0, vmax=1)
        for (row, column), chance in np.ndenumerate(chances):
            if not math.isnan(chance):
                weight = "bold" if significant[row, column] else "normal"
                color = "white" if abs(chance - 0.5) > 0.35 else "black"
                text = f"{chance:.2f}".lstrip("0")
                panel.text(column, row, text, ha="center", va="center", fontsize=7, color=color, fontweight=weight)
        panel.set_xticks(range(len(labels)), labels if is_bottom else [""] * len(labels), rotation=90)
        panel.set_yticks(range(len(labels)), labels if is_left else [""] * len(labels))
        panel.tick_params(length=0)
        panel.set_title(entry.task.title)

    side = 0.26 * len(labels)
    names = 0.075 * max(map(len, labels))  # inches that the longest name takes
    return task_panels(
        analysis.tasks,
        draw,
        width=width,
        row_height=side + 0.35,
        panel_width=side + 0.15 + names / 3,
        extra_height=names + 0.1,
        has_long_names=True,
        ax=ax,
    )


def forest_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """Differences of mean regret with Welch's 95 % intervals, one panel per task; the margin is shaded.

    Rows are the pairs with the declared control, or all pairs. A filled point is significant within the study.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    control = analysis.options.control

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        pairs = [pair for pair in _pairs(analysis, entry) if control in (None, pair.first, pair.second)]
        margin = analysis.options.margin
        if entry.val.view.metric.unit == "%":
            panel.axvspan(-margin, margin, color="0.88", linewidth=0)
        panel.axvline(0, color="0.4", linewidth=0.6)
        for row, pair in enumerate(pairs):
            if not math.isnan(pair.low):
                panel.plot([pair.low, pair.high], [row, row], color="#0072B2", linewidth=1)
            face = "#0072B2" if pair.p_study <= ALPHA else "white"
            panel.plot(pair.difference, row, "o", color="#0072B2", markerfacecolor=face, markersize=3.5)
        names = [f"{pair.first} − {pair.second}" for pair in pairs]
        panel.set_yticks(range(len(pairs)), names if is_left else [""] * len(pairs))
        panel.set_ylim(len(pairs) - 0.4, -0.6)
        _three_ticks(panel)
        panel.set_title(entry.task.title)
        if is_bottom:
            panel.set_xlabel(f"difference ({entry.val.view.metric.difference_unit})")

    num_pairs = max((len(_pairs(analysis, entry)) for entry in analysis.tasks), default=1)
    height = 0.16 * (num_pairs if control is None else len(analysis.labels) - 1) + 0.6
    return task_panels(analysis.tasks, draw, width=width, row_height=height, has_long_names=True, ax=ax)


def _three_ticks(panel: Axes) -> None:
    """Ticks at 0 and at 1, 2 or 5 times a power of ten on both sides: more labels do not fit into a narrow panel."""
    low, high = panel.get_xlim()
    far = max(-low, high)
    power = 10.0 ** math.floor(math.log10(far))
    size = max(factor for factor in (1, 2, 5) if factor * power <= far) * power
    places = [place for place in (-size, 0.0, size) if low <= place <= high]
    panel.set_xticks(places, [f"{place:g}".replace("-", "−") for place in places])
    panel.set_xlim(low, high)


def _pairs(analysis: Analysis, entry: TaskAnalysis) -> list[Pair]:
    return [pair for pair in entry.comparison.pairs if {pair.first, pair.second} <= set(analysis.labels)]
