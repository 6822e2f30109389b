"""Figure of sets that runs return, beside the true front, for studies with two objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.analysis.fronts import true_front
from nasbench_harness.analysis.results import Analysis, StrategyResult, TaskAnalysis
from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.report.render.styles import styles_of
from nasbench_harness.report.sections.panels import task_panels
from nasbench_harness.statistics import nondominated
from nasbench_harness.tables.table import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTS = "fronts"  # name of the figure
TRUE_FRONT = "true front"


def tasks_with_fronts(analysis: Analysis) -> list[TaskAnalysis]:
    """Tasks with two objectives."""
    return [entry for entry in analysis.tasks if len(entry.task.objectives) == 2]


def fronts_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """Sets of runs by noiseless values, one panel per task: for each strategy the run with the median hypervolume.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    order = (TRUE_FRONT, *analysis.labels)

    def draw(panel: Axes, entry: TaskAnalysis, *_: bool) -> None:
        _draw(panel, analysis, entry)

    return task_panels(tasks_with_fronts(analysis), draw, width=width, row_height=2.6, order=order, ax=ax)


def _draw(panel: Axes, analysis: Analysis, entry: TaskAnalysis) -> None:
    first, second = entry.task.objectives
    _draw_set(panel, entry, np.flatnonzero(true_front(entry.task).point >= 0), TRUE_FRONT, "0.25", ":", 2.0)
    for label, style in styles_of(analysis.labels).items():
        result = entry.result(label)
        if result is not None and result.sets is not None:
            members = result.sets.members[_median_run(result)]
            _draw_set(panel, entry, members, label, style.color, style.dashes, 1.2)
    panel.set_title(entry.task.title)
    panel.set_xlabel(_axis_label(second.metric))
    panel.set_ylabel(_axis_label(first.metric))


def _axis_label(metric: Metric) -> str:
    name = metric.name.removesuffix(f"_{metric.unit}").replace("_", " ")
    return f"{name} ({metric.unit})"


def _median_run(result: StrategyResult) -> int:
    """Position of the run with the median hypervolume, the lower one of two."""
    order = np.argsort(result.val.codes, kind="stable")
    return int(order[len(order) // 2])


def _draw_set(
    panel: Axes, entry: TaskAnalysis, members: Ints, label: str, color: str, dashes: Any, width: float
) -> None:
    """The members that no other one dominates by noiseless values, joined by steps."""
    losses: Floats = entry.task.noiseless_losses[members]
    losses = losses[nondominated(losses)]
    losses = losses[np.argsort(losses[:, 1], kind="stable")]
    first, second = (objective.natural(losses[:, place]) for place, objective in enumerate(entry.task.objectives))
    panel.plot(
        second,
        first,
        color=color,
        linestyle=dashes,
        drawstyle="steps-post",  # a set has nothing better between two of its points
        linewidth=width,
        marker="o",
        markersize=2.5,
        label=label,
    )
