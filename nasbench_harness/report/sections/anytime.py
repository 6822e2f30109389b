"""Figure of regret over evaluations or simulated seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nasbench_harness.analysis.curves import MAX_BAND_STEPS, Band, Curve, band_steps
from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.report.render.styles import LineStyle, line_options, styles_of
from nasbench_harness.report.sections.panels import task_panels
from nasbench_harness.store.record import MIN_SEEDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXACT_SEARCH = "random search, exact"  # label of its line

Axis = Literal["evaluations", "seconds"]
AXES: dict[Axis, str] = {"evaluations": "anytime", "seconds": "anytime_seconds"}  # names of the figures


def tasks_with(analysis: Analysis, axis: Axis) -> list[TaskAnalysis]:
    """Tasks that have curves over this axis: all over evaluations, those with training times over seconds."""
    return [entry for entry in analysis.tasks if axis == "evaluations" or entry.times_s is not None]


def figure_notes(analysis: Analysis) -> str:
    """Meaning of the lines, and the tasks that have no curve over simulated seconds."""
    timed = {entry.task.name for entry in tasks_with(analysis, "seconds")}
    untimed = [entry.task.name for entry in analysis.tasks if entry.task.name not in timed]
    text = f"`anytime`: {distance_name(analysis.tasks)} of what a run would return after each evaluation"
    if timed:
        text += "; `anytime_seconds`: the same at simulated seconds"
    has_band = [result.val.iqm is not None for entry in analysis.tasks for result in entry.results]
    if any(has_band):
        text += (
            ". Lines are interquartile means at every step, right-continuous, nothing is interpolated. The pointwise "
            f"95 % bands are computed at up to {MAX_BAND_STEPS} log-spaced steps and joined by straight lines over the "
            "others."
        )
        if not all(has_band):
            text += f" Below {MIN_SEEDS} seeds a line is the mean, without a band."
    else:
        text += f". Lines are means at every step, without bands below {MIN_SEEDS} seeds; nothing is interpolated."
    if any(entry.val.random_search is not None for entry in analysis.tasks):
        text += " The dotted line is random search in closed form."
    if any(len(entry.task.objectives) == 2 for entry in analysis.tasks):
        text += (
            " `fronts`: for each strategy the set of the run with the median hypervolume, beside the true front, by "
            "noiseless values."
        )
    if untimed:
        text += (
            f" Without a curve over simulated seconds, as their table stores no training times: {', '.join(untimed)}."
        )
    return text


def anytime_figure(
    analysis: Analysis, axis: Axis = "evaluations", width: float | None = None, ax: Axes | None = None
) -> Figure:
    """Regret (or loss) of each strategy's choices at every moment, one panel per task.

    Lines are interquartile means with pointwise 95 % bands, below 10 seeds means without bands. Over evaluations,
    random search in closed form is the dotted gray line of the same kind. Tasks without training times have no panel
    over seconds. The layout is computed once, here: saving the figure does not compute it again.

    Args:
        analysis: The study.
        axis: Horizontal axis.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    styles = styles_of(analysis.labels)

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        _draw(panel, analysis, entry, axis, styles)
        view = entry.val.view
        if is_left:
            panel.set_ylabel(f"{view.distance} ({view.metric.difference_unit})")
        if is_bottom:
            panel.set_xlabel("evaluations" if axis == "evaluations" else "simulated seconds")

    return task_panels(tasks_with(analysis, axis), draw, width=width, order=(EXACT_SEARCH, *analysis.labels), ax=ax)


def _draw(panel: Axes, analysis: Analysis, entry: TaskAnalysis, axis: Axis, styles: Mapping[str, LineStyle]) -> None:
    times = _times(entry, axis)
    if axis == "evaluations" and entry.val.random_search is not None:
        exact: dict[str, Any] = {"color": "0.45", "linestyle": ":", "label": EXACT_SEARCH, "drawstyle": "steps-post"}
        if any(result.val.iqm is not None for result in entry.results):
            steps = times[band_steps(times)]
            panel.plot(steps, entry.val.random_search.law.iqm_after(steps), **exact)
        else:
            panel.plot(times, entry.val.random_search.mean, **exact)
    for label in analysis.labels:
        result = entry.result(label)
        curve = None if result is None else result.after_evaluations if axis == "evaluations" else result.at_seconds
        if curve is not None:
            _draw_curve(panel, times, curve, label, styles[label], label in analysis.options.highlight)
    panel.set_title(entry.task.title)
    panel.set_xscale("log")
    panel.set_xlim(times[0], max(times[-1], 2 * times[0]))
    smallest = _smallest(entry, axis)
    if smallest > 2 * _threshold(entry):
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.8 * smallest)
    else:
        # Runs that reach the optimum have regret 0: linear below one grid step, logarithmic above.
        panel.set_yscale("symlog", linthresh=_threshold(entry), linscale=0.4)
        panel.set_ylim(bottom=0)
    _plain_numbers(panel, axis)


def _smallest(entry: TaskAnalysis, axis: Axis) -> float:
    """Smallest regret that is drawn; 0 if nothing is."""
    curves = [result.after_evaluations if axis == "evaluations" else result.at_seconds for result in entry.results]
    drawn = [curve for curve in curves if curve is not None]
    lows = [*(_line(curve) for curve in drawn), *(curve.band.low for curve in drawn if curve.band is not None)]
    low = np.concatenate(lows)
    return float(low.min(where=np.isfinite(low), initial=np.inf)) if np.isfinite(low).any() else 0.0


def _times(entry: TaskAnalysis, axis: Axis) -> Any:
    if axis == "seconds" and entry.times_s is not None:
        return entry.times_s
    return np.arange(1, len(entry.results[0].after_evaluations.mean) + 1)


def _line(curve: Curve) -> Any:
    return curve.mean if curve.iqm is None else curve.iqm


def _draw_curve(panel: Axes, times: Any, curve: Curve, label: str, style: LineStyle, is_highlighted: bool) -> None:
    width, layer = (2.2, 3) if is_highlighted else (1.2, 2)
    panel.plot(
        times, _line(curve), label=label, drawstyle="steps-post", **line_options(style, width, times), zorder=layer
    )
    if curve.band is not None:
        low, high = _edge(curve.band, curve.band.low), _edge(curve.band, curve.band.high)
        along = times[_edge(curve.band, curve.band.steps, is_time=True)]
        panel.fill_between(along, low, high, color=style.color, alpha=0.2, linewidth=0, zorder=layer - 1)


def _edge(band: Band, ends: Any, is_time: bool = False) -> Any:
    """Corners of a band: level until the next step if that has a band too, straight over steps that have none."""
    corners = np.repeat(ends, 2)
    corners = corners[1:] if is_time else corners[:-1]
    is_corner = np.ones(len(corners), dtype=bool)
    is_corner[1::2] = np.diff(band.steps) == 1
    return corners[is_corner]


def _threshold(entry: TaskAnalysis) -> float:
    """A power of ten near the table's grid, so that the axis starts at the smallest difference that counts."""
    resolution = entry.val.view.metric.resolution or float(entry.val.view.step)
    return max(0.01, 10.0 ** math.ceil(math.log10(resolution)))


def _plain_numbers(panel: Axes, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if panel.get_yscale() == "log":
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if axis == "evaluations":
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
