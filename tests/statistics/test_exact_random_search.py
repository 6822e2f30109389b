from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import exact_random_search

NAN = np.nan
TABLE = np.array([[1.0, 3.0, NAN], [2.0, 2.0, 2.0], [5.0, 1.0, 3.0], [2.0, NAN, NAN]])


def brute(table, num_evaluations, noise, scores=None):
    """Mean and std over every sequence of queries, weighted by its probability."""
    means = np.nanmean(table, axis=1)
    scores = means if scores is None else scores
    atoms = []
    for row, mean, score in zip(table, means, scores, strict=True):
        seen = [mean] if noise == "mean" else row[~np.isnan(row)]
        atoms += [(value, score, 1 / (len(table) * len(seen))) for value in seen]
    sequences = list(product(atoms, repeat=num_evaluations))
    chances = np.array([np.prod([atom[2] for atom in sequence]) for sequence in sequences])
    # min() keeps the first of tied minima.
    final = np.array([min(sequence, key=lambda atom: atom[0])[1] for sequence in sequences])
    mean = chances @ final
    return mean, np.sqrt(chances @ (final - mean) ** 2)


@pytest.mark.parametrize("noise", ["mean", "per_query"])
@pytest.mark.parametrize("scores", [None, np.array([4.0, 0.5, 2.0, 1.0])])
def test_against_enumeration(noise, scores):
    curve = exact_random_search(TABLE, 4, noise, scores)
    for step in range(4):
        expected = brute(TABLE, step + 1, noise, scores)
        assert (curve.mean[step], curve.std[step]) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=2), min_size=1, max_size=3))
@settings(deadline=None, max_examples=40)
def test_against_enumeration_on_any_small_table(rows):
    table = np.array(rows, float)
    curve = exact_random_search(table, 3, "per_query")
    assert (curve.mean[2], curve.std[2]) == pytest.approx(brute(table, 3, "per_query"), abs=1e-7)
    reordered = exact_random_search(table[::-1], 3, "per_query")
    np.testing.assert_allclose(reordered.mean, curve.mean, atol=1e-12)


def test_fixed_replicate_is_one_column_with_scores():
    table = TABLE[:3, :2]
    scores = table.mean(axis=1)
    curve = exact_random_search(table[:, [1]], 3, scores=scores)
    assert (curve.mean[2], curve.std[2]) == pytest.approx(brute(table[:, [1]], 3, "mean", scores), abs=1e-12)


def test_per_run_is_computed_as_per_query():
    per_run, per_query = (exact_random_search(TABLE, 5, noise) for noise in ("per_run", "per_query"))
    np.testing.assert_array_equal(per_run.mean, per_query.mean)


def test_against_simulation_with_per_run_noise():
    rng = np.random.default_rng(0)
    # The top rows are closer than their noise, so that the first draw of a tied minimum matters.
    table = np.rint(rng.gamma(3.0, 4.0, (800, 1)) + rng.normal(0.0, 2.0, (800, 3)))
    num_runs, num_steps = 20_000, 40
    drawn = rng.integers(800, size=(num_runs, num_steps))
    fixed = rng.integers(3, size=(num_runs, 800))
    observed = table[drawn, np.take_along_axis(fixed, drawn, axis=1)]
    final = table.mean(axis=1)[drawn[np.arange(num_runs), observed.argmin(axis=1)]]
    curve = exact_random_search(table, num_steps, "per_run")
    assert final.mean() == pytest.approx(curve.mean[-1], abs=4 * curve.std[-1] / np.sqrt(num_runs))
    assert final.std() == pytest.approx(curve.std[-1], rel=0.03)


def test_long_runs_stay_accurate():
    table = np.arange(5.0)[:, None] + 90.1
    curve = exact_random_search(table, 2000)
    n = np.arange(1, 2001)
    np.testing.assert_allclose(curve.mean, 90.1 + sum((k / 5) ** n for k in range(1, 5)), rtol=1e-14)
    # Nearly all runs have found the best row: P(second best) = .8^n, so the variance is .8^n and must not drown.
    assert curve.std[199] ** 2 == pytest.approx(0.8**200, rel=1e-6, abs=0)
    assert (np.diff(curve.mean) <= 0).all()
    assert curve.mean[-1] == 90.1


def test_one_row_never_varies():
    curve = exact_random_search([[2.0, 4.0]], 3, "per_query")
    np.testing.assert_array_equal(curve.mean, [3.0] * 3)
    np.testing.assert_array_equal(curve.std, [0.0] * 3)


@pytest.mark.parametrize(
    ("values", "num_evaluations", "noise", "scores", "message"),
    [
        ([1.0, 2.0], 3, "mean", None, "num_architectures, num_replicates"),
        ([[1.0], [np.inf]], 3, "mean", None, "values is inf at architecture 1, replicate 0"),
        ([[1.0], [NAN]], 3, "mean", None, "no replicate at architecture 1"),
        ([[1.0]], 0, "mean", None, "num_evaluations is 0"),
        ([[1.0]], 3, "per_row", None, "choose one of mean, per_query, per_run"),
        ([[1.0]], 3, "mean", [1.0, 2.0], "scores has shape"),
        ([[1.0]], 3, "mean", [NAN], "scores is nan at architecture 0"),
    ],
)
def test_refusals(values, num_evaluations, noise, scores, message):
    with pytest.raises(ValueError, match=message):
        exact_random_search(values, num_evaluations, noise, scores)
