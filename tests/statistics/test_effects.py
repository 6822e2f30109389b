import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import a12

SAMPLE = st.lists(st.integers(-5, 5), min_size=1, max_size=20)


def test_golden(golden):
    for case in golden("independent_two_sample", "A12"):
        x, y, expected = case["inputs"]["x"], case["inputs"]["y"], case["expected"]
        assert a12(x, y) == pytest.approx(expected["A12"], rel=1e-8)


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


def test_refusals():
    with pytest.raises(ValueError, match="x is nan at run 1"):
        a12([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="y is empty"):
        a12([1], [])
    with pytest.raises(ValueError, match=r"pass \(num_runs,\)"):
        a12([[1]], [1])
