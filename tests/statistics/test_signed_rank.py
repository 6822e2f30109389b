from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.statistics import signed_rank

DIFFERENCES = st.lists(st.integers(-4, 4), min_size=1, max_size=9)
SUFFIX = {"two-sided": "two_sided", "greater": "greater", "less": "less"}


def enumerated(differences):
    """p of each alternative over all 2^n sign vectors, straight from the definition."""
    magnitude = np.abs(differences)
    ranks = np.where(magnitude > 0, stats.rankdata(magnitude), 0.0)
    observed = ranks[np.array(differences) > 0].sum()
    null = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))])
    center = ranks.sum() / 2
    return {
        "greater": (null >= observed - 1e-9).mean(),
        "less": (null <= observed + 1e-9).mean(),
        "two-sided": (abs(null - center) >= abs(observed - center) - 1e-9).mean(),
    }


@pytest.mark.parametrize("alternative", SUFFIX)
def test_golden(golden, alternative):
    key = f"p_exact_pratt_{SUFFIX[alternative]}"
    for case in golden("wilcoxon_paired", key):
        x, y = (np.rint(np.array(case["inputs"][name]) * 1000).astype(int) for name in "xy")
        result = signed_rank(x - y, alternative)
        assert result.method == "exact"
        assert result.p_value == pytest.approx(case["expected"][key], abs=1e-9)
        z, p = case["expected"]["z_p_asymptotic_pratt_two_sided"]
        normal = signed_rank(x - y, method="normal")
        assert (normal.z, normal.p_value) == pytest.approx((z, p), abs=1e-8)
        if "R_documented" in case["expected"]:
            assert result.statistic == case["expected"]["R_documented"]["V"]


def test_golden_of_a_published_example(golden):
    for case in golden("demsar2006", "pratt_exact_two_sided"):
        result = signed_rank(np.rint(np.array(case["inputs"]["diff"]) * 1000).astype(int))
        assert result.p_value == pytest.approx(case["expected"]["pratt_exact_two_sided"], abs=1e-9)


def test_golden_all_zero(golden):
    for case in golden("degenerate_and_display", "paired_superiority"):
        difference = np.array(case["inputs"]["x"]) - np.array(case["inputs"]["y"])
        for alternative in SUFFIX:
            assert signed_rank(difference, alternative).p_value == case["expected"]["p_two_sided"]
            assert signed_rank(np.zeros(200, int), alternative).p_value == 1.0


def test_golden_smallest_p(golden):
    for case in golden("degenerate_and_display", "p"):
        for n, p in zip(case["inputs"]["n"], case["expected"]["p"], strict=True):
            assert signed_rank(np.arange(1, n + 1)).p_value == p


@given(DIFFERENCES)
@settings(deadline=None, max_examples=60)
def test_exact_p_is_the_enumeration(differences):
    for alternative, p in enumerated(differences).items():
        assert signed_rank(differences, alternative).p_value == pytest.approx(p, abs=1e-12)


@given(st.lists(st.integers(-6, 6).filter(bool), min_size=5, max_size=40), st.integers(0, 10))
@settings(deadline=None)
def test_normal_is_scipys(differences, num_zeros):
    values = np.array(differences + [0] * num_zeros)
    for alternative in SUFFIX:
        expected = stats.wilcoxon(
            values, zero_method="pratt", correction=False, alternative=alternative, method="asymptotic"
        )
        assert signed_rank(values, alternative, "normal").p_value == pytest.approx(expected.pvalue, abs=1e-12)


@given(DIFFERENCES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_symmetries(differences, random):
    result = signed_rank(differences)
    shuffled = random.sample(differences, len(differences))
    assert signed_rank(shuffled).p_value == result.p_value
    flipped = signed_rank([-d for d in differences])
    assert flipped.p_value == pytest.approx(result.p_value, abs=1e-15)
    assert flipped.z == -result.z
    less, greater = (
        signed_rank(d, a).p_value for d, a in ((differences, "less"), ([-d for d in differences], "greater"))
    )
    assert less == pytest.approx(greater, abs=1e-15)


def test_exact_and_normal_meet_at_the_switch():
    rng = np.random.default_rng(3)
    values = rng.integers(-9, 11, (5, 100))
    exact, normal = signed_rank(values), signed_rank(values, method="normal")
    assert (exact.method, signed_rank(np.arange(101)).method) == ("exact", "normal")
    np.testing.assert_allclose(exact.p_value, normal.p_value, atol=0.005)


def test_many_pairs_at_once_equal_one_at_a_time():
    values = np.random.default_rng(0).integers(-3, 5, (2, 3, 30))
    for method in ("exact", "normal"):
        together = signed_rank(values, method=method)
        for index in np.ndindex(2, 3):
            alone = signed_rank(values[index], method=method)
            assert (alone.p_value, alone.z) == (together.p_value[index], together.z[index])
            assert alone.statistic == together.statistic[index]


@pytest.mark.parametrize("num_runs", [12, 40, 150])
def test_size_on_tie_heavy_null(num_runs):
    rng = np.random.default_rng(11)
    # Regrets as on a table: most runs at the optimum, the others on a few values.
    x, y = rng.choice([0, 0, 0, 5, 5, 20, 80], size=(2, 2000, num_runs))
    for alternative in SUFFIX:
        assert (signed_rank(x - y, alternative).p_value <= 0.05).mean() <= 0.06


def test_adding_a_constant_changes_nothing():
    first, second = np.random.default_rng(1).integers(0, 6, (2, 25))
    assert signed_rank(first - second).p_value == signed_rank((first + 1000) - (second + 1000)).p_value


def test_refusals():
    with pytest.raises(ValueError, match="code scores as integers first"):
        signed_rank([0.1, 0.2])
    with pytest.raises(ValueError, match="at least one run"):
        signed_rank(np.zeros((3, 0), int))
    with pytest.raises(ValueError, match="choose one of two-sided"):
        signed_rank([1], "both")
    with pytest.raises(ValueError, match="choose one of auto"):
        signed_rank([1], method="asymptotic")
    with pytest.raises(ValueError, match="coarser"):
        signed_rank([2**61])
