"""Figure of the final regrets of a strategy's runs before and after a change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.report.render.pictures import load_matplotlib


def write_distributions(
    path: Path, old: Mapping[int, int], new: Mapping[int, int], resolution: float, unit: str, title: str
) -> None:
    """Draw the shares of runs that end at or below each regret, old and new, with their means, as PNG.

    Args:
        path: File to write.
        old: How many old runs end at each grid value of regret.
        new: The same of the new runs.
        resolution: Size of a grid step in ``unit``.
        unit: Unit of regret.
        title: Above the figure.
    """
    load_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.2), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, counts, color, dashes in (("baseline", old, "#0072B2", "-"), ("now", new, "#D55E00", "--")):
        regrets, shares = _distribution(counts, resolution)
        mean = sum(value * count for value, count in counts.items()) * resolution / sum(counts.values())
        label = f"{name}: mean {mean:.3f} {unit}, {sum(counts.values()):,} seeds"
        axes.step(regrets, shares, where="post", color=color, linestyle=dashes, label=label)
        axes.axvline(mean, color=color, linestyle=dashes, linewidth=0.6)
    axes.set(xlabel=f"final regret ({unit})", ylabel="share of runs at or below", ylim=(0, 1.02), title=title)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)


def _distribution(counts: Mapping[int, int], resolution: float) -> tuple[Floats, Floats]:
    grid_values = np.array(sorted(counts))
    shares = np.cumsum([counts[value] for value in grid_values.tolist()]) / sum(counts.values())
    return np.concatenate([[0.0], grid_values * resolution]), np.concatenate([[0.0], shares])
