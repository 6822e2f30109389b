"""Figures for papers: vector PDF with embedded fonts and the same bytes at every run."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.report.analysis import Analysis, TaskAnalysis
from nasbench_harness.report.tables import regret_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT_WIDTH = 5.5  # inches, of a single-column paper
# Okabe and Ito's palette: distinct under the common color deficiencies; dashes tell lines apart in print.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (8, 2)))
_STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "svg.hashsalt": "nasbench_harness",
}


def anytime_figure(analysis: Analysis) -> Figure:
    """Regret of what each strategy would return after every evaluation, one panel per task.

    Lines are interquartile means with pointwise 95 % bands (means without bands below 10 seeds); random search in
    closed form is the dotted gray mean.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    num_tasks = len(analysis.tasks)
    num_columns = min(3, num_tasks)
    num_rows = math.ceil(num_tasks / num_columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 1.85 * num_rows + 0.55), layout="constrained")
        panels = figure.subplots(num_rows, num_columns, squeeze=False)
        for position, panel in enumerate(panels.flat):
            if position >= num_tasks:
                panel.set_axis_off()
                continue
            _draw(panel, analysis, analysis.tasks[position])
            if position % num_columns == 0:
                panel.set_ylabel(f"regret ({regret_unit(analysis.tasks[position].task.report.metric)})")
            if position >= num_tasks - num_columns:
                panel.set_xlabel("evaluations")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return figure


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, without a creation date."""
    return _save(figure, "pdf", metadata={"CreationDate": None, "Creator": "nasbench-harness", "Producer": None})


def to_png(figure: Figure) -> bytes:
    """The figure as PNG at 200 dots per inch."""
    return _save(figure, "png", dpi=200, metadata={"Software": "nasbench-harness"})


def _save(figure: Figure, format: str, **options: Any) -> bytes:  # noqa: A002 - matplotlib's own word
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format=format, **options)
    return buffer.getvalue()


def _draw(panel: Axes, analysis: Analysis, entry: TaskAnalysis) -> None:
    steps = np.arange(1, analysis.protocol.evaluations + 1)
    panel.plot(steps, entry.random_search.mean, color="0.45", linestyle=":", label="random search, exact mean")
    for position, label in enumerate(analysis.labels):
        color = _COLORS[position % len(_COLORS)]
        line = entry.mean_curves[position] if entry.bands is None else entry.bands[position].point
        panel.plot(
            steps, line, color=color, linestyle=_DASHES[position % len(_DASHES)], label=label, drawstyle="steps-post"
        )
        if entry.bands is not None:
            band = entry.bands[position]
            panel.fill_between(steps, band.low, band.high, step="post", color=color, alpha=0.2, linewidth=0)
    panel.set_title(entry.task.title)
    panel.set_xscale("log")
    # Runs that reach the optimum have regret 0: linear below one grid step, logarithmic above.
    panel.set_yscale("symlog", linthresh=_threshold(entry), linscale=0.4)
    panel.set_xlim(1, max(analysis.protocol.evaluations, 2))
    panel.set_ylim(bottom=0)
    _whole_numbers(panel)


def _threshold(entry: TaskAnalysis) -> float:
    """A power of ten near the table's grid, so that the axis starts where differences begin to count."""
    resolution = entry.task.report.metric.resolution or float(entry.task.report.step)
    return max(0.01, 10.0 ** math.ceil(math.log10(resolution)))


def _whole_numbers(panel: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
