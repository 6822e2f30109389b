import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import adjust, not_significantly_worse

P_VALUES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.04, 0.05, 0.3, 1.0]) | st.floats(0, 1), min_size=1)


def test_golden(golden):
    for case in golden("p_adjust", "holm") + golden("demsar2006", "holm"):
        np.testing.assert_allclose(adjust(case["inputs"]["p"]), case["expected"]["holm"], rtol=0, atol=1e-12)


@given(P_VALUES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_adjusted_p_are_monotone_bounded_and_blind_to_order(p, random):
    order = random.sample(range(len(p)), len(p))
    adjusted = adjust(p)
    by_p = adjusted[np.argsort(p, kind="stable")]
    assert (np.diff(by_p) >= 0).all()
    assert (adjusted >= np.array(p) * (1 - 1e-15)).all()
    assert (adjusted <= 1).all()
    np.testing.assert_array_equal(adjust(np.array(p)[order]), adjusted[order])
    assert all(len(set(adjusted[np.array(p) == value])) == 1 for value in p)


def test_shape_is_kept():
    assert adjust(np.full((2, 3), 0.01)).shape == (2, 3)
    assert adjust(0.03) == 0.03


@pytest.mark.parametrize(
    ("p", "message"),
    [([0.1, np.nan], "p is nan"), ([0.1, 1.1], "between 0 and 1"), ([-0.1], "between 0 and 1"), ([], "empty")],
)
def test_adjust_refuses(p, message):
    with pytest.raises(ValueError, match=message):
        adjust(p)


def test_best_set_golden(golden):
    for case in golden("degenerate_and_display", "not_significantly_worse"):
        names = case["inputs"]["names"]
        p = np.ones((len(names), len(names)))
        for pair, value in case["inputs"]["p_holm"].items():
            i, j = (names.index(name) for name in pair.split("-"))
            p[i, j] = p[j, i] = value
        losses = 100.0 - np.array(case["inputs"]["means"])
        marks = not_significantly_worse(losses, p, case["inputs"]["alpha"])
        assert [name for name, mark in zip(names, marks, strict=True) if mark] == (
            case["expected"]["not_significantly_worse"]
        )


def test_all_tied_for_best_are_marked():
    p = np.array([[np.nan, 0.001, 0.5], [0.001, np.nan, 0.01], [0.5, 0.01, np.nan]])
    np.testing.assert_array_equal(not_significantly_worse([1.0, 1.0, 2.0], p), [True, True, False])


def test_significantly_different_but_not_worse_keeps_the_mark():
    """By A12 a strategy may beat the best one, which has the largest mean over all of them."""
    p = np.array([[1.0, 0.01, 0.01], [0.01, 1.0, 0.01], [0.01, 0.01, 1.0]])
    is_worse = np.array([[False, True, False], [False, False, True], [True, False, False]])
    np.testing.assert_array_equal(not_significantly_worse([0.1, 0.2, 0.3], p, 0.05, is_worse), [True, True, False])


def test_p_equal_to_alpha_is_significant():
    p = np.array([[1.0, 0.05], [0.05, 1.0]])
    np.testing.assert_array_equal(not_significantly_worse([1.0, 2.0], p, 0.05), [True, False])


@pytest.mark.parametrize(
    ("means", "p", "alpha", "message"),
    [
        ([1.0, np.nan], np.ones((2, 2)), 0.05, "scores is nan at strategy 1"),
        ([1.0, 2.0], np.ones((3, 3)), 0.05, "num_strategies"),
        ([1.0, 2.0], [[1.0, 0.1], [0.2, 1.0]], 0.05, "symmetric"),
        ([1.0, 2.0], [[1.0, np.nan], [np.nan, 1.0]], 0.05, "p_adjusted is nan at strategy 0, strategy 1"),
        ([1.0, 2.0], np.ones((2, 2)), 5, "alpha is 5"),
    ],
)
def test_best_set_refuses(means, p, alpha, message):
    with pytest.raises(ValueError, match=message):
        not_significantly_worse(means, p, alpha)
