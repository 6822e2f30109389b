"""Regret over time: lines at every step, bands at steps that are evenly spaced on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import iqm, iqm_band

MAX_BAND_STEPS = 64  # a panel is less than two inches wide, and each band costs thousands of resamples


@dataclass(frozen=True)
class Band:
    """A pointwise 95 % band of the interquartile mean, shape (num_band_steps,) each.

    Attributes:
        steps: Positions in the curve, ascending.
        low: Lower ends.
        high: Upper ends.
    """

    steps: Ints
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Curve:
    """Regret or loss over time, shape (num_steps,); NaN until every run has a result.

    Attributes:
        mean: Mean of the runs.
        iqm: Interquartile mean of the runs; None below 10 seeds.
        band: Its band; None below 10 seeds, or if some run never has a result.
    """

    mean: Floats
    iqm: Floats | None
    band: Band | None


def curves(task: Task, picks: Sequence[Ints], moments: Sequence[Floats | Ints], counts: Ints | None) -> list[Curve]:
    """Score picks as curves; their bands share one set of resamples.

    Args:
        task: The task.
        picks: For each curve what each run would return at each step, −1 before its first result; shape (num_runs,
            num_steps).
        moments: For each curve its steps on the axis, positive and ascending, shape (num_steps,).
        counts: Count matrix of the runs; None below 10 seeds.
    """
    first = [int((~(chosen >= 0).all(axis=0)).sum()) for chosen in picks]  # once all runs have a result, all keep one
    codes = [task.report.regret_codes(chosen[:, start:]) for chosen, start in zip(picks, first, strict=True)]
    means = [_padded(part.mean(axis=0), start, task.report.step) for part, start in zip(codes, first, strict=True)]
    if counts is None:
        return [Curve(mean, None, None) for mean in means]
    steps = [band_steps(along[start:]) for along, start in zip(moments, first, strict=True)]
    # Resampled as integers on the metric's grid: sums are exact, the same on every processor.
    band = iqm_band(np.concatenate([part[:, at] for part, at in zip(codes, steps, strict=True)], axis=1), counts)
    ends = np.cumsum([len(at) for at in steps])[:-1]
    lows, highs = (np.split(bounds * task.report.step, ends) for bounds in (band.low, band.high))
    found = []
    for mean, part, start, at, low, high in zip(means, codes, first, steps, lows, highs, strict=True):
        line = iqm(part, axis=0) if part.shape[1] else np.empty(0)
        found.append(
            Curve(mean, _padded(line, start, task.report.step), Band(at + start, low, high) if len(at) else None)
        )
    return found


def band_steps(moments: Floats | Ints) -> Ints:
    """Positions of at most 64 steps, evenly spaced by logarithm; the first and the last step are among them.

    Args:
        moments: Positive and ascending, shape (num_steps,).
    """
    if not len(moments):
        return np.empty(0, dtype=np.int64)
    # A hair smaller, so that rounding cannot carry a wanted moment past the step that it equals.
    wanted = np.geomspace(moments[0], moments[-1], MAX_BAND_STEPS) * (1 - 1e-9)
    return np.unique(np.searchsorted(moments, wanted))


def _padded(line: Floats, start: int, step: float) -> Floats:
    """A line in the metric's unit, NaN before its start."""
    return np.concatenate([np.full(start, np.nan), line * step])
