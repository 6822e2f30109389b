"""Regret over time: lines at every step, bands at steps that are evenly spaced on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.statistics import Resamples, iqm, iqm_band

_MAX_REGRETS = 4_000_000  # regrets in memory at a time
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


def curves(
    score: ScoreView,
    picks: Sequence[Ints],
    moments: Sequence[Floats | Ints],
    counts: Ints | Resamples | None,
) -> list[Curve]:
    """Score picks as curves; their bands share one set of resamples.

    Args:
        score: The score.
        picks: Choice of each run at each step, for each curve, −1 before its first result; shape (num_runs,
            num_steps).
        moments: For each curve its steps on the axis, positive and ascending, shape (num_steps,).
        counts: Resamples of the runs; None below 10 seeds.
    """
    starts = [int((chosen < 0).any(axis=0).sum()) for chosen in picks]  # once a run has a result, it keeps one
    bands: list[Band | None] = [None] * len(picks)
    if counts is not None:
        steps = [band_steps(along[start:]) for along, start in zip(moments, starts, strict=True)]
        regrets = [
            _compact(score.grid_regrets(chosen[:, start + at]))
            for chosen, start, at in zip(picks, starts, steps, strict=True)
        ]
        bands = [
            replace(band, steps=band.steps + start) if len(band.steps) else None
            for band, start in zip(_bands(regrets, steps, score.resolution, counts), starts, strict=True)
        ]
    return [
        _curve(score, chosen, start, band, counts is not None)
        for chosen, start, band in zip(picks, starts, bands, strict=True)
    ]


def _curve(score: ScoreView, picks: Ints, start: int, band: Band | None, has_iqm: bool) -> Curve:
    """The lines of a curve, some steps at a time."""
    num_runs, num_steps = picks.shape
    width = max(1, _MAX_REGRETS // num_runs)
    means, iqms = [np.empty(0)], [np.empty(0)]
    for first in range(start, num_steps, width):
        regrets = score.grid_regrets(picks[:, first : min(first + width, num_steps)])
        means.append(regrets.mean(axis=0))
        if has_iqm:
            iqms.append(iqm(regrets, axis=0))
    return Curve(
        mean=_line(np.concatenate(means), start, score.resolution),
        iqm=_line(np.concatenate(iqms), start, score.resolution) if has_iqm else None,
        band=band,
    )


def _compact(regrets: Ints) -> Ints:
    """The same numbers in 4 bytes each, if they fit."""
    return regrets.astype(np.int32) if regrets.size and regrets.max() <= np.iinfo(np.int32).max else regrets


def band_steps(moments: Floats | Ints) -> Ints:
    """Positions of at most 64 steps, evenly spaced by logarithm; the first and the last step are among them.

    Args:
        moments: Positive and ascending, shape (num_steps,).
    """
    if not len(moments):
        return np.empty(0, dtype=np.int64)
    return np.unique(np.searchsorted(moments, np.geomspace(moments[0], moments[-1], MAX_BAND_STEPS)))


def _bands(regrets: Sequence[Ints], steps: Sequence[Ints], unit: float, counts: Ints | Resamples) -> list[Band]:
    """Bands at some steps of each curve, from the regrets at these.

    They are resampled as integers on the metric's grid: sums are exact, the same on every processor.
    """
    band = iqm_band(np.concatenate(regrets, axis=1), counts)
    ends = np.cumsum([len(at) for at in steps])[:-1]
    lows, highs = (np.split(bounds * unit, ends) for bounds in (band.low, band.high))
    return [Band(*parts) for parts in zip(steps, lows, highs, strict=True)]


def _line(regrets: Floats, start: int, unit: float) -> Floats:
    """A line in the metric's unit, NaN before its start."""
    return np.concatenate([np.full(start, np.nan), regrets * unit])
