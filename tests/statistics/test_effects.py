import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import a12, a12_matrix, cliffs_delta

SAMPLE = st.lists(st.integers(-5, 5), min_size=1, max_size=20)
SAMPLE_OF_TWO = st.lists(st.integers(-5, 5), min_size=2, max_size=20)


def test_golden(golden):
    for case in golden("independent_two_sample", "A12"):
        x, y, expected = case["inputs"]["x"], case["inputs"]["y"], case["expected"]
        delta = cliffs_delta(x, y)
        assert a12(x, y) == pytest.approx(expected["A12"], rel=1e-8)
        assert delta.value == pytest.approx(expected["cliff_delta"], rel=1e-8)
        assert (delta.low, delta.high) == pytest.approx(expected["cliff_delta_ci95"], rel=1e-8)


def test_golden_rliable(golden):
    for case in golden("bootstrap_enumeration", "probability_of_improvement_x_over_y"):
        x, y = (np.array(case["inputs"][name]).T for name in "xy")
        mean = np.mean([a12(a, b) for a, b in zip(x, y, strict=True)])
        assert mean == pytest.approx(case["expected"]["probability_of_improvement_x_over_y"], abs=1e-12)


@given(SAMPLE, SAMPLE)
@settings(deadline=None)
def test_a12_is_its_definition_and_antisymmetric(x, y):
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    assert a12(x, y) == pytest.approx(expected, abs=1e-12)
    assert a12(x, y) == pytest.approx(1 - a12(y, x), abs=1e-15)
    assert a12(x[::-1], y[::-1]) == a12(x, y)
    assert a12(np.array(x) + 7, np.array(y) + 7) == a12(x, y)
    assert a12(x, x) == 0.5


def test_a12_matrix_is_a12_of_each_pair():
    scores = np.random.default_rng(0).integers(0, 9, (4, 30))
    matrix = a12_matrix(scores)
    for i in range(4):
        for j in range(4):
            assert matrix[i, j] == a12(scores[i], scores[j])
    np.testing.assert_array_equal(a12_matrix(scores[::-1]), matrix[::-1, ::-1])


@given(SAMPLE_OF_TWO, SAMPLE_OF_TWO, st.sampled_from([0.5, 0.95, 0.999]))
@settings(deadline=None)
def test_cliffs_interval_contains_the_point_and_has_width(x, y, confidence):
    delta = cliffs_delta(x, y, confidence)
    assert -1 <= delta.low <= delta.value <= delta.high <= 1
    assert delta.low < delta.high
    assert delta.value == pytest.approx(2 * a12(x, y) - 1, abs=1e-12)
    mirror = cliffs_delta(y, x, confidence)
    assert (mirror.low, mirror.high) == pytest.approx((-delta.high, -delta.low), abs=1e-12)


def test_cliffs_interval_at_the_ends():
    # z^2 = 3.8415, and the smaller sample counts.
    bound = (4 - 3.841458820694124) / (4 + 3.841458820694124)
    delta = cliffs_delta([5, 6, 7, 8], [1, 2, 3, 4, 4])
    assert (delta.value, delta.low, delta.high) == pytest.approx((1.0, bound, 1.0))
    delta = cliffs_delta([1, 2, 3, 4, 4], [5, 6, 7, 8])
    assert (delta.value, delta.low, delta.high) == pytest.approx((-1.0, -1.0, -bound))


def test_cliffs_interval_covers_on_tied_data():
    rng = np.random.default_rng(4)
    truth = 2 * np.mean([(a > b) + 0.5 * (a == b) for a in (0, 0, 1, 4) for b in (0, 1, 1, 2)]) - 1
    hits = 0
    for _ in range(1000):
        delta = cliffs_delta(rng.choice([0, 0, 1, 4], 40), rng.choice([0, 1, 1, 2], 40))
        hits += delta.low <= truth <= delta.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_refusals():
    with pytest.raises(ValueError, match="x is nan at run 1"):
        a12([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="y is empty"):
        a12([1], [])
    with pytest.raises(ValueError, match=r"pass \(num_runs,\)"):
        a12([[1]], [1])
    with pytest.raises(ValueError, match="scores is nan at strategy 1, run 0"):
        a12_matrix([[1.0, 2.0], [np.nan, 1.0]])
    with pytest.raises(ValueError, match="num_strategies, num_runs"):
        a12_matrix(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="at least 2"):
        cliffs_delta([1], [1, 2])
    with pytest.raises(ValueError, match="confidence is 1"):
        cliffs_delta([1, 2], [1, 2], 1.0)
