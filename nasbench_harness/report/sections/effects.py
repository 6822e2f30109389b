"""Figures of pairs: heat map of A12, and forest of differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.analysis.comparison import ALPHA, Pair
from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.captions import runs_text
from nasbench_harness.report.families import column_family, name_of_test, study_family
from nasbench_harness.report.render.pictures import TEXT_WIDTH
from nasbench_harness.report.sections.panels import task_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL, _SMALL_CELL = 0.26, 0.115  # inches of a cell with a number, and of the smallest one beside a name
_CHARACTER_WIDTH = 0.075  # inches of a character of a name, with room
_SCALE = 0.9  # inches of a scale of colors, with room


def heatmap_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """A12 of every row against every column, one panel per task; bold: significant after Holm within the task.

    A12 is the chance that the strategy of the row has the smaller regret, ties counting one half. If the cells are too
    small for numbers, a scale explains their colors, and a dot stands in place of bold.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.

    Raises:
        InvalidInputError: The width has no room for the names.
    """
    labels = list(analysis.labels)
    names = _CHARACTER_WIDTH * max(map(len, labels))
    least = names + _SCALE + _SMALL_CELL * len(labels)
    inches = width or max(TEXT_WIDTH, least)
    if inches < least and ax is None:
        text = (
            f"a heat map of {len(labels)} strategies needs {least:.1f} inches and has {inches:.1f}: choose strategies"
        )
        raise InvalidInputError(text)
    side = min(_CELL, (inches - names - 0.4) / len(labels))
    has_numbers = side > 0.8 * _CELL
    if not has_numbers:
        side = (inches - names - _SCALE) / len(labels)

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        chances = np.full((len(labels), len(labels)), np.nan)
        significant = np.zeros(chances.shape, dtype=bool)
        for pair in _pairs(analysis, entry):
            row, column = labels.index(pair.first), labels.index(pair.second)
            chances[row, column], chances[column, row] = pair.a12, 1 - pair.a12
            significant[row, column] = significant[column, row] = pair.p_column <= ALPHA
        image = panel.imshow(chances, cmap="PuOr_r", vmin=0, vmax=1)
        if not has_numbers:
            panel.figure.colorbar(image, ax=panel, shrink=0.6)
        for (row, column), chance in np.ndenumerate(chances):
            if not math.isnan(chance):
                weight = "bold" if significant[row, column] else "normal"
                color = "white" if abs(chance - 0.5) > 0.35 else "black"
                text = f"{chance:.2f}".lstrip("0") if has_numbers else "•" if significant[row, column] else ""
                panel.text(column, row, text, ha="center", va="center", fontsize=7, color=color, fontweight=weight)
        panel.set_xticks(range(len(labels)), labels if is_bottom else [""] * len(labels), rotation=90)
        panel.set_yticks(range(len(labels)), labels if is_left else [""] * len(labels))
        panel.tick_params(length=0)
        panel.set_title(entry.task.title)

    return task_panels(
        analysis.tasks,
        draw,
        width=inches,
        row_height=side * len(labels) + 0.35,
        panel_width=side * len(labels) + 0.15,
        extra_height=names + 0.1,
        names_width=names,
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
    longest = max((len(pair.first + pair.second) for pair in _pairs(analysis, analysis.tasks[0])), default=0)
    names = 0.05 * (longest + 3)
    return task_panels(analysis.tasks, draw, width=width, row_height=height, panel_width=1.05, names_width=names, ax=ax)


def heatmap_caption(analysis: Analysis) -> str:
    """Meaning of the numbers and of bold, with runs, test and family."""
    distance, runs = distance_name(analysis.tasks), runs_text(analysis, "run")
    text = f"A12: chance of the row to have the smaller {distance} than the column, N = {runs} of each strategy."
    if not _is_tested(analysis):
        return text
    family = f"Holm over {column_family(analysis.tasks)}"
    return f"{text} Bold: significant ({name_of_test(analysis)}, {family}, alpha = {ALPHA})."


def forest_caption(analysis: Analysis) -> str:
    """Meaning of the points, lines and the shade, with runs, test and family."""
    center = "interquartile mean of the " if analysis.options.estimand == "interval" else "mean "
    text = f"Differences of {center}{distance_name(analysis.tasks)}, N = {runs_text(analysis, 'run')} of each strategy."
    if _is_tested(analysis):
        text += (
            f" Lines: Welch's 95 % intervals, not corrected. Filled: significant ({name_of_test(analysis)}, "
            f"{study_family(analysis)}, alpha = {ALPHA})."
        )
    has_margin = any(entry.val.view.metric.unit == "%" for entry in analysis.tasks)
    return f"{text} Shaded: the margin of {analysis.options.margin:g} pp." if has_margin else text


def _is_tested(analysis: Analysis) -> bool:
    return any(pair.is_tested for entry in analysis.tasks for pair in _pairs(analysis, entry))


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
