from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.statistics import (
    brunner_munzel,
    compare_means,
    compare_ranks,
    mann_whitney_two_sided,
    runs_for_a12,
    runs_for_margin,
    welch,
)

FEW = st.lists(st.integers(-3, 3), min_size=2, max_size=6)
TESTS = (compare_means, compare_ranks, welch, mann_whitney_two_sided)


def enumerated(x, y):
    """Share of labelings with a rank sum at least as far from its mean, straight from the definition."""
    ranks = stats.rankdata([*x, *y])
    center = len(x) * (len(ranks) + 1) / 2
    observed = abs(ranks[: len(x)].sum() - center)
    sums = [ranks[list(chosen)].sum() for chosen in combinations(range(len(ranks)), len(x))]
    return np.mean([abs(total - center) >= observed - 1e-9 for total in sums])


def test_golden(golden):
    for case in golden("independent_two_sample", "welch"):
        x, y, expected = case["inputs"]["x"], case["inputs"]["y"], case["expected"]
        assert welch(x, y) == pytest.approx(expected["welch"]["p"], rel=1e-8)
        assert brunner_munzel(x, y) == pytest.approx(expected["brunner_munzel"]["p"], rel=1e-8)
        assert mann_whitney_two_sided(x, y) == pytest.approx(expected["p_mwu_exact"]["two.sided"], abs=1e-9)
        assert compare_means(x, y) == welch(x, y)
        assert compare_ranks(x, y) == mann_whitney_two_sided(x, y)


def test_golden_noether(golden):
    for case in golden("power_sequential_equivalence", "n"):
        assert [runs_for_a12(a12) for a12 in case["inputs"]["A12"]] == case["expected"]["n"]


@given(FEW, FEW)
@settings(deadline=None)
def test_exact_mann_whitney_is_the_enumeration(x, y):
    assert mann_whitney_two_sided(x, y) == pytest.approx(enumerated(x, y), abs=1e-12)


def test_exact_mann_whitney_without_ties_is_scipys():
    rng = np.random.default_rng(0)
    for n, m in ((50, 50), (10, 50), (3, 40)):
        x, y = rng.normal(size=n), rng.normal(0.3, 2, m)
        expected = stats.mannwhitneyu(x, y, method="exact").pvalue
        assert mann_whitney_two_sided(x, y) == pytest.approx(expected, rel=1e-9)


def test_against_scipy_on_larger_samples():
    rng = np.random.default_rng(1)
    for n, m in ((60, 90), (200, 51), (500, 500)):
        x, y = rng.integers(0, 9, n), rng.integers(0, 7, m)
        asymptotic = stats.mannwhitneyu(x, y, use_continuity=False, method="asymptotic").pvalue
        assert mann_whitney_two_sided(x, y) == pytest.approx(asymptotic, rel=1e-9)
        assert compare_means(x, y) == pytest.approx(stats.ttest_ind(x, y, equal_var=False).pvalue, rel=1e-9)
        assert compare_ranks(x, y) == pytest.approx(stats.brunnermunzel(x, y).pvalue, rel=1e-9)


@pytest.mark.parametrize("test", TESTS)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.lists(st.integers(0, 4), min_size=2, max_size=60))
@settings(deadline=None, max_examples=40)
def test_every_p_is_symmetric_and_above_zero(test, x, y):
    p = test(x, y)
    assert 0 < p <= 1
    assert test(y, x) == pytest.approx(p, rel=1e-9)
    assert test(x[::-1], y) == pytest.approx(p, rel=1e-9)
    assert test(np.array(x) + 100, np.array(y) + 100) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize(
    ("num_runs", "p"),
    [(10, 2 / 184_756), (20, 2 / 137_846_528_820), (60, 2 / 9.661447120e34), (2000, 2.2250738585e-308)],
)
def test_constant_samples(num_runs, p):
    """2 / C(2n, n), and the smallest number instead of 0."""
    zeros, ones = np.zeros(num_runs, int), np.ones(num_runs, int)
    assert compare_means(zeros, zeros) == compare_ranks(zeros, zeros) == 1
    for test in (compare_means, compare_ranks):
        assert test(zeros, ones) == pytest.approx(p, rel=1e-6)
    assert compare_means([0] * 10, [1] * 12) == pytest.approx(2 / 646646)


@pytest.mark.parametrize("num_runs", [10, 50, 60])
def test_beside_a_constant_sample_the_larger_p_counts(num_runs):
    zeros, few = np.zeros(num_runs, int), np.zeros(num_runs, int)
    few[0] = 40
    spread = np.arange(num_runs) + 10_000
    for other in (few, spread):
        p = compare_means(zeros, other)
        assert p == max(welch(zeros, other), mann_whitney_two_sided(zeros, other))
    assert compare_means(zeros, few) > 0.05
    assert compare_means(zeros, spread) == mann_whitney_two_sided(zeros, spread) > welch(zeros, spread)


def test_separated_samples_are_exact_at_any_size():
    x = np.arange(100)
    assert compare_ranks(x, x + 100) == pytest.approx(2 / 9.0548514656103e58, rel=1e-9)
    with pytest.raises(ValueError, match="separated completely"):
        brunner_munzel([0, 1], [2, 3])


@pytest.mark.thorough
@pytest.mark.parametrize("test", [compare_means, compare_ranks])
@pytest.mark.parametrize("num_runs", [12, 40, 150])
def test_size_on_tie_heavy_null(test, num_runs):
    rng = np.random.default_rng(11)
    # Regrets as on a table: most runs at the optimum, the others on a few values.
    x, y = rng.choice([0, 0, 0, 5, 5, 20, 80], size=(2, 1000, num_runs))
    p = np.array([test(a, b) for a, b in zip(x, y, strict=True)])
    assert (p <= 0.05).mean() <= 0.06


def test_seeds_for_a_margin_come_from_the_spread_alone():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0])
    assert runs_for_margin(x, y, 0.5) == runs_for_margin(x + 9, y, 0.5) == 157  # 7.85 · (1 + 4) / .25
    assert runs_for_margin([1.0, 1.0], [2.0, 2.0], 0.5) is None
    rng, found = np.random.default_rng(3), runs_for_margin(x, y, 0.5)
    p = [welch(rng.normal(0, 1, found), rng.normal(0.5, 2, found)) for _ in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.8, abs=0.06)


def test_refusals():
    with pytest.raises(ValueError, match="x is nan at run 1"):
        compare_means([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="at least 2 runs"):
        compare_ranks([1], [1, 2])
    with pytest.raises(ValueError, match="margin is 0"):
        runs_for_margin([1, 2], [1, 2], 0)
    with pytest.raises(ValueError, match="a12 is"):
        runs_for_a12(0.5)
