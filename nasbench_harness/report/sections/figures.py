"""Every kind of figure by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from nasbench_harness.analysis.results import Analysis, Axis
from nasbench_harness.errors import UnknownNameError
from nasbench_harness.report.render.widths import width_pt
from nasbench_harness.report.sections.anytime import anytime_figure
from nasbench_harness.report.sections.critical import critical_difference_figure
from nasbench_harness.report.sections.ecdf import ecdf_figure
from nasbench_harness.report.sections.effects import forest_figure, heatmap_figure
from nasbench_harness.report.sections.fronts import fronts_figure
from nasbench_harness.store.record import check_once

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["anytime", "ecdf", "heatmap", "forest", "critical-difference", "front"]
_POINTS_PER_INCH = 72.27


def figure_of(
    analysis: Analysis,
    kind: Kind = "anytime",
    axis: Axis = "evaluations",
    tasks: Sequence[str] | None = None,
    strategies: Sequence[str] | None = None,
    ax: Axes | None = None,
    width: str | float | None = None,
) -> Figure:
    """One figure of a study.

    Args:
        analysis: The study.
        kind: ``anytime``: regret over time; ``ecdf``: share of targets reached; ``heatmap``: A12 of every pair;
            ``forest``: differences of means with intervals and the margin; ``critical-difference``: mean ranks over at
            least six tasks; ``front``: sets of runs beside the true front, for two objectives.
        axis: Axis of ``anytime``: ``evaluations``, ``seconds`` or ``epochs``.
        tasks: Names of the tasks; None: all.
        strategies: Labels; None: all. No style, line or interval depends on the choice; mean ranks do.
        ax: Axes to draw into, for a single task.
        width: Inches, or a name such as ``ieee-column``; None: the text of a single-column paper.

    Raises:
        UnknownNameError: There is no such kind, task, label or width.
        InvalidInputError: The study has too little for the figure, a task or label is named twice, or one pair of axes
            is to hold several tasks.
    """
    if kind not in get_args(Kind):
        raise UnknownNameError("kind", kind, get_args(Kind), "figures")
    if axis not in get_args(Axis):
        raise UnknownNameError("axis", axis, get_args(Axis), "figures")
    known = [entry.task.name for entry in analysis.tasks]
    for name in tasks or ():
        if name not in known:
            raise UnknownNameError("task", name, known, "this study")
    for label in strategies or ():
        if label not in analysis.labels:
            raise UnknownNameError("label", label, analysis.labels, "this study")
    check_once(strategies or (), "strategies")
    check_once(tasks or (), "tasks")
    chosen = (
        analysis
        if tasks is None
        else replace(
            analysis, tasks=tuple(entry for name in tasks for entry in analysis.tasks if entry.task.name == name)
        )
    )
    if strategies is not None:
        chosen = replace(chosen, labels=tuple(strategies))
    inches = width_pt(width) / _POINTS_PER_INCH if isinstance(width, str) else width
    if kind == "ecdf":
        return ecdf_figure(chosen, inches, ax)
    if kind == "heatmap":
        return heatmap_figure(chosen, inches, ax)
    if kind == "critical-difference":
        return critical_difference_figure(chosen, inches, ax)
    if kind == "forest":
        return forest_figure(chosen, inches, ax)
    if kind == "front":
        return fronts_figure(chosen, inches, ax)
    return anytime_figure(chosen, axis, inches, ax)
