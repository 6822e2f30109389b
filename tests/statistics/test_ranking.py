import numpy as np
import pytest
from scipy import stats

from nasbench_harness.statistics import mean_ranks


def test_mean_ranks_are_scipys_mid_ranks():
    estimates = np.random.default_rng(0).integers(0, 4, (6, 9))
    expected = stats.rankdata(estimates, axis=0).mean(axis=1)
    np.testing.assert_array_equal(mean_ranks(estimates), expected)
    np.testing.assert_array_equal(mean_ranks(estimates + 5), expected)
    np.testing.assert_array_equal(mean_ranks(estimates[:, ::-1]), expected)
    np.testing.assert_array_equal(mean_ranks(estimates[::-1]), expected[::-1])


def test_smallest_is_best_and_ties_share():
    np.testing.assert_array_equal(mean_ranks([[1.0], [3.0], [1.0], [9.0]]), [1.5, 3.0, 1.5, 4.0])


def test_refusals():
    with pytest.raises(ValueError, match="estimates is nan at strategy 0, task 1"):
        mean_ranks([[1.0, np.nan], [1.0, 2.0]])
    with pytest.raises(ValueError, match="num_strategies, num_tasks"):
        mean_ranks(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="add the missing axis"):
        mean_ranks([1.0, 2.0])
