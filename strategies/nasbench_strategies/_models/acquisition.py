"""How much an evaluation promises."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from nasbench_harness import Floats


def expected_improvement(best: float, mean: Floats, deviation: Floats) -> Floats:
    """Expected amount by which normal losses fall below the best one, shape (n,).

    Args:
        best: Loss to improve on.
        mean: Means, shape (n,).
        deviation: Standard deviations, shape (n,).

    >>> expected_improvement(0.0, np.array([0.0]), np.array([1.0])).round(3)
    array([0.399])
    """
    gain = (best - mean) / deviation
    improvement: Floats = deviation * (gain * ndtr(gain) + np.exp(-(gain**2) / 2) / np.sqrt(2 * np.pi))
    return improvement
