"""Figure: share of runs that have reached a target after each evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.report.render.styles import line_options, styles_of
from nasbench_harness.report.sections.panels import task_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ecdf_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """Share of (run, target) pairs that were reached after each evaluation, one panel per task.

    A target is reached when the noiseless regret of the choice has ever been at or below it.

    Args:
        analysis: The study.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into, for a single task.
    """
    styles = styles_of(analysis.labels, analysis.styles)

    def draw(panel: Axes, entry: TaskAnalysis, is_left: bool, is_bottom: bool) -> None:
        num_steps = len(entry.results[0].after_evaluations.mean)
        times = np.arange(1, num_steps + 1)
        for label in analysis.labels:
            result = entry.result(label)
            if result is None:
                continue
            hits = np.sort(result.measures["evaluations"].hits, axis=None)
            share = np.searchsorted(hits, times, side="right") / len(hits)
            panel.plot(times, share, label=label, drawstyle="steps-post", **line_options(styles[label], 1.2, times))
        panel.set(xscale="log", ylim=(0, 1.02), xlim=(1, max(2, num_steps)))
        panel.set_title(entry.task.title)
        if is_left:
            panel.set_ylabel("share of targets reached")
        if is_bottom:
            panel.set_xlabel("evaluations")

    entries = [entry for entry in analysis.tasks if entry.results[0].measures["evaluations"].hits.size]
    return task_panels(entries, draw, width=width, order=analysis.labels, ax=ax)


def ecdf_caption(analysis: Analysis) -> str:
    """Targets of the figure in words."""
    units = ", ".join(dict.fromkeys(entry.val.view.metric.difference_unit for entry in analysis.tasks))
    targets = ", ".join(f"{target:g}" for target in analysis.options.targets)
    return f"Share of runs and targets ({targets} {units} of regret) that were reached, over evaluations."
