"""Critical-difference diagram: mean ranks over the tasks, and bars over those that do not differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness.analysis.comparison import ALPHA
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.render.pictures import FIGURE_STYLE, TEXT_WIDTH, load_matplotlib
from nasbench_harness.report.sections.pairs import MIN_TASKS
from nasbench_harness.report.sections.sentences import p_words
from nasbench_harness.statistics import RankTests, rank_tests
from nasbench_harness.store.record import MIN_SEEDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = "critical-difference"
_ROW = 0.18  # inches of a name, and of three bars
_MOST_TICKS = 12  # of an axis as wide as the text; a column has room for half of them


def critical_difference_figure(analysis: Analysis, width: float | None = None, ax: Axes | None = None) -> Figure:
    """Mean ranks over the tasks on one axis; a bar joins strategies whose mean ranks do not differ significantly.

    Args:
        analysis: The study. Ranks are those among its labels.
        width: Width in inches; None: the text of a single-column paper.
        ax: Axes to draw into.

    Raises:
        InvalidInputError: There are too few tasks, strategies or seeds.
    """
    mpl = load_matplotlib()
    from nasbench_harness.report.render.notebook import NotebookFigure

    tests, labels = _tests(analysis), analysis.labels
    order = np.argsort(tests.mean_ranks, kind="stable").tolist()
    bars = _bars(tests, order)
    num_rows = math.ceil(len(labels) / 2) + 1 + math.ceil(len(bars) / 3)
    with mpl.rc_context(FIGURE_STYLE):
        if ax is not None:
            _draw(ax, tests, order, bars, labels)
            return ax.get_figure(root=True)  # type: ignore[return-value]
        figure = NotebookFigure(figsize=(width or TEXT_WIDTH, 0.5 + _ROW * num_rows), layout="constrained")
        _draw(figure.subplots(), tests, order, bars, labels)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def critical_difference_caption(analysis: Analysis) -> str:
    """Tests of the figure in words."""
    tests = _tests(analysis)
    num_pairs = len(analysis.labels) * (len(analysis.labels) - 1) // 2
    return (
        f"Mean ranks over {len(analysis.tasks)} tasks; 1 is best. Bars join strategies without a significant "
        f"difference: Friedman's test ({p_words(tests.p)}), then normal tests of mean ranks, Holm over the {num_pairs} "
        f"pairs, alpha = {ALPHA}. The unit is the task, and tasks of one search space are not exchangeable. Ranks "
        "depend on the set of strategies."
    )


def _tests(analysis: Analysis) -> RankTests:
    results = [entry.result(label) for entry in analysis.tasks for label in analysis.labels]
    reason = ""
    if len(analysis.tasks) < MIN_TASKS:
        reason = f"at least {MIN_TASKS} tasks, and the study has {len(analysis.tasks)}"
    elif len(analysis.labels) < 3:
        reason = f"at least 3 strategies, and there are {len(analysis.labels)}"
    elif any(result is None or len(result.seeds) < MIN_SEEDS for result in results):
        reason = f"at least {MIN_SEEDS} seeds of every strategy on every task"
    if reason:
        raise InvalidInputError(f"a {KIND} figure needs {reason}")
    return rank_tests([[entry.comparison.scores[label] for entry in analysis.tasks] for label in analysis.labels])


def _bars(tests: RankTests, order: list[int]) -> list[tuple[int, int]]:
    """First and last position of each longest run of strategies without a significant difference.

    The p of a pair falls with the distance of its ranks, so each such set is a run. All strategies are one set if
    Friedman's test finds no difference.
    """
    if tests.p > ALPHA:
        return [(0, len(order) - 1)]
    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = max(place for place in range(first, len(order)) if tests.p_pairs[order[first], order[place]] > ALPHA)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _draw(
    panel: Axes, tests: RankTests, order: list[int], bars: list[tuple[int, int]], labels: tuple[str, ...]
) -> None:
    ranks = tests.mean_ranks[order].tolist()
    num_left, below = math.ceil(len(order) / 2), 1 + math.ceil(len(bars) / 3)
    for place, (rank, position) in enumerate(zip(ranks, order, strict=True)):
        is_left = place < num_left
        row = below + (place if is_left else len(order) - 1 - place)
        edge = 1 if is_left else len(order)
        panel.plot([rank, rank, edge], [0, row, row], color="0.35", linewidth=0.7, clip_on=False)
        text = f"{labels[position]} {rank:.2f}" if is_left else f"{rank:.2f} {labels[position]}"
        panel.annotate(
            text,
            (edge, row),
            (-3 if is_left else 3, 0),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="center_baseline",
            fontsize=7,
        )
    for number, (first, last) in enumerate(bars):
        ends = [ranks[first] - 0.04, ranks[last] + 0.04]
        height = 0.4 + number / 3
        panel.plot(ends, [height, height], color="#0072B2", linewidth=2.5, solid_capstyle="butt", clip_on=False)
    panel.set(xlim=(1, len(order)), ylim=(below + num_left - 0.5, 0), yticks=[])
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.spines["top"].set_visible(True)
    panel.xaxis.tick_top()
    panel.xaxis.set_label_position("top")
    panel.set_xlabel("mean rank")
    is_wide = panel.get_figure(root=True).get_figwidth() >= TEXT_WIDTH  # type: ignore[union-attr]
    step = math.ceil(len(order) / (_MOST_TICKS if is_wide else _MOST_TICKS // 2))
    panel.set_xticks([*range(1, len(order) - step + 1, step), len(order)])
