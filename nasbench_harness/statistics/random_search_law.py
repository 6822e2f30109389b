"""The distribution of random search's result after any number of evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics._checks import FloatArray, IntArray

_MOST = 1e12  # evaluations; beyond them nothing is searched
_GRID = np.geomspace(1.0, _MOST, 61)  # five numbers in each decade


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

    def __post_init__(self) -> None:
        level_mass = np.bincount(self.level, self.mass)
        # Summed from the far end: small tails keep their relative accuracy.
        survival = np.concatenate([[1.0], np.cumsum(level_mass[:0:-1])[::-1], [0.0]])
        object.__setattr__(self, "_survival", survival)
        object.__setattr__(self, "_level_means", np.bincount(self.level, self.mass * self.scores) / level_mass)

    def mean_after(self, num_evaluations: float) -> float:
        """Returns the expected noiseless loss of the incumbent; the number of evaluations may be a fraction."""
        return float(-np.diff(self._survival**num_evaluations) @ self._level_means)

    def evaluations_for(self, loss: float) -> float:
        """Returns the smallest number of evaluations whose expected loss is at most `loss`; infinity if there is none.

        Example:
            >>> law = RandomSearchLaw(np.array([0, 1]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
            >>> law.mean_after(3), round(law.evaluations_for(0.125), 6), law.evaluations_for(0.0)
            (0.125, 3.0, inf)
        """
        reached = np.flatnonzero(self._means_on_grid <= loss)
        if not len(reached) or loss <= 0.0:
            return inf
        if reached[0] == 0:
            return 1.0
        low, high = float(_GRID[reached[0] - 1]), float(_GRID[reached[0]])
        while high / low > 1.0 + 1e-8:
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.mean_after(middle) <= loss else (middle, high)
        return high

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
        found = []
        for step in np.asarray(steps, dtype=np.float64):
            chance = -np.diff(self._survival**step)
            middle = np.clip(np.cumsum(chance[level] * share), 0.25, 0.75)
            found.append(2.0 * float(np.diff(middle, prepend=0.25) @ scores))
        return np.array(found)
