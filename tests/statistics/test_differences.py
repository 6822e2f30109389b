import numpy as np
import pytest
from scipy import stats

from nasbench_harness.statistics import equivalence, mean_difference, mean_interval

X = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0])
Y = np.array([2.0, 7.0, 1.0, 8.0, 2.0, 8.0])


def test_intervals_are_those_of_scipy():
    found = stats.ttest_ind(X, Y, equal_var=False).confidence_interval(0.9)
    assert mean_difference(X, Y, 0.9) == pytest.approx((found.low, found.high))
    found = stats.ttest_1samp(X, 0).confidence_interval(0.95)
    assert mean_interval(X) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("margin", [0.5, 2.0, 4.0])
def test_equivalence_is_two_one_sided_welch_tests(margin):
    upper = stats.ttest_ind(X - margin, Y, equal_var=False, alternative="less").pvalue
    lower = stats.ttest_ind(X + margin, Y, equal_var=False, alternative="greater").pvalue
    assert equivalence(X, Y, margin) == pytest.approx(max(upper, lower))
    assert equivalence(Y, X, margin) == pytest.approx(equivalence(X, Y, margin))


def test_equivalence_agrees_with_the_90_percent_interval():
    low, high = mean_difference(X, Y, 0.9)
    edge = max(abs(low), abs(high))
    assert equivalence(X, Y, edge) == pytest.approx(0.05)


def test_constant_samples():
    assert mean_difference([1, 1], [3, 3]) == (-2.0, -2.0)
    assert equivalence([1, 1], [3, 3], 2.5) == 1 / 6  # two of four runs can be chosen in six ways
    assert 0.0 < equivalence(np.ones(2_000), np.ones(2_000), 0.1) < 1e-300
    assert equivalence([1, 1], [3, 3], 2.0) == 1.0


@pytest.mark.parametrize("wrong", [[1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_wrong_samples_are_refused(wrong):
    with pytest.raises(ValueError, match=r"y (has shape|is nan)"):
        mean_difference(X, wrong)
    with pytest.raises(ValueError, match="above 0"):
        equivalence(X, Y, 0.0)
