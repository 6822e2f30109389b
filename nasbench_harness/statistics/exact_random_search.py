"""Random search on a table in closed form: no simulation, no seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, as_finite, refuse_where
from nasbench_harness.statistics.random_search_law import RandomSearchLaw

Noise = Literal["mean", "per_query", "per_run"]

_NEGLIGIBLE = 1e-200
"""Powers below this add nothing in float64; dropping them avoids slow subnormal numbers."""


@dataclass(frozen=True)
class ExactCurve:
    """Random search after 1 .. num_steps evaluations, in the unit of the loss.

    Attributes:
        mean: expected noiseless loss of the incumbent, shape (num_steps,).
        std: its standard deviation over runs (of the population: no ddof), shape (num_steps,).
        law: the distribution after any number of evaluations.
    """

    mean: FloatArray
    std: FloatArray
    law: RandomSearchLaw


def exact_random_search(
    values: ArrayLike, num_evaluations: int, noise: Noise = "mean", scores: ArrayLike | None = None
) -> ExactCurve:
    """Returns mean and standard deviation of the incumbent's noiseless loss under random search.

    Random search draws rows uniformly and independently, with replacement; a strictly smaller observed loss replaces
    the incumbent, so the first of tied minima stays. Let G(v) be the chance that one query observes more than v.
    After n queries the minimum is v with probability G(v-)^n - G(v)^n. Given that, the incumbent is the first query
    that observed v, and its row is distributed as that of any single query that observes v: in proportion to mass.
    Hence E[f(score)] = sum over v of (G(v-)^n - G(v)^n) E[f(score) | v], which is summed by parts here.

    Noise:
        - "mean": a query observes the mean over the row's replicates. For a fixed replicate k pass the column
          `values[:, [k]]` and the noiseless `scores`.
        - "per_query": each query draws one of the row's replicates.
        - "per_run": a row keeps its replicate within a run. Computed as "per_query": exact up to repeated rows, which
          here draw anew instead of sharing their draw (their expected number is below n^2 / (2 num_architectures)).

    Args:
        values: losses (smaller is better), shape (num_architectures, num_replicates), NaN if a replicate does
            not exist.
        num_evaluations: length of the curve, num_steps.
        noise: kind of noise that a query observes.
        scores: noiseless losses, shape (num_architectures,); by default the mean over the row's replicates.

    Raises:
        ValueError: wrong shape, an infinite loss, a row without replicates, or unknown noise.

    Example:
        >>> exact_random_search([[0.0], [1.0]], 3).mean
        array([0.5  , 0.25 , 0.125])
    """
    if num_evaluations < 1:
        raise ValueError(f"num_evaluations is {num_evaluations}; pass at least 1")
    if noise not in get_args(Noise):
        raise ValueError(f"noise is {noise!r}; choose one of {', '.join(get_args(Noise))}")
    losses = _checked_losses(values)
    means = _row_means(losses)
    noiseless = means if scores is None else as_finite(scores, "scores", ("architecture",))
    if noiseless.shape != means.shape:
        raise ValueError(f"scores has shape {noiseless.shape}; pass (num_architectures,) = {means.shape} like values")
    exists = ~np.isnan(losses)
    if noise == "mean":
        return _curve(means, np.full(means.size, 1.0 / means.size), noiseless, num_evaluations)
    per_row = exists.sum(axis=1)
    mass = np.repeat(1.0 / (means.size * per_row), per_row)
    return _curve(losses[exists], mass, np.repeat(noiseless, per_row), num_evaluations)


def _checked_losses(values: ArrayLike) -> FloatArray:
    """Returns the losses as float64 (num_architectures, num_replicates)."""
    losses = np.asarray(values, dtype=np.float64)
    if losses.ndim != 2 or losses.size == 0:
        raise ValueError(f"values has shape {losses.shape}; pass (num_architectures, num_replicates), not empty")
    refuse_where(np.isinf(losses), losses, "values", ("architecture", "replicate"))
    missing = np.isnan(losses).all(axis=1)
    if missing.any():
        raise ValueError(f"values has no replicate at architecture {int(missing.argmax())}; remove that row")
    return losses


def _row_means(losses: FloatArray) -> FloatArray:
    """Returns the mean over the existing replicates, shape (num_architectures,)."""
    exists = ~np.isnan(losses)
    means: FloatArray = np.where(exists, losses, 0.0).sum(axis=1) / exists.sum(axis=1)
    return means


def _curve(observed: FloatArray, mass: FloatArray, scores: FloatArray, num_evaluations: int) -> ExactCurve:
    """Returns the curve for atoms (num_atoms,) with observed loss, probability and noiseless score."""
    group = np.unique(observed, return_inverse=True)[1]
    level_mass = np.bincount(group, mass)
    # Centering at the best level keeps the variance accurate when nearly every run has found it.
    center = scores[group == 0] @ mass[group == 0] / level_mass[0]
    shifted = scores - center
    given_level = np.stack([np.bincount(group, mass * shifted**power) / level_mass for power in (1, 2)])
    # Summed from the far end, so that small tails keep their relative accuracy; the last level has no tail.
    survival = np.cumsum(level_mass[:0:-1], dtype=np.float64)[::-1]
    moments = given_level[:, 0] + _power_sums(survival, np.diff(given_level), num_evaluations)
    variance = np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0.0)
    return ExactCurve(center + moments[:, 0], np.sqrt(variance), RandomSearchLaw(group, mass, scores))


def _power_sums(survival: FloatArray, jumps: FloatArray, num_evaluations: int) -> FloatArray:
    """Returns the sums over levels of survival^n times jump, shape (num_evaluations, 2), for n = 1 .. N."""
    sums = np.zeros((num_evaluations, 2))
    power = survival.copy()
    for step in range(num_evaluations):
        # Survival falls from level to level, so the powers worth keeping are a prefix.
        live = int(np.count_nonzero(power > _NEGLIGIBLE))
        power, survival, jumps = power[:live], survival[:live], jumps[:, :live]
        sums[step] = jumps @ power
        power *= survival
    return sums
