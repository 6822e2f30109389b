"""Welch's test of one strategy against another, as the recorded comparisons use it."""

import numpy as np
from scipy.special import stdtr, stdtrit


def welch_one_sided(better, worse):
    """Mean gain, its 95 % interval, and the one-sided p of Welch's test that the gain is not above 0.

    Args:
        better: Regrets that are expected to be smaller, shape (n,).
        worse: Regrets of the other strategy, shape (m,).
    """
    gain, error, freedom = _difference(better, worse)
    half = stdtrit(freedom, 0.975) * error
    return gain, gain - half, gain + half, stdtr(freedom, -gain / error)


def welch(first, second):
    """Mean gain of the first, its 95 % interval, and the two-sided p of Welch's test.

    Args:
        first: Regrets, shape (n,).
        second: Regrets of the other strategy, shape (m,).
    """
    gain, error, freedom = _difference(first, second)
    half = stdtrit(freedom, 0.975) * error
    return gain, gain - half, gain + half, 2 * stdtr(freedom, -abs(gain) / error)


def _difference(first, second):
    """Gain, its standard error and Welch's degrees of freedom."""
    shares = [sample.var(ddof=1) / len(sample) for sample in (first, second)]
    variance, sizes = sum(shares), [len(first), len(second)]
    freedom = variance**2 / sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    return second.mean() - first.mean(), np.sqrt(variance), freedom
