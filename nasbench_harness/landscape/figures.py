"""Figures of a landscape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.landscape.analysis import Landscape
from nasbench_harness.report.render.pictures import FIGURE_STYLE, TEXT_WIDTH, load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, as in the other figures.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (8, 2)))
_MOST_COLUMNS = 3
_BAND = (0.1, 0.9)


def overview_figure(landscape: Landscape) -> Figure:
    """Autocorrelation of random walks, values by distance to the optimum, and effects of decisions if there are any."""
    mpl = load_matplotlib()
    from matplotlib.figure import Figure

    num_panels = 2 + (landscape.effects is not None)
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 2.1), layout="constrained")
        panels = figure.subplots(1, num_panels, squeeze=False)[0]
        _draw_walks(panels[0], landscape)
        _draw_distances(panels[1], landscape)
        if landscape.effects is not None:
            _draw_effects(figure, panels[2], landscape)
    return figure


def choices_figure(landscape: Landscape) -> Figure:
    """Empirical distribution of random draws with each choice, one panel per decision; gray: the whole space."""
    mpl = load_matplotlib()
    from matplotlib.figure import Figure

    num_decisions = len(landscape.decisions)
    num_columns = min(_MOST_COLUMNS, num_decisions)
    num_rows = math.ceil(num_decisions / num_columns)
    taken = landscape.task.space.choices(np.arange(len(landscape.values)))
    shares = np.linspace(0, 100, 201)
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 1.6 * num_rows + 0.5), layout="constrained")
        panels = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
        for position, panel in enumerate(panels.flat):
            if position >= num_decisions:
                panel.set_axis_off()
                continue
            known = landscape.values[landscape.exists]
            panel.plot(np.percentile(known, shares), shares, color="0.7", linewidth=3, label="all")
            for place, choice in enumerate(landscape.choices[position]):
                known = landscape.values[landscape.exists & (taken[:, position] == place)]
                if len(known):
                    # A color that comes back comes with other dashes.
                    color, dashes = (
                        _COLORS[place % len(_COLORS)],
                        _DASHES[(place + place // len(_COLORS)) % len(_DASHES)],
                    )
                    panel.plot(np.percentile(known, shares), shares, color=color, linestyle=dashes, label=choice)
            panel.set_title(landscape.decisions[position])
            panel.set_xlim(*_range(landscape))
            if position % num_columns == 0:
                panel.set_ylabel("draws below (%)")
            if position >= num_decisions - num_columns:
                panel.set_xlabel(_label(landscape))
        if len(set(landscape.choices)) == 1:
            handles, labels = panels.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False)
        else:
            for choices in dict.fromkeys(landscape.choices):
                panel = panels.flat[landscape.choices.index(choices)]
                panel.legend(frameon=False, fontsize=5, loc="upper left", ncols=2 if len(choices) > 4 else 1)
    return figure


def _draw_walks(panel: Axes, landscape: Landscape) -> None:
    values = landscape.walks.autocorrelation
    panel.plot(range(len(values) + 1), [1.0, *values], color=_COLORS[0], marker="o", markersize=2.5)
    panel.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    panel.set_xlabel("steps of a random walk")
    panel.set_ylabel("autocorrelation")
    panel.set_ylim(top=1.05)


def _draw_distances(panel: Axes, landscape: Landscape) -> None:
    known = landscape.exists
    distances = np.unique(landscape.distances[known])
    groups = [landscape.values[known & (landscape.distances == distance)] for distance in distances]
    low, high = (np.array([np.quantile(group, share) for group in groups]) for share in _BAND)
    panel.fill_between(distances, low, high, color=_COLORS[0], alpha=0.2, linewidth=0, label="middle 80 %")
    medians = [np.median(group) for group in groups]
    panel.plot(distances, medians, color=_COLORS[0], marker="o", markersize=2.5, label="median")
    best = [group.max() if landscape.task.search.metric.direction == "maximize" else group.min() for group in groups]
    panel.plot(distances, best, color=_COLORS[1], linestyle="--", label="best")
    panel.legend(frameon=False)
    panel.set_xlabel("decisions from the optimum")
    panel.set_ylabel(_label(landscape))


def _draw_effects(figure: Figure, panel: Axes, landscape: Landscape) -> None:
    effects = landscape.effects
    if effects is None:
        return
    shares = 100 * (effects.pairs + np.diag(effects.main))
    image = panel.imshow(shares, cmap="cividis", vmin=0)
    ticks = range(len(landscape.decisions))
    panel.set_xticks(ticks, landscape.decisions, rotation=90)
    panel.set_yticks(ticks, landscape.decisions)
    panel.spines[:].set_visible(False)
    figure.colorbar(image, ax=panel, label="share of variance (%)")


def _range(landscape: Landscape) -> tuple[float, float]:
    """From the tenth of all that is worst to the best value: outliers would hide the rest."""
    low, high = np.quantile(landscape.values[landscape.exists], [0.1, 0.9])
    best = landscape.whole.best
    return (float(low), best) if landscape.task.search.metric.direction == "maximize" else (best, float(high))


def _label(landscape: Landscape) -> str:
    metric = landscape.task.search.metric
    return f"{metric.name.replace('_', ' ')} ({metric.unit})"
