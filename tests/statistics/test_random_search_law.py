"""The law of random search against its closed form, its simulation and small tables solved by hand."""

import math

import numpy as np
import pytest

from nasbench_harness.statistics import exact_random_search, iqm, stratified_iqm
from nasbench_harness.statistics.intervals import count_matrix, iqm_interval
from nasbench_harness.statistics.random_search_law import RandomSearchLaw

TABLE = np.random.default_rng(3).integers(0, 40, (60, 3)) / 10


@pytest.mark.parametrize("noise", ["mean", "per_query"])
def test_the_mean_is_that_of_the_curve(noise):
    curve = exact_random_search(TABLE, 30, noise)
    np.testing.assert_allclose([curve.law.mean_after(n) for n in range(1, 31)], curve.mean)


def test_evaluations_invert_the_mean():
    law = exact_random_search(TABLE, 1).law
    for n in (1.5, 7, 200, 432.1):
        assert law.evaluations_for(law.mean_after(n)) == pytest.approx(n, rel=1e-6)
    assert law.evaluations_for(law.mean_after(1)) == 1.0
    assert law.evaluations_for(law.mean_after(1) + 1e-9) == 0.0  # worse than a single evaluation
    assert law.evaluations_for(TABLE.mean(axis=1).min() - 0.01) == math.inf


def test_noise_may_keep_random_search_from_ever_reaching_a_loss():
    law = exact_random_search([[0.0, 1.0], [0.4, 0.4]], 1, "per_query").law
    assert law.mean_after(1e9) == pytest.approx(0.5)
    assert law.evaluations_for(0.45) == 1.0  # one draw has .45, the winner of many has .5
    assert law.evaluations_for(0.44) == math.inf
    assert law.limit == 0.5


def test_the_chance_to_miss_the_optimum():
    law = exact_random_search([[0.0, 1.0], [0.5, 0.6]], 1, "per_query", [0.0, 0.3]).law
    assert law.limit == 0.0
    assert law.of_misses.mean_after(2) == pytest.approx(0.5)  # 9 of 16 pairs lack 0.0; (1.0, 1.0) ends at it, too


def test_the_interquartile_mean_is_that_of_many_runs():
    law = exact_random_search(TABLE, 1, "per_query").law
    rng = np.random.default_rng(0)
    rows, replicates = rng.integers(60, size=(40_000, 8)), rng.integers(3, size=(40_000, 8))
    best = TABLE[rows, replicates].argmin(axis=1)
    finals = TABLE.mean(axis=1)[rows[np.arange(len(rows)), best]]
    assert law.iqm_after([8])[0] == pytest.approx(iqm(finals), abs=0.01)
    assert law.iqm_after([1])[0] == pytest.approx(iqm(np.tile(TABLE.mean(axis=1), 1000)), abs=1e-3)


def test_one_stratum_is_the_plain_interval():
    values, counts = np.random.default_rng(1).normal(size=40), count_matrix(40, 500, 0)
    one, other = stratified_iqm([values], [counts]), iqm_interval(values, counts)
    for name in ("point", "low", "high"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(other, name)))


def test_strata_are_resampled_apart():
    """Each resample holds as many runs of each task as the study: constant tasks leave no spread."""
    counts = [count_matrix(20, 200, seed) for seed in (0, 1)]
    found = stratified_iqm([np.zeros(20), np.ones(20)], counts)
    assert (found.low, found.point, found.high) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="pass one of each"):
        stratified_iqm([np.zeros(20)], counts)
    with pytest.raises(ValueError, match="too few"):
        stratified_iqm([np.zeros(9)], [count_matrix(9, 200, 0)])


@pytest.mark.parametrize("seed", range(20))
def test_equivalents_are_at_the_change_of_sign_after_few_steps(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 400)
    level = np.unique(rng.integers(0, size, size), return_inverse=True)[1]
    mass = rng.random(size)
    law = RandomSearchLaw(level, mass / mass.sum(), 10 * rng.random(size))
    mean_after, calls = law.mean_after, []
    assert len(law._means_on_grid) == 61
    monkeypatch.setattr(RandomSearchLaw, "mean_after", lambda _, number: calls.append(number) or mean_after(number))
    for loss in 8 * rng.random(5):
        calls.clear()
        found = law.evaluations_for(loss)
        if 1 < found < np.inf:
            assert mean_after(found) <= loss < mean_after(found * (1 - 2e-8))
        assert len(calls) <= 15


def test_terms_that_are_left_out_change_no_bit():
    """Of a table with thousands of levels, some of which are gone after two evaluations and others after a million."""
    rng = np.random.default_rng(4)
    curve = exact_random_search(rng.gamma(2.0, size=(3_000, 3)), 1, "per_query")
    law = curve.law
    for number in np.geomspace(1, 1e9, 90):
        assert law.mean_after(number) == float(-np.diff(law._survival**number) @ law._level_means)
    steps = [1, 200, 3, 40, 41, 10_000]
    np.testing.assert_array_equal(law.iqm_after(steps), [law.iqm_after([step])[0] for step in steps])
