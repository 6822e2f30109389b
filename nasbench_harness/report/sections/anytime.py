"""Figure of regret, or of the metric itself, over evaluations, simulated seconds or epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.analysis.curves import MAX_BAND_STEPS, Band, Curve, band_steps
from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis, Axis, TaskAnalysis
from nasbench_harness.arrays import Floats
from nasbench_harness.report.render.styles import LineStyle, line_options, styles_of
from nasbench_harness.report.sections.panels import task_panels
from nasbench_harness.store.record import MIN_SEEDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXACT_SEARCH = "random search, exact"  # label of its line
OPTIMUM = "optimum"  # label of its line

AXES: dict[Axis, str] = {"evaluations": "anytime", "seconds": "anytime_seconds", "epochs": "anytime_epochs"}  # files
OVER: dict[Axis, str] = {"evaluations": "evaluations", "seconds": "simulated seconds", "epochs": "epochs"}


def tasks_with(analysis: Analysis, axis: Axis, is_asked: bool = True) -> list[TaskAnalysis]:
    """Tasks that have curves over this axis.

    Args:
        analysis: The study.
        axis: Horizontal axis.
        is_asked: Whether the user named the axis. If not, epochs that are a multiple of evaluations are left out.
    """
    entries = analysis.tasks_with_curves
    return [entry for entry in entries if (entry.moments(axis) is not None if is_asked else axis in entry.axes)]


def curve_name(analysis: Analysis) -> str:
    """The quantity of the curves in words, e.g. ``regret`` or ``test accuracy``."""
    words = analysis.options.curves
    if "value" in words:
        names = (entry.shown.view.metric.name.replace("_", " ") for entry in analysis.tasks_with_curves)
        return " or ".join(dict.fromkeys(names))
    return ("test " if "test" in words else "") + distance_name(analysis.tasks)


def figure_notes(analysis: Analysis) -> str:
    """Meaning of the lines, and the tasks that have no curve."""
    entries = analysis.tasks_with_curves
    untested = [entry.task.name for entry in analysis.tasks if entry not in entries]
    untimed = [entry.task.name for entry in entries if "seconds" not in entry.axes]
    text = f"`anytime`: {curve_name(analysis)} of what a run would return after each evaluation"
    if len(untimed) < len(entries):
        text += "; `anytime_seconds`: the same at simulated seconds"
    if any("epochs" in entry.axes for entry in entries):
        text += "; `anytime_epochs`: the same after so many epochs of training"
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
    if any(entry.shown.random_search is not None for entry in entries):
        text += " The dotted line is random search in closed form."
    if any(len(entry.task.objectives) == 2 for entry in analysis.tasks):
        text += (
            " `fronts`: one panel for each strategy, the sets of all runs as thin lines, the set of the run with the "
            "median hypervolume as a thick one, beside the true front, by noiseless values."
        )
    if untimed:
        text += (
            f" Without a curve over simulated seconds, as their table stores no training times: {', '.join(untimed)}."
        )
    if untested:
        text += f" Without curves, as their table has no test metric: {', '.join(untested)}."
    return text


def anytime_figure(
    analysis: Analysis, axis: Axis = "evaluations", width: float | None = None, ax: Axes | None = None
) -> Figure:
    """Regret (or loss) of each strategy's choices at every moment, one panel per task.

    Lines are interquartile means with pointwise 95 % bands, below 10 seeds means without bands. Over evaluations,
    random search in closed form is the dotted gray line of the same kind. Tasks without training times have no panel
    over seconds. The words of ``[report] curves`` choose test values, the metric itself and linear axes. The layout is
    computed once, here: saving the figure does not compute it again.

    Args:
        analysis: The study.
        axis: Horizontal axis.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    styles = styles_of(analysis.labels, analysis.styles)
    as_value = "value" in analysis.options.curves

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        _draw(panel, analysis, entry, axis, styles)
        view = entry.shown.view
        if is_left and as_value:
            panel.set_ylabel(f"{view.metric.name.replace('_', ' ')} ({view.metric.unit})")
        elif is_left:
            prefix = "" if entry.curve_score == "val" else f"{entry.curve_score} "
            panel.set_ylabel(f"{prefix}{view.distance} ({view.metric.difference_unit})")
        if is_bottom:
            panel.set_xlabel(OVER[axis])

    order = (EXACT_SEARCH, OPTIMUM, *analysis.labels)
    return task_panels(tasks_with(analysis, axis), draw, width=width, order=order, ax=ax)


def _draw(panel: Axes, analysis: Analysis, entry: TaskAnalysis, axis: Axis, styles: Mapping[str, LineStyle]) -> None:
    times, words, view = np.asarray(entry.moments(axis)), analysis.options.curves, entry.shown.view
    as_value = "value" in words
    sign = -1 if view.metric.direction == "maximize" else 1

    def shown(regrets: Floats) -> Floats:
        return view.best_value + sign * regrets if as_value else regrets

    if as_value and view.has_optimum:
        panel.axhline(view.best_value, color="0.6", linewidth=0.6, label=OPTIMUM)
    if entry.shown.random_search is not None and _counts_evaluations(entry, axis):
        exact: dict[str, Any] = {"color": "0.45", "linestyle": ":", "label": EXACT_SEARCH, "drawstyle": "steps-post"}
        if any(result.val.iqm is not None for result in entry.results):
            steps = band_steps(times)
            panel.plot(times[steps], shown(entry.shown.random_search.law.iqm_after(steps + 1)), **exact)
        else:
            panel.plot(times, shown(entry.shown.random_search.mean[: len(times)]), **exact)
    for label in analysis.labels:
        result = entry.result(label)
        curve = None if result is None else result.over(axis)
        if curve is not None:
            is_highlighted = label in analysis.options.highlight
            _draw_curve(panel, times, curve, shown, label, styles[label], is_highlighted)
    panel.set_title(entry.task.title)
    if "linear" not in words:
        panel.set_xscale("log")
    panel.set_xlim(times[0], max(times[-1], 2 * times[0]))
    if not as_value:
        _scale_regret(panel, entry, axis, is_linear="linear" in words)
    _plain_numbers(panel, axis)


def _scale_regret(panel: Axes, entry: TaskAnalysis, axis: Axis, is_linear: bool) -> None:
    smallest = _smallest(entry, axis)
    if is_linear:
        panel.set_ylim(bottom=0)
    elif smallest > 2 * _threshold(entry):
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.8 * smallest)
    else:
        # Runs that reach the optimum have regret 0: linear below one grid step, logarithmic above.
        panel.set_yscale("symlog", linthresh=_threshold(entry), linscale=0.4)
        panel.set_ylim(bottom=0)


def _counts_evaluations(entry: TaskAnalysis, axis: Axis) -> bool:
    """Whether each step of the axis is an evaluation, as random search in closed form needs."""
    return axis == "evaluations" or (axis == "epochs" and entry.epochs is None)


def _smallest(entry: TaskAnalysis, axis: Axis) -> float:
    """Smallest regret that is drawn; 0 if nothing is."""
    drawn = [curve for result in entry.results if (curve := result.over(axis)) is not None]
    lows = [*(_line(curve) for curve in drawn), *(curve.band.low for curve in drawn if curve.band is not None)]
    low = np.concatenate(lows)
    return float(low.min(where=np.isfinite(low), initial=np.inf)) if np.isfinite(low).any() else 0.0


def _line(curve: Curve) -> Any:
    return curve.mean if curve.iqm is None else curve.iqm


def _draw_curve(
    panel: Axes, times: Any, curve: Curve, shown: Any, label: str, style: LineStyle, is_highlighted: bool
) -> None:
    width, layer = (2.2, 3) if is_highlighted else (1.2, 2)
    options = line_options(style, width, times)
    panel.plot(times, shown(_line(curve)), label=label, drawstyle="steps-post", **options, zorder=layer)
    if curve.band is not None:
        low, high = _edge(curve.band, shown(curve.band.low)), _edge(curve.band, shown(curve.band.high))
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
    resolution = entry.shown.view.metric.resolution or float(entry.shown.view.resolution)
    return max(0.01, 10.0 ** math.ceil(math.log10(resolution)))


def _plain_numbers(panel: Axes, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    if panel.get_xscale() == "log":
        panel.xaxis.set_minor_formatter(NullFormatter())
        start, end = panel.get_xlim()
        if end < 50 * start:  # labels of powers of ten alone would be too few
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if end < 20 * start else (1, 3)))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if panel.get_yscale() == "log":
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if axis == "evaluations" or (axis == "epochs" and panel.get_xlim()[1] < 1e5):
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
