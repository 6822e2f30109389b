"""The distribution of random search's result after any number of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray

_MOST = 1e12  # evaluations; beyond them nothing is searched
_GRID = np.geomspace(1.0, _MOST, 61)  # five numbers in each decade
_NEGLIGIBLE = 1e-200  # chances below this add nothing in float64, and powers of them are slow
_ROUNDING = 1e-12  # a loss above that of one evaluation by less than this share equals it
_SPARE = 64  # zeros behind the terms of a sum: products take numbers in groups, and it has the bits of the whole sum


@dataclass(frozen=True)
class RandomSearchLaw:
    """Random search with replacement on one table, under one kind of noise.

    Attributes:
        level: Observed loss of each atom as its position among all observed losses, shape (num_atoms,).
        mass: Probability that one evaluation is this atom, shape (num_atoms,).
        scores: Noiseless loss of each atom, shape (num_atoms,).
    """

    level: IntArray
    mass: FloatArray
    scores: FloatArray
    _survival: FloatArray = field(init=False, repr=False)
    _level_means: FloatArray = field(init=False, repr=False)
    _found: dict[float, float] = field(init=False, repr=False, compare=False, default_factory=dict)  # by loss

    def __post_init__(self) -> None:
        level_mass = np.bincount(self.level, self.mass)
        # Summed from the far end: small tails keep their relative accuracy.
        survival = np.concatenate([[1.0], np.cumsum(level_mass[:0:-1])[::-1], [0.0]])
        object.__setattr__(self, "_survival", survival)
        object.__setattr__(self, "_level_means", np.bincount(self.level, self.mass * self.scores) / level_mass)

    def mean_after(self, num_evaluations: float) -> float:
        """Returns the expected noiseless loss of the incumbent; the number of evaluations may be a fraction."""
        # Survival falls from level to level, so the powers that count are a prefix.
        least = _NEGLIGIBLE ** (1.0 / num_evaluations)
        live = len(self._survival) - int(np.searchsorted(self._survival[::-1], least))
        chance = -np.diff(self._survival[: live + _SPARE] ** num_evaluations)
        return float(chance @ self._level_means[: len(chance)])

    def evaluations_for(self, loss: float) -> float:
        """Returns the smallest number of evaluations whose expected loss is at most `loss`.

        It is infinity if there is none, and 0 if the expected loss of a single evaluation is below `loss`.

        Example:
            >>> law = RandomSearchLaw(np.array([0, 1]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
            >>> law.mean_after(3), round(law.evaluations_for(0.125), 6), law.evaluations_for(0.0)
            (0.125, 3.0, inf)
        """
        if loss not in self._found:  # tables, sentences and the JSON file of a report ask for the same losses
            self._found[loss] = self._solved(loss)
        return self._found[loss]

    def _solved(self, loss: float) -> float:
        reached = np.flatnonzero(self._means_on_grid <= loss)
        if not len(reached) or loss <= 0.0:
            return inf
        if reached[0] == 0:
            return 1.0 if loss <= self._means_on_grid[0] * (1.0 + _ROUNDING) else 0.0
        ends = [float(np.log(_GRID[reached[0] - place])) for place in (0, 1)]
        excess = [float(self._means_on_grid[reached[0] - place]) - loss for place in (0, 1)]
        return float(np.exp(_root(lambda point: self.mean_after(float(np.exp(point))) - loss, ends, excess)))

    @property
    def limit(self) -> float:
        """Expected loss after more and more evaluations; above 0 if noise hides the optimum."""
        return float(self._level_means[0])

    @cached_property
    def of_misses(self) -> RandomSearchLaw:
        """The law whose loss is 0 at the optimum and 1 elsewhere: its means are chances to miss the optimum."""
        return RandomSearchLaw(self.level, self.mass, (self.scores > 0.0).astype(np.float64))

    @cached_property
    def _means_on_grid(self) -> FloatArray:
        return np.array([self.mean_after(float(number)) for number in _GRID])

    def iqm_after(self, steps: ArrayLike) -> FloatArray:
        """Returns the interquartile mean of the incumbent's noiseless loss after each number of evaluations.

        It is the mean of the quantile function between .25 and .75.

        Args:
            steps: Numbers of evaluations, shape (num_steps,).

        Returns:
            Shape (num_steps,).
        """
        order = np.argsort(self.scores, kind="stable")
        level, scores = self.level[order], self.scores[order]
        share = self.mass[order] / np.bincount(self.level, self.mass)[level]
        found, end = [], len(level)
        for step in np.asarray(steps, dtype=np.float64):
            chance = -np.diff(self._survival**step)
            reached = np.cumsum(chance[level[:end]] * share[:end])
            if reached[-1] < 0.75:
                reached = np.cumsum(chance[level] * share)
            weights = np.diff(np.clip(reached, 0.25, 0.75), prepend=0.25)
            found.append(2.0 * float(weights @ scores[: len(weights)]))
            end = int(np.searchsorted(reached, 0.75)) + _SPARE  # nearly always enough for more evaluations
        return np.array(found)


def _root(function: Callable[[float], float], ends: Sequence[float], values: Sequence[float]) -> float:
    """Returns a point at most 1e-8 from a change of sign, where the function is not above 0 (Chandrupatla 1997).

    Args:
        function: a function with values of both signs.
        ends: two points around the change of sign.
        values: the function there.
    """
    (new, old), (at_new, at_old) = ends, values
    share = 0.5
    while True:
        point = new + share * (old - new)
        value = function(point)
        if (value > 0) == (at_new > 0):
            last, at_last = new, at_new
        else:
            last, at_last, old, at_old = old, at_old, new, at_new
        new, at_new = point, value
        width = abs(old - new)
        if width <= 1e-8:
            return new if at_new <= 0 else old
        # Inverse quadratic interpolation if the three points let it, and a bisection otherwise.
        place, height = (new - old) / (last - old), (at_new - at_old) / (at_last - at_old)
        share = 0.5
        if height**2 < place and (1.0 - height) ** 2 < 1.0 - place:
            ratio = (last - new) / (old - new)
            share = at_new / (at_old - at_new) * at_last / (at_old - at_last)
            share += ratio * at_new / (at_last - at_new) * at_old / (at_last - at_old)
        least = 0.5e-8 / width
        share = min(max(share, least), 1.0 - least)
