"""Figure of sets that runs return, beside the true front, for studies with two objectives."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Sets of every run by noiseless values as thin lines; thick: the set of the run with the median hypervolume.

    Each strategy has a panel for each task. In given axes, all strategies of one task stand together.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    entries = tasks_with_fronts(analysis)
    panels = [(entry, analysis.labels) for entry in entries]
    if ax is None:
        panels = [(entry, (label,)) for entry in entries for label in analysis.labels if entry.result(label)]

    def draw(panel: Axes, shown: tuple[TaskAnalysis, tuple[str, ...]], is_left: bool, is_bottom: bool) -> None:
        entry, labels = shown
        _draw(panel, analysis, entry, labels)
        if len(labels) == 1:
            panel.set_title(labels[0] if len(entries) == 1 else f"{entry.task.title}\n{labels[0]}")
        first, second = entry.task.objectives
        if is_bottom:
            panel.set_xlabel(_axis_label(second.metric))
        if is_left:
            panel.set_ylabel(_axis_label(first.metric))

    # Titles name the strategies.
    return task_panels(panels, draw, width=width, order=(TRUE_FRONT,), ax=ax)


def _draw(panel: Axes, analysis: Analysis, entry: TaskAnalysis, labels: Sequence[str]) -> None:
    from matplotlib.collections import LineCollection

    true = _steps(entry, np.flatnonzero(true_front(entry.task).point >= 0))
    drawn: dict[str, Any] = {"drawstyle": "steps-post", "marker": "o", "markersize": 2}
    panel.plot(*true.T, color="0.25", linestyle=":", linewidth=1.5, label=TRUE_FRONT, **drawn)
    for label, style in styles_of(labels, analysis.styles).items():
        result = entry.result(label)
        if result is None or result.sets is None:
            continue
        lines = [_corners(points) for points in _every_set(entry, result)]
        opacity = max(0.05, min(0.4, 15 / max(1, len(lines))))
        panel.add_collection(LineCollection(lines, colors=style.color, linewidths=0.5, alpha=opacity, zorder=1))
        median = _steps(entry, result.sets.members[_median_run(result)])
        panel.plot(*median.T, color=style.color, linestyle=style.dashes, linewidth=1.2, label=label, **drawn)
    # The same limits in every panel of a task.
    everything = [true, *(points for result in entry.results for points in _every_set(entry, result))]
    low, high = np.vstack(everything).min(axis=0), np.vstack(everything).max(axis=0)
    margin = np.where(high > low, 0.04 * (high - low), 0.01 * np.abs(high) + 1e-9)  # a single point has a margin, too
    panel.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    panel.set_title(entry.task.title)


def _every_set(entry: TaskAnalysis, result: StrategyResult) -> list[Floats]:
    """The different sets of a strategy's runs, in an order that does not depend on seeds."""
    members = () if result.sets is None else result.sets.members
    sets = [_steps(entry, architectures) for architectures in members]
    distinct = {points.tobytes(): points for points in sets if len(points)}
    return [distinct[key] for key in sorted(distinct)]


def _steps(entry: TaskAnalysis, members: Ints) -> Floats:
    """Second and first objective of the members that no other one dominates by noiseless values, (num_points, 2)."""
    losses: Floats = entry.task.noiseless_losses[members]
    losses = losses[nondominated(losses)]
    losses = np.unique(losses[np.isfinite(losses).all(axis=1)], axis=0)
    losses = losses[np.argsort(losses[:, 1], kind="stable")]
    first, second = (objective.natural(losses[:, place]) for place, objective in enumerate(entry.task.objectives))
    return np.column_stack([second, first])


def _corners(points: Floats) -> Floats:
    """Corners of the steps through the points: a set has nothing better between two of them."""
    along, across = np.repeat(points[:, 0], 2)[1:], np.repeat(points[:, 1], 2)[:-1]
    return np.column_stack([along, across])


def _axis_label(metric: Metric) -> str:
    name = metric.name.removesuffix(f"_{metric.unit}").replace("_", " ")
    return f"{name} ({metric.unit})"


def _median_run(result: StrategyResult) -> int:
    """Position of the run with the median hypervolume, the lower one of two."""
    order = np.argsort(result.val.grid_values, kind="stable")
    return int(order[len(order) // 2])
