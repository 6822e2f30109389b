from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import adjust, not_significantly_worse

METHODS = ["holm", "hochberg", "hommel", "bonferroni", "bh", "by"]
P_VALUES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.04, 0.05, 0.3, 1.0]) | st.floats(0, 1), min_size=1)


@pytest.mark.parametrize("key", ["holm", "hochberg", "hommel", "bonferroni", "BH", "BY"])
def test_golden(golden, key):
    for case in golden("p_adjust", key):
        np.testing.assert_allclose(adjust(case["inputs"]["p"], key.lower()), case["expected"][key], rtol=0, atol=1e-12)


@given(P_VALUES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_adjusted_p_are_monotone_bounded_and_blind_to_order(p, random):
    order = random.sample(range(len(p)), len(p))
    for method in METHODS:
        adjusted = adjust(p, method)
        by_p = adjusted[np.argsort(p, kind="stable")]
        assert (np.diff(by_p) >= 0).all()
        assert (adjusted >= np.array(p) * (1 - 1e-15)).all()
        assert (adjusted <= 1).all()
        np.testing.assert_array_equal(adjust(np.array(p)[order], method), adjusted[order])
        assert all(len(set(adjusted[np.array(p) == value])) == 1 for value in p)


@given(P_VALUES)
@settings(deadline=None)
def test_from_strict_to_lenient(p):
    chain = [adjust(p, method) for method in ("bonferroni", "holm", "hochberg", "hommel", "bh")]
    for strict, lenient in pairwise(chain):
        assert (lenient <= strict * (1 + 1e-12)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_hommel_is_the_closed_simes_procedure(p):
    values = np.array(p)
    families = [[i for i in range(len(p)) if mask >> i & 1] for mask in range(1, 2 ** len(p))]
    simes = [min(np.sort(values[f]) * len(f) / np.arange(1, len(f) + 1)) for f in families]
    expected = [max(s for f, s in zip(families, simes, strict=True) if i in f) for i in range(len(p))]
    np.testing.assert_allclose(adjust(p, "hommel"), expected, rtol=1e-12)


def test_shape_is_kept():
    assert adjust(np.full((2, 3), 0.01)).shape == (2, 3)
    assert adjust(0.03) == 0.03


@pytest.mark.parametrize(
    ("p", "method", "message"),
    [
        ([0.1, np.nan], "holm", "p is nan"),
        ([0.1, 1.1], "holm", "between 0 and 1"),
        ([-0.1], "bh", "between 0 and 1"),
        ([0.1], "BH", "choose one of holm"),
        ([], "holm", "empty"),
    ],
)
def test_adjust_refuses(p, method, message):
    with pytest.raises(ValueError, match=message):
        adjust(p, method)


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


def test_p_equal_to_alpha_is_significant():
    p = np.array([[1.0, 0.05], [0.05, 1.0]])
    np.testing.assert_array_equal(not_significantly_worse([1.0, 2.0], p, 0.05), [True, False])


@pytest.mark.parametrize(
    ("means", "p", "alpha", "message"),
    [
        ([1.0, np.nan], np.ones((2, 2)), 0.05, "means is nan at strategy 1"),
        ([1.0, 2.0], np.ones((3, 3)), 0.05, "num_strategies"),
        ([1.0, 2.0], [[1.0, 0.1], [0.2, 1.0]], 0.05, "symmetric"),
        ([1.0, 2.0], [[1.0, np.nan], [np.nan, 1.0]], 0.05, "p_adjusted is nan at strategy 0, strategy 1"),
        ([1.0, 2.0], np.ones((2, 2)), 5, "alpha is 5"),
    ],
)
def test_best_set_refuses(means, p, alpha, message):
    with pytest.raises(ValueError, match=message):
        not_significantly_worse(means, p, alpha)
