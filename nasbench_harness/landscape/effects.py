"""Effect of each decision and each pair of decisions: functional ANOVA of the whole table, exact.

Hooker, "Generalized functional ANOVA diagnostics for high-dimensional functions of dependent variables", 2007; Hutter,
Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014. There the table is a
model's; here it is the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Floats, Ints


@dataclass(frozen=True)
class Effects:
    """Shares of the variance over all architectures; all shares of all sets of decisions add up to 1.

    Attributes:
        variance: The variance.
        main: Share of each decision alone, shape (num_decisions,).
        pairs: Share of each pair beyond its decisions, symmetric, 0 on the diagonal, (num_decisions, num_decisions).
    """

    variance: float
    main: Floats
    pairs: Floats

    @property
    def higher(self) -> float:
        """Share of three and more decisions together."""
        return float(1 - self.main.sum() - self.pairs.sum() / 2)


def effects_of_decisions(values: Floats, choices: Ints, num_choices: Ints) -> Effects | None:
    """Decompose the variance; None unless every combination of choices has one value, and values vary.

    Args:
        values: Value of each architecture, shape (num_architectures,), NaN if there is none.
        choices: Choice of each at each decision, shape (num_architectures, num_decisions).
        num_choices: Number of choices of each decision, shape (num_decisions,).
    """
    if len(values) != int(np.prod(num_choices)) or np.isnan(values).any():
        return None
    grid = np.full(tuple(num_choices), np.nan)
    grid[tuple(choices.T)] = values
    if np.isnan(grid).any() or values.min() == values.max():
        return None
    grid = grid - grid.mean()
    variance = float((grid**2).mean())
    num_decisions = len(num_choices)
    main = np.array([_variance_over(grid, (decision,)) for decision in range(num_decisions)])
    pairs = np.zeros((num_decisions, num_decisions))
    for first, second in combinations(range(num_decisions), 2):
        together = _variance_over(grid, (first, second)) - main[first] - main[second]
        pairs[first, second] = pairs[second, first] = together
    return Effects(variance, main / variance, pairs / variance)


def _variance_over(grid: Floats, decisions: tuple[int, ...]) -> float:
    """Variance of the means over all other decisions."""
    others = tuple(axis for axis in range(grid.ndim) if axis not in decisions)
    means = grid.mean(axis=others)
    return float((means**2).mean())
