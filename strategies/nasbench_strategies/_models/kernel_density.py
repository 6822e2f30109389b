"""A kernel density over categorical decisions.

Aitchison and Aitken, "Multivariate Binary Discrimination by the Kernel Method", Biometrika 1976.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, Ints, RunStreams, SearchSpace
from nasbench_strategies._models.existing import draw_existing


class KernelDensity:
    """Mean of one kernel for each architecture, a product over the decisions.

    A kernel gives the weight 1 − λ to the choice of its architecture and shares λ among the others. λ falls with the
    number of architectures n as n^(−2 / (4 + num_decisions)), from the uniform distribution at n = 1.

    Args:
        choices: Choices of the architectures, shape (n, num_decisions).
        num_choices: Number of choices of each decision, shape (num_decisions,).
    """

    def __init__(self, choices: Ints, num_choices: Ints) -> None:
        size, num_decisions = choices.shape
        self._choices, self._num_choices = choices, num_choices
        self._leaves = (num_choices - 1) / num_choices * size ** (-2 / (4 + num_decisions))
        self._others = self._leaves / np.maximum(num_choices - 1, 1)

    def __call__(self, candidates: Ints) -> Floats:
        """Density of candidates (m, num_decisions), shape (m,)."""
        factors = np.where(candidates[:, None] == self._choices, 1 - self._leaves, self._others)
        density: Floats = factors.prod(axis=2).mean(axis=1)
        return density

    def draw(self, space: SearchSpace, size: int, rng: RunStreams, run: int) -> Ints:
        """Choices drawn from the density with the stream of one run, shape (size, num_decisions).

        In a sparse space each decision is drawn among the choices that continue an architecture.

        Args:
            space: The search space.
            size: Number of draws.
            rng: The runs' streams.
            run: The run that draws.
        """
        num_decisions = len(self._num_choices)
        uniforms = rng.uniform(size * (1 + 2 * num_decisions), np.array([run])).reshape(size, -1)
        centers = self._choices[(uniforms[:, 0] * len(self._choices)).astype(np.int64)]
        if space.is_sparse:
            is_own = centers[:, :, None] == np.arange(self._num_choices.max())
            chances = np.where(is_own, 1 - self._leaves[:, None], self._others[:, None])
            return draw_existing(space, chances, uniforms[:, 1 : 1 + num_decisions])
        leaves = uniforms[:, 1 : 1 + num_decisions] < self._leaves
        steps = 1 + (uniforms[:, 1 + num_decisions :] * (self._num_choices - 1)).astype(np.int64)
        drawn: Ints = np.where(leaves, (centers + steps) % self._num_choices, centers)
        return drawn
