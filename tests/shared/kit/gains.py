"""Welch's test of one strategy against another, as the recorded comparisons use it."""

import numpy as np
from scipy.special import stdtr, stdtrit


def welch_one_sided(better, worse):
    """Mean gain, its 95 % interval, and the one-sided p of Welch's test that the gain is not above 0.

    Args:
        better: Regrets that are expected to be smaller, shape (n,).
        worse: Regrets of the other strategy, shape (m,).
    """
    shares = [sample.var(ddof=1) / len(sample) for sample in (better, worse)]
    gain, variance = worse.mean() - better.mean(), sum(shares)
    sizes = [len(better), len(worse)]
    freedom = variance**2 / sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    half = stdtrit(freedom, 0.975) * np.sqrt(variance)
    return gain, gain - half, gain + half, stdtr(freedom, -gain / np.sqrt(variance))
