"""The gate's verdicts: by hand, against scipy, and what must always hold."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_ind

from nasbench_harness.statistics import (
    Case,
    Difference,
    count_grid_values,
    decide,
    difference,
    more_runs,
    non_inferiority,
    non_inferiority_family,
    permutation_p_better,
    permutation_p_worse,
)

samples = st.lists(st.integers(0, 30), min_size=2, max_size=40)
VERDICTS = ("inferior", "superior", "equivalent", "non-inferior", "inconclusive")


def bounds(value, low, high, p_worse=0.5, level=0.0025):
    return Difference(value, low, high, p_worse, level, 3_000, 100)


def test_difference_by_hand():
    # Means 1 and 2, variances 4/3, four runs each: standard error √(2/3), six degrees of freedom, t(.975) = 2.446912.
    found = difference({0: 2, 2: 2}, {1: 2, 3: 2}, level=0.025)
    assert found.value == 1.0
    assert found.high - found.value == pytest.approx(2.446912 * (2 / 3) ** 0.5, rel=1e-6)
    assert found.value - found.low == pytest.approx(2.446912 * (2 / 3) ** 0.5, rel=1e-6)
    assert (found.num_old, found.num_new) == (4, 4)


def test_sums_are_exact_where_floats_are_not():
    far = 10**12  # the spread of 1 would drown in the rounding of squares
    found = difference({far: 50, far + 1: 50}, {far: 50, far + 1: 50})
    near = difference({0: 50, 1: 50}, {0: 50, 1: 50})
    assert (found.value, found.low, found.high) == (near.value, near.low, near.high)


@given(samples, samples, st.sampled_from([0.0025, 0.01, 0.2]))
def test_difference_is_welch_of_scipy(old, new, level):
    found = difference(count_grid_values(old), count_grid_values(new), 0.5, level)
    if np.ptp(old) == 0 or np.ptp(new) == 0:  # scipy warns where a sample is constant
        return
    oracle = ttest_ind(np.array(new) / 2, np.array(old) / 2, equal_var=False, alternative="greater")
    interval = oracle.confidence_interval(1 - level)
    assert found.p_worse == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-12)
    assert found.low == pytest.approx(interval.low, rel=1e-6, abs=1e-9)
    assert found.high == pytest.approx(2 * found.value - interval.low, rel=1e-6, abs=1e-9)
    assert (found.low > 0) == (found.p_worse < level)


def test_equivalence_is_schuirmanns_two_one_sided_tests():
    rng = np.random.default_rng(5)
    old, new = rng.integers(0, 9, 400), rng.integers(0, 9, 300)
    p = max(
        ttest_ind(new + 0.6, old, equal_var=False, alternative="greater").pvalue,
        ttest_ind(new - 0.6, old, equal_var=False, alternative="less").pvalue,
    )
    for level, is_equivalent in ((p * 0.99, False), (p * 1.01, True)):
        found = difference(count_grid_values(old), count_grid_values(new), level=level)
        assert (found.low > -0.6 and found.high < 0.6) == is_equivalent


@pytest.mark.parametrize(
    ("found", "verdict", "at_the_last"),
    [
        (bounds(0.06, 0.01, 0.11, 1e-4), "inferior", "inferior"),
        (bounds(0.05, 0.01, 0.09, 1e-4), "inconclusive", "inconclusive"),  # significant, but no more than the margin
        (bounds(0.06, -0.01, 0.13, 0.01), "inconclusive", "inconclusive"),
        (bounds(0.04, 0.001, 0.049, 1e-4), "equivalent", "equivalent"),  # worse for sure, and it does not matter
        (bounds(-0.06, -0.11, -0.01), "superior", "superior"),
        (bounds(-0.05, -0.09, -0.01), "inconclusive", "non-inferior"),
        (bounds(-0.03, -0.10, 0.04), "inconclusive", "non-inferior"),
        (bounds(0.0, -0.049, 0.049), "equivalent", "equivalent"),
        (bounds(0.0, -0.05, 0.049), "inconclusive", "non-inferior"),
        (bounds(0.0, -0.049, 0.05), "inconclusive", "inconclusive"),
    ],
)
def test_verdicts_in_their_order(found, verdict, at_the_last):
    assert decide(found, 0.05, is_last=False) == verdict
    assert decide(found, 0.05, is_last=True) == at_the_last


def test_a_corrected_p_takes_back_inferior_only():
    assert decide(bounds(0.06, 0.01, 0.11, 1e-4), 0.05, True, p_worse=0.01) == "inconclusive"
    assert decide(bounds(-0.06, -0.11, -0.01), 0.05, True, p_worse=1.0) == "superior"
    assert decide(bounds(0.0, -0.01, 0.01), 0.05, True, p_worse=1.0) == "equivalent"


def test_superior_needs_the_permutation_test_too():
    found = bounds(-0.06, -0.11, -0.01)
    assert decide(found, 0.05, False, p_better=lambda: 0.002) == "superior"
    assert decide(found, 0.05, False, p_better=lambda: 0.0025) == "inconclusive"
    assert decide(found, 0.05, True, p_better=lambda: 0.0025) == "non-inferior"
    with pytest.raises(ZeroDivisionError):  # asked for only if the bounds say superior
        decide(found, 0.05, True, p_better=lambda: 1 / 0)
    assert decide(bounds(-0.03, -0.10, 0.04), 0.05, True, p_better=lambda: 1 / 0) == "non-inferior"


def test_a_sample_that_misses_the_tail_is_not_superior():
    """One old run in fifty is far out; of a hundred new ones none does: Welch is sure, a permutation is not."""
    old, new = {0: 1_470, 1: 1_470, 100: 60}, np.arange(100) % 2
    assert difference(old, count_grid_values(new), level=0.01).high < 0
    assert permutation_p_better(old, count_grid_values(new)) > 0.05
    assert non_inferiority(old, new, 1.0, alpha=0.01).verdict == "non-inferior"
    assert non_inferiority({20: 3_000}, new, 1.0, alpha=0.01).verdict == "superior"


def test_a_sample_that_misses_the_good_runs_is_not_inferior():
    """One old run in fifty is far better; of a hundred new ones none is: Welch is sure, a permutation is not."""
    old, new = {100: 1_470, 101: 1_470, 0: 60}, 100 + np.arange(100) % 2
    found = difference(old, count_grid_values(new), level=0.01)
    assert found.p_worse < 0.01
    assert permutation_p_worse(old, count_grid_values(new)) > 0.05
    verdict = non_inferiority(old, new, 1.0, alpha=0.01)
    assert verdict.verdict == "inconclusive"
    assert verdict.p_permutation == permutation_p_worse(old, count_grid_values(new))
    assert verdict.num_more >= 100  # Welch's bound, which has decided, would ask for one run
    plain = non_inferiority({20: 3_000}, new, 1.0, alpha=0.01)
    assert (plain.verdict, plain.p_permutation) == ("inferior", None)


def test_in_a_family_the_permutation_p_is_corrected_too():
    """One old run in fifty is far better; two hundred new ones miss them all in about two cases of a hundred."""
    old, new = {100: 1_470, 101: 1_470, 0: 60}, 100 + np.arange(200) % 2
    p = permutation_p_worse(old, count_grid_values(new))
    assert 100 * difference(old, count_grid_values(new)).p_worse < p < 0.05
    same = np.r_[new[:196], np.zeros(4, int)]

    def verdicts(*samples, alpha):
        cases = [Case(old, lambda num_runs, runs=runs: runs[:num_runs], 1.0, 0.05) for runs in samples]
        return [found.verdict for found in non_inferiority_family(cases, alpha, looks=(200,))]

    assert verdicts(new, alpha=1.1 * p) == ["inferior"]
    assert verdicts(new, alpha=p / 1.1) == ["inconclusive"]
    assert verdicts(new, same, alpha=1.1 * p)[0] == "inconclusive"
    assert verdicts(new, same, alpha=2.2 * p)[0] == "inferior"


def test_a_large_family_can_still_be_called_inferior():
    """Sixty cases share .0025: a p of 9,999 draws is never below that share."""
    old, level = {0: 50, 10: 50}, 0.0025 / 60
    worse, equal = (lambda num_runs: np.full(num_runs, 10)), (lambda num_runs: np.arange(num_runs) % 2 * 10)
    assert permutation_p_worse(old, {10: 100}) > level
    found = non_inferiority_family([Case(old, new, 1.0, 0.05) for new in (worse, *[equal] * 59)])
    assert [entry.verdict for entry in found].count("inferior") == 1


def test_without_any_spread_few_runs_tell_nothing():
    found = difference({0: 3}, {5: 3})
    assert found.p_worse == 1 / 20  # three of six runs can be chosen in twenty ways
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert non_inferiority({0: 2}, [0, 0], 0.05).verdict == "inconclusive"
    found = difference({0: 3_000}, {5: 3_000})
    assert 0 < found.p_worse < 1e-300
    assert (found.low, found.high) == (5, 5)
    assert non_inferiority({0: 3_000}, np.zeros(60, int), 0.05).verdict == "equivalent"


def test_the_permutation_p_is_that_of_scipy():
    rng = np.random.default_rng(11)
    old, new = rng.integers(0, 9, 60), rng.integers(0, 9, 25) - 1
    expected = permutation_test(
        (new, old),
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        alternative="less", vectorized=True, n_resamples=9_999, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    found = permutation_p_better(count_grid_values(old), count_grid_values(new))
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 9_999 * 2) ** 0.5)
    assert found == permutation_p_better(count_grid_values(old), count_grid_values(new))
    assert found == permutation_p_worse(count_grid_values(-old), count_grid_values(-new))


def test_golden_permutation(golden):
    """Smaller codes are better, so that y is the better sample."""
    for case in golden("permutation_exact", "p_greater"):
        if "x" in case["inputs"]:
            found = permutation_p_better(count_grid_values(case["inputs"]["x"]), count_grid_values(case["inputs"]["y"]))
            assert found == pytest.approx(case["expected"]["p_greater"], abs=1.5e-3)


def test_looks_share_alpha_and_one_look_has_all_of_it():
    old, new = {0: 1_500, 1: 1_500}, np.arange(3_000) % 2
    assert non_inferiority(old, new, 0.2, alpha=0.01).difference.level == 0.01
    found = non_inferiority(old, new, 0.2, alpha=0.01, looks=(100, 300, 1_000, 3_000))
    assert found.difference.level == 0.0025
    assert (found.verdict, found.difference.num_new) == ("equivalent", 100 if found.difference.high < 0.2 else 300)


def test_later_looks_are_asked_for_only_while_a_case_is_open():
    asked = []

    def new(num_runs):
        asked.append(num_runs)
        return np.arange(num_runs) % 2

    (found,) = non_inferiority_family([Case({0: 500, 1: 500}, new, 1.0, 0.06)])
    assert found.verdict == "equivalent"
    assert asked == [100, 300, 1_000, 3_000][: asked.index(found.difference.num_new) + 1]
    assert len(asked) > 1


def test_holm_runs_over_the_family_and_the_rejected_make_room():
    old = {0: 500, 1: 500}
    clear, close = np.array([1] * 100), np.array([1] * 64 + [0] * 36)
    p = difference(old, count_grid_values(close)).p_worse
    alpha = 1.5 * p

    def verdicts(*new):
        cases = [Case(old, lambda num_runs, codes=codes: codes[:num_runs], 1.0, 0.05) for codes in new]
        return [found.verdict for found in non_inferiority_family(cases, alpha, looks=(100,))]

    assert verdicts(close) == ["inferior"]
    assert verdicts(close, close) == ["inconclusive", "inconclusive"]
    assert verdicts(clear, close) == ["inferior", "inferior"]
    assert verdicts(np.array([0, 1] * 50), close) == ["inconclusive", "inconclusive"]


def test_an_inferior_of_an_earlier_look_stays_rejected():
    old = {0: 5_000, 1: 5_000}
    first, second = np.ones(300, int), np.r_[np.arange(100) % 2, np.ones(50, int), np.arange(150) % 2]
    p = difference(old, count_grid_values(second)).p_worse
    cases = [Case(old, lambda num_runs, codes=codes: codes[:num_runs], 1.0, 0.05) for codes in (first, second)]
    found = non_inferiority_family(cases, alpha=2 * 1.5 * p, looks=(100, 300))
    assert [(entry.verdict, entry.difference.num_new) for entry in found] == [("inferior", 100), ("inferior", 300)]


def test_inconclusive_says_how_many_more_runs_would_do():
    old = {0: 1_500, 1: 1_500}
    found = non_inferiority(old, np.arange(100) % 2, margin=0.1, alpha=0.01)
    assert found.verdict == "inconclusive"
    # Half-width z √(.25/3000 + .25/n) < .1 with z(.99) = 2.326
    needed = 0.25 / ((0.1 / NormalDist().inv_cdf(0.99)) ** 2 - 0.25 / 3_000)
    assert 100 + found.num_more == pytest.approx(needed, rel=0.05)
    assert non_inferiority(old, np.arange(100 + found.num_more) % 2, margin=0.1, alpha=0.01).verdict == "equivalent"
    assert more_runs({0: 10, 1: 10}, {0: 50, 1: 50}, 0.1) is None  # the old side alone is wider than the margin


def test_runs_without_spread_need_enough_of_them():
    num_more = non_inferiority({0: 3}, [0, 0, 0], 0.05).num_more
    assert non_inferiority({0: 3}, [0] * (3 + num_more), 0.05).verdict == "equivalent"
    assert non_inferiority({0: 3}, [0] * (2 + num_more), 0.05).verdict == "inconclusive"


@settings(deadline=None)  # of a permutation test
@given(samples, samples, st.floats(0.1, 5), st.integers(0, 100))
def test_what_must_always_hold(old, new, margin, shift):
    first, second = count_grid_values(old), count_grid_values(new)
    found, mirrored = difference(first, second), difference(second, first)
    assert found.low <= found.value <= found.high
    assert mirrored.value == pytest.approx(-found.value)
    assert mirrored.low == pytest.approx(-found.high)
    moved = difference(count_grid_values(np.add(old, shift)), count_grid_values(np.add(new, shift)))
    assert (moved.low, moved.high) == pytest.approx((found.low, found.high))
    verdict = non_inferiority(first, new, margin, alpha=0.1).verdict
    assert verdict in VERDICTS
    assert non_inferiority(first, new[::-1], margin, alpha=0.1).verdict == verdict
    opposite = {"superior": "inferior", "inferior": "superior", "equivalent": "equivalent"}
    is_close = min(abs(test(first, second) - 0.1) for test in (permutation_p_better, permutation_p_worse)) < 0.02
    if verdict in opposite and not is_close:  # the draws of a permutation test are not mirrored
        assert non_inferiority(second, old, margin, alpha=0.1).verdict == opposite[verdict]


@settings(deadline=None, max_examples=30)  # each with up to 11 permutation tests
@given(*[st.lists(st.integers(0, 30), min_size=3, max_size=40)] * 2)  # two runs of four have no p below .1
def test_worse_runs_never_help(old, new):
    order = ["superior", "equivalent", "inferior"]
    shifts = [*range(0, 60, 6), 10_000]
    verdicts = [non_inferiority(count_grid_values(old), np.add(new, shift), 2.0, alpha=0.1).verdict for shift in shifts]
    decided = [order.index(verdict) for verdict in verdicts if verdict in order]
    assert decided == sorted(decided)
    assert verdicts[-1] == "inferior"


def test_false_alarms_under_ties_stay_below_the_level():
    # 56 % at the optimum, as real runs are; 2,000 resamplings at .05, seeded: a correct size passes at .06.
    rng = np.random.default_rng(7)
    codes, weights = np.array([0, 2, 5, 9, 30]), np.array([0.56, 0.2, 0.14, 0.08, 0.02])
    alarms = 0
    for _ in range(2_000):
        old = dict(zip(codes.tolist(), rng.multinomial(3_000, weights).tolist(), strict=True))
        new = dict(zip(codes.tolist(), rng.multinomial(100, weights).tolist(), strict=True))
        alarms += difference(old, new, level=0.05).p_worse < 0.05
    assert alarms / 2_000 <= 0.06


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match=r"new has 60 runs, the last look wants 100; run more or declare other looks"):
        non_inferiority({0: 9}, np.zeros(60, int), 0.05, looks=(100,))
    with pytest.raises(ValueError, match="pass ascending numbers"):
        non_inferiority_family([], looks=(300, 100))
    with pytest.raises(ValueError, match="margin is 0"):
        non_inferiority({0: 9}, [0, 0], 0)
    with pytest.raises(ValueError, match="old has 1 runs"):
        difference({0: 1}, {0: 9})
    with pytest.raises(ValueError, match="level is 0"):
        difference({0: 9}, {0: 9}, level=0)
    with pytest.raises(ValueError, match="resolution is -1"):
        difference({0: 9}, {0: 9}, resolution=-1)
    with pytest.raises(ValueError, match="pass integers"):
        count_grid_values([0.5])
