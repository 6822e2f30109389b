import numpy as np
import pytest
from scipy import stats

from nasbench_harness.statistics import rank_correlation, ranks_with_missing, top_means

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=80)
SCORES = np.round(VALUES + RNG.normal(size=80), 1)  # with ties


@pytest.mark.parametrize("coefficient", ["spearman", "kendall"])
def test_coefficients_are_scipys(coefficient):
    expected = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[coefficient](SCORES, VALUES).statistic
    found = rank_correlation(SCORES, VALUES, coefficient)
    assert found.estimate == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found.low)


def test_missing_scores_rank_last_whatever_the_others_are():
    scores = SCORES.copy()
    scores[[3, 40]] = np.nan
    replaced = np.where(np.isnan(scores), -1e9, scores)
    assert rank_correlation(scores, VALUES).estimate == rank_correlation(replaced, VALUES).estimate
    assert ranks_with_missing([np.nan, -1e12, 2.0]).tolist() == [1.0, 2.0, 3.0]
    assert ranks_with_missing([np.nan, np.nan]).tolist() == [1.5, 1.5]


def test_equal_scores_have_no_correlation():
    assert np.isnan(rank_correlation(np.ones(5), VALUES[:5]).estimate)
    assert np.isnan(rank_correlation(np.full(5, np.nan), VALUES[:5], "kendall").estimate)


@pytest.mark.parametrize("coefficient", ["spearman", "kendall"])
def test_intervals_hold_the_estimate_and_repeat(coefficient):
    one, again = (rank_correlation(SCORES, VALUES, coefficient, 200, seed=3) for _ in range(2))
    assert one == again
    assert one.low < one.estimate < one.high
    assert 0.05 < one.high - one.low < 0.5


def test_few_architectures_and_undefined_resamples_have_no_interval():
    assert np.isnan(rank_correlation(SCORES[:9], VALUES[:9], num_resamples=50).low)
    assert rank_correlation(SCORES[:10], VALUES[:10], num_resamples=50).low < 1
    one_differs = np.arange(10) == 4  # a third of the resamples leave this one out, and then all scores are equal
    found = rank_correlation(one_differs, VALUES[:10], num_resamples=50)
    assert np.isfinite(found.estimate)
    assert np.isnan([found.low, found.high]).all()


def test_resamples_are_drawn_one_at_a_time_from_one_stream():
    rows = np.random.default_rng(5).integers(80, size=(30, 80))
    each = [stats.spearmanr(SCORES[row], VALUES[row]).statistic for row in rows]
    found = rank_correlation(SCORES, VALUES, num_resamples=30, seed=5)
    assert [found.low, found.high] == pytest.approx(np.quantile(each, [0.025, 0.975]), abs=1e-12)


@pytest.mark.thorough
def test_intervals_cover():
    """True correlation of a bivariate normal: Spearman's is 6/π · asin(ρ/2)."""
    truth, covered = 6 / np.pi * np.arcsin(0.7 / 2), 0
    rng = np.random.default_rng(1)
    for seed in range(60):
        x = rng.normal(size=150)
        y = 0.7 * x + np.sqrt(1 - 0.49) * rng.normal(size=150)
        found = rank_correlation(x, y, "spearman", 150, seed)
        covered += found.low <= truth <= found.high
    assert covered >= 51


def test_the_pick_shares_places_among_equal_scores():
    scores, values = [2.0, 2.0, 2.0, 1.0, np.nan], [90.0, 60.0, 30.0, 50.0, 99.0]
    assert top_means(scores, values, (1, 2, 3, 4, 5)) == pytest.approx([60, 60, 60, 57.5, 65.8])


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="num_architectures"):
        rank_correlation([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="values"):
        rank_correlation([1.0, 2.0], [1.0, np.nan])
