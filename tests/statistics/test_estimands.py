import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.statistics import iqm, proportion

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)


def test_iqm_golden(golden):
    for case in golden("bootstrap_enumeration", "iqm_x"):
        assert iqm(np.ravel(case["inputs"]["x"])) == pytest.approx(case["expected"]["iqm_x"], abs=1e-12)
        assert iqm(np.ravel(case["inputs"]["y"])) == pytest.approx(case["expected"]["iqm_y"], abs=1e-12)
    for case in golden("bootstrap_enumeration", "iqm"):
        if "values" in case["inputs"]:
            assert iqm(case["inputs"]["values"]) == pytest.approx(case["expected"]["iqm"], abs=1e-12)


@given(st.lists(FLOATS, min_size=1, max_size=30))
@settings(deadline=None)
def test_iqm_is_scipys_trimmed_mean_in_any_order(values):
    expected = stats.trim_mean(values, 0.25)
    assert iqm(values) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert iqm(values[::-1]) == iqm(values)


def test_equal_sums_of_integers_are_equal_means():
    """Relative to their first values they would be 65.83333333333334 and 65.83333333333333."""
    middle = np.array([[2, 3, 11, 49, 161, 169], [1, 3, 11, 49, 161, 170]])
    values = np.concatenate([np.zeros((2, 3), int), middle, np.full((2, 3), 400)], axis=1)
    np.testing.assert_array_equal(iqm(values), [395 / 6] * 2)


def test_iqm_axis():
    values = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_array_equal(iqm(values, axis=0), [iqm(column) for column in values.T])


def test_iqm_refuses_nan_and_empty():
    with pytest.raises(ValueError, match="values is nan at index 1, run 2"):
        iqm([[1.0, 2.0, 3.0], [1.0, 2.0, np.nan]])
    with pytest.raises(ValueError, match="empty"):
        iqm([])


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (20, 20), (1, 20), (279, 500), (1, 1), (3, 7)])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_proportion_against_scipy(successes, n, confidence):
    method = "exact" if successes in (0, n) else "wilson"
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method)
    result = proportion(successes, n, confidence)
    assert (result.value, result.low, result.high) == pytest.approx((successes / n, expected.low, expected.high))
    assert result.low <= result.value <= result.high


def test_proportion_golden(golden):
    for case in golden("power_sequential_equivalence", "clopper"):
        ends = {
            (entry["k"], entry["n"]): entry["ci"]
            for entry in case["expected"]["clopper"]
            if entry["k"] in (0, entry["n"])
        }
        ends |= {
            (entry["k"], entry["n"]): entry["ci"] for entry in case["expected"]["wilson"] if 0 < entry["k"] < entry["n"]
        }
        assert len(ends) == 3
        for (successes, n), ci in ends.items():
            result = proportion(successes, n)
            assert (result.low, result.high) == pytest.approx(ci, abs=1e-6)


def test_proportion_published():
    assert proportion(0, 20).high == pytest.approx(0.168433470983085, abs=1e-12)
    assert proportion(279, 500).low == pytest.approx(0.514191529649283, abs=1e-6)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(1, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0)])
def test_proportion_refuses(successes, n, confidence):
    with pytest.raises(ValueError, match="pass"):
        proportion(successes, n, confidence)
