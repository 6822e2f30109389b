import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.statistics import (
    Resamples,
    _resampling,
    count_matrix,
    iqm,
    iqm_band,
    iqm_interval,
    resampled_iqm,
    resampled_mean,
    resamples,
    stratified_iqm,
)

TIED = st.lists(st.integers(-5, 5), min_size=1, max_size=40)


def brute(values, counts):
    return np.array([stats.trim_mean(np.repeat(values, column), 0.25) for column in counts.T])


def curves(num_runs=20, num_steps=50, seed=0):
    return np.minimum.accumulate(np.random.default_rng(seed).integers(0, 300, (num_runs, num_steps)) / 10.0, axis=1)


def test_count_matrix_is_multinomial_and_deterministic():
    counts = count_matrix(12, 2500, 7)
    assert counts.dtype == np.uint8
    assert counts.shape == (12, 2500)
    assert (counts.sum(axis=0) == 12).all()
    np.testing.assert_array_equal(counts, count_matrix(12, 2500, 7))
    np.testing.assert_array_equal(counts, count_matrix(12, 2500, np.random.SeedSequence(7)))
    assert (counts != count_matrix(12, 2500, 8)).any()
    # A binomial(12, 1/12) count has mean 1 and variance 11/12; .08 is over four standard errors.
    np.testing.assert_allclose(counts.mean(axis=1), 1.0, atol=0.08)
    assert counts.var() == pytest.approx(11 / 12, abs=0.04)


def test_count_matrix_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is checked
    count_matrix(10, 10, 0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@given(TIED, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_resampled_iqm_is_exact_with_ties(values, seed):
    counts = count_matrix(len(values), 20, seed)
    np.testing.assert_allclose(resampled_iqm(values, counts), brute(np.array(values, float), counts), atol=1e-12)


@pytest.mark.parametrize("num_runs", [1, 3, 4, 5, 7, 10, 50, 333])
def test_resampled_iqm_is_exact_without_ties(num_runs):
    values = np.random.default_rng(num_runs).normal(size=num_runs)
    counts = count_matrix(num_runs, 60, 1)
    np.testing.assert_allclose(resampled_iqm(values, counts), brute(values, counts), atol=1e-12)


def test_resampled_iqm_of_extreme_resamples():
    values = np.arange(21.0)
    counts = 21 * np.eye(21, dtype=np.uint8)
    np.testing.assert_allclose(resampled_iqm(values, counts), values, atol=1e-12)


def test_golden_given_indices(golden):
    for case in golden("bootstrap_enumeration", "iqm"):
        if "indices" not in case["inputs"]:
            continue
        scores = np.array(case["inputs"]["scores_runs_x_tasks"]).T
        num_tasks, num_runs = scores.shape
        drawn = np.array(case["inputs"]["indices"])
        counts = np.array(
            [[np.bincount(resample[:, task], minlength=num_runs) for resample in drawn] for task in range(num_tasks)]
        ).transpose(0, 2, 1)
        pooled = resampled_iqm(scores.ravel(), counts.reshape(num_tasks * num_runs, -1))
        np.testing.assert_allclose(pooled, case["expected"]["iqm"], atol=1e-12)


def test_golden_full_enumeration(golden):
    for case in golden("bootstrap_enumeration", "bootstrap"):
        scores = np.array(case["inputs"]["scores_runs_x_tasks"]).T
        num_tasks, num_runs = scores.shape
        draws = np.array(list(product(range(num_runs), repeat=num_runs)))
        one_task = (draws[:, :, None] == np.arange(num_runs)).sum(axis=1).T
        pairs = [
            one_task[:, list(column)] for column in zip(*product(range(len(draws)), repeat=num_tasks), strict=True)
        ]
        replicates = resampled_iqm(scores.ravel(), np.concatenate(pairs))
        expected = case["expected"]["bootstrap"]["iqm"]
        assert iqm(scores.ravel()) == pytest.approx(case["expected"]["point"]["iqm"], abs=1e-12)
        assert replicates.mean() == pytest.approx(expected["mean"], abs=1e-12)
        assert replicates.std() == pytest.approx(expected["sd"], abs=1e-12)
        low, high = np.quantile(replicates, [0.025, 0.975])
        assert (low, high) == pytest.approx((expected["q025"], expected["q975"]), abs=1e-9)
        sampled = np.concatenate([count_matrix(num_runs, 50_000, seed) for seed in range(num_tasks)])
        monte_carlo = resampled_iqm(scores.ravel(), sampled)
        assert monte_carlo.mean() == pytest.approx(expected["mean"], rel=0.02)
        assert monte_carlo.std() == pytest.approx(expected["sd"], rel=0.02)


@given(st.lists(st.integers(0, 6), min_size=10, max_size=40), st.sampled_from([0.01, 0.5, 0.95]))
@settings(deadline=None)
def test_intervals_contain_the_point(values, confidence):
    counts = count_matrix(len(values), 25, 3)
    result = iqm_interval(values, counts, confidence)
    assert result.low <= result.point <= result.high


def test_other_strategies_change_nothing_to_the_last_bit():
    values = np.random.default_rng(2).normal(size=(5, 40))
    counts = count_matrix(40, 1200, 0)
    together, reverse = iqm_interval(values, counts), iqm_interval(values[::-1], counts)
    for i in range(5):
        alone = iqm_interval(values[i], counts)
        for field in ("point", "low", "high"):
            assert getattr(alone, field) == getattr(together, field)[i] == getattr(reverse, field)[4 - i]


@pytest.mark.parametrize("value", [0.0, 0.1, 91.607])
def test_degenerate_is_flagged_exactly(value):
    mostly = np.full(40, value)
    mostly[0] += 1.0
    counts = count_matrix(40, 500, 0)
    for values in (np.full(40, value), mostly):
        result = iqm_interval(values, counts)
        assert result.is_degenerate
        assert result.low == result.point == result.high


def test_band_is_the_interval_of_the_ranks_at_each_step():
    values = curves()
    counts = count_matrix(20, 500, 4)
    band = iqm_band(values, counts)
    each = iqm_interval(np.sort(values, axis=0).T, counts)
    for field in ("point", "low", "high"):
        np.testing.assert_allclose(getattr(band, field), getattr(each, field), atol=1e-12)
    np.testing.assert_array_equal(band.is_degenerate, each.is_degenerate)


def test_band_does_not_depend_on_the_order_of_the_runs():
    values, counts = curves(40), count_matrix(40, 500, 4)
    band, permuted = iqm_band(values, counts), iqm_band(values[np.random.default_rng(1).permutation(40)], counts)
    for field in ("point", "low", "high"):
        assert getattr(band, field).tobytes() == getattr(permuted, field).tobytes()


def test_bands_of_integers_are_exact_however_the_products_are_cut(monkeypatch):
    values = np.rint(10 * curves(41, 70))
    counts = count_matrix(41, 900, 4)
    whole = iqm_band(values, counts)
    monkeypatch.setattr(_resampling, "_MAX_WEIGHTS", 41 * 7)
    monkeypatch.setattr(_resampling, "_TILE", 3)
    parts = iqm_band(values[:, 30:], counts)
    for field in ("point", "low", "high"):
        assert getattr(whole, field)[30:].tobytes() == getattr(parts, field).tobytes()


@pytest.mark.parametrize("largest", [2**24 // 22, 2**24 // 22 + 1, 2**35 + 1])
def test_sums_of_integers_are_exact_at_the_limit_of_single_precision(largest):
    """The middle half of 42 runs has a weight of 22; odd sums above 2**24 are no numbers of single precision."""
    values = np.zeros((42, 2), dtype=np.int64)
    values[20:] = largest
    counts = count_matrix(42, 2_000, 6)
    order = np.sort(values[:, 0])
    drawn = np.array([np.repeat(order, column)[10:32].sum() for column in counts.T])
    band = iqm_band(values, counts)
    np.testing.assert_array_equal(band.low, np.quantile(drawn / 22, 0.025))
    np.testing.assert_array_equal(band.high, np.quantile(drawn / 22, 0.975))
    assert len(np.unique(drawn)) > 15


def test_band_is_nan_until_every_run_has_a_result():
    values = curves()
    values[:, 0] = np.nan
    values[3, 1] = np.nan
    counts = count_matrix(20, 100, 4)
    band = iqm_band(values, counts)
    for end in (band.point, band.low, band.high):
        np.testing.assert_array_equal(np.isnan(end), np.arange(50) < 2)
    assert not band.is_degenerate[:2].any()
    assert np.isnan(iqm_band(np.full((20, 2), np.nan), counts).point).all()


def test_memory_is_bounded_in_the_number_of_resamples():
    values = np.random.default_rng(0).normal(size=200)
    counts = count_matrix(200, 20_000, 0)
    tracemalloc.start()
    resampled_iqm(values, counts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * counts.size / 2


def test_refusals():
    counts = count_matrix(20, 50, 0)
    with pytest.raises(ValueError, match="num_runs is 9, too few for an interval; print the points instead"):
        iqm_interval(np.zeros(9), count_matrix(9, 50, 0))
    with pytest.raises(ValueError, match="print the points"):
        iqm_band(np.zeros((9, 4)), count_matrix(9, 50, 0))
    with pytest.raises(ValueError, match="counts has shape"):
        iqm_interval(np.zeros(21), counts)
    with pytest.raises(ValueError, match="not 20 draws"):
        iqm_interval(np.zeros(20), counts + 1)
    with pytest.raises(ValueError, match="confidence is 95"):
        iqm_interval(np.zeros(20), counts, 95)
    with pytest.raises(ValueError, match="confidence is 0"):
        iqm_band(np.zeros((20, 3)), counts, 0.0)
    values = curves()
    values[3, 7] = np.nan
    with pytest.raises(ValueError, match="values is nan at run 3, step 7"):
        iqm_band(values, counts)
    with pytest.raises(ValueError, match="values is nan at index 0, run 2"):
        iqm_interval([[0.0, 1.0, np.nan] + [0.0] * 17], counts)
    with pytest.raises(ValueError, match=r"\(num_runs, num_steps\)"):
        iqm_band(np.zeros(20), counts)
    with pytest.raises(ValueError, match="pass at least 1"):
        count_matrix(0, 5, 0)


@pytest.mark.parametrize("num_runs", [10, 2_000, 30_000])
def test_counts_do_not_depend_on_how_many_are_drawn_at_a_time(num_runs):
    """The seed's draws, run after run and resample after resample."""
    counts = count_matrix(num_runs, 110, 5)
    draws = np.random.Generator(np.random.PCG64(5)).integers(num_runs, size=(110, num_runs), dtype=np.uint32)
    expected = np.stack([np.bincount(resample, minlength=num_runs) for resample in draws], axis=1)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(np.concatenate(list(Resamples(num_runs, 110, 5)), axis=1), expected)


def test_large_matrices_are_drawn_when_they_are_used():
    assert isinstance(resamples(30_000, 2_000, 0), Resamples)
    small = resamples(500, 10_000, 0)
    assert isinstance(small, np.ndarray)
    np.testing.assert_array_equal(small, count_matrix(500, 10_000, 0))
    with pytest.raises(ValueError, match="num_runs is 0"):
        resamples(0, 10, 0)
    with pytest.raises(ValueError, match="counts are of 30 runs, values of 40"):
        iqm_interval(np.arange(40.0), Resamples(30, 20, 0))


def test_equal_sums_of_integers_are_equal_resamples():
    """However the runs are ordered: a tie in ranks must stay one."""
    values, counts = np.repeat([0, 7, 9], [150, 30, 20]), count_matrix(200, 500, 1)
    for function in (resampled_mean, resampled_iqm):
        found = function(values, counts)
        np.testing.assert_array_equal(function(values[::-1], counts[::-1]), found)
        num_values = 200 if function is resampled_mean else 100
        np.testing.assert_array_equal(found, np.rint(found * num_values) / num_values)


def test_tasks_may_have_matrices_and_drawn_resamples():
    values = [np.arange(40.0), np.arange(3_000.0) % 50]
    mixed = stratified_iqm(values, [count_matrix(40, 1_500, 1), Resamples(3_000, 1_500, 2)])
    whole = stratified_iqm(values, [count_matrix(40, 1_500, 1), count_matrix(3_000, 1_500, 2)])
    assert (mixed.point, mixed.low, mixed.high) == (whole.point, whole.low, whole.high)
    with pytest.raises(ValueError, match="different numbers of resamples"):
        stratified_iqm(values, [count_matrix(40, 1_400, 1), Resamples(3_000, 1_500, 2)])


def test_intervals_and_bands_are_the_same_however_counts_come():
    values = np.random.default_rng(0).integers(0, 50, (3_000, 7))
    drawn, counts = Resamples(3_000, 1_500, 3), count_matrix(3_000, 1_500, 3)
    assert len(list(drawn)) > 2
    for function, numbers in ((iqm_band, values), (iqm_band, values.astype(float)), (iqm_interval, values.T)):
        by_parts, whole = function(numbers, drawn), function(numbers, counts)
        for name in ("point", "low", "high", "is_degenerate"):
            np.testing.assert_array_equal(getattr(by_parts, name), getattr(whole, name))
