import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.statistics.verification import mann_whitney, smallest_p, within_blocks

SCORES = st.integers(0, 6).map(float)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_within_blocks_is_the_enumeration_of_all_labelings(num_blocks, num_controls, data):
    members = np.array(
        [data.draw(st.lists(SCORES, min_size=num_controls + 1, max_size=num_controls + 1)) for _ in range(num_blocks)]
    )
    observed, better, worse, count = None, 0, 0, 0
    for labels in product(range(num_controls + 1), repeat=num_blocks):
        total = sum(row[label] - np.delete(row, label).mean() for row, label in zip(members, labels, strict=True))
        observed = total if observed is None else observed  # the first labeling is what was observed
        better, worse, count = better + (total >= observed - 1e-9), worse + (total <= observed + 1e-9), count + 1
    found = within_blocks(members[:, 0], members[:, 1:])
    assert found.statistic == pytest.approx(observed)
    assert (found.p_better, found.p_worse) == (pytest.approx(better / count), pytest.approx(worse / count))


@settings(max_examples=60, deadline=None)
@given(st.lists(SCORES, min_size=2, max_size=5), st.lists(SCORES, min_size=2, max_size=5))
def test_mann_whitney_is_the_permutation_test_of_its_statistic(first, second):
    found = mann_whitney(first, second)

    def statistic(x, y, axis=-1):
        return stats.mannwhitneyu(x, y, axis=axis).statistic

    wanted = stats.permutation_test(
        (first, second), statistic, permutation_type="independent", alternative="greater", n_resamples=np.inf
    )
    assert found.statistic == pytest.approx(stats.mannwhitneyu(first, second).statistic)
    assert found.p_better == pytest.approx(wanted.pvalue)


def test_without_ties_mann_whitney_is_that_of_scipy():
    first, second = [1.2, 3.4, 5.6, 9.9], [0.1, 2.2, 3.3]
    wanted = stats.mannwhitneyu(first, second, alternative="greater", method="exact")
    assert mann_whitney(first, second).p_better == pytest.approx(wanted.pvalue)


def test_sampled_permutations_come_close_to_the_enumeration():
    """The enumerated p is .0152; 9,999 samples are off by more than .006 less than once in a million seeds."""
    rng = np.random.default_rng(3)
    small = rng.normal(size=(8, 4)) + np.array([0.9, 0, 0, 0])
    exact = within_blocks(small[:, 0], small[:, 1:])
    assert exact.is_exact
    wide = np.concatenate([small, np.zeros((6, 4))])  # blocks of equals add nothing, but make 4^14 labelings
    sampled = within_blocks(wide[:, 0], wide[:, 1:])
    assert not sampled.is_exact
    assert sampled.p_better == pytest.approx(exact.p_better, abs=0.006)


def test_a_sampled_p_is_never_zero():
    """(1 + b) / (1 + B): the clearest case of 4^30 labelings is in no sample of 9,999."""
    assert within_blocks(np.ones(30), np.zeros((30, 3))).p_better == 1 / 10_000
    assert mann_whitney(np.ones(30), np.zeros(30)).p_better == 1 / 10_000


def test_the_smallest_p_is_reached_by_the_clearest_case():
    for num_candidates, num_controls in ((3, 2), (5, 3), (2, 1)):
        clear = within_blocks(np.ones(num_candidates), np.zeros((num_candidates, num_controls)))
        assert clear.p_better == pytest.approx(smallest_p(num_candidates, num_controls, is_matched=True))
        clear = mann_whitney(np.ones(num_candidates), np.zeros(num_candidates * num_controls))
        assert clear.p_better == pytest.approx(smallest_p(num_candidates, num_controls, is_matched=False))
    assert smallest_p(3, 1, is_matched=False) == 1 / 20
    assert smallest_p(50, 3, is_matched=True) == 1e-4


def test_verdicts():
    assert within_blocks(np.ones(5), np.zeros((5, 3))).verdict(0.05) == "confirmed"
    assert within_blocks(np.zeros(5), np.ones((5, 3))).verdict(0.05) == "contradicted"
    assert within_blocks(np.zeros(5), np.zeros((5, 3))).verdict(0.05) == "inconclusive"


@pytest.mark.parametrize("design", ["matched", "random"])
def test_candidates_like_their_controls_are_confirmed_in_at_most_7_percent(design):
    """Level .05 over 1,000 simulated verifications: more than 70 confirmations come less than once in 200 seeds."""
    rng = np.random.default_rng(11)
    confirmed = 0
    for _ in range(1_000):
        if design == "matched":  # the default: 5 candidates, 3 controls each, two seeds averaged
            scores = rng.normal(size=(5, 1)) + rng.normal(size=(5, 4)) + rng.normal(scale=0.7, size=(5, 4))
            verdict = within_blocks(scores[:, 0], scores[:, 1:]).verdict(0.05)
        else:  # --quick: 3 candidates, 3 controls
            scores = rng.normal(size=6)
            verdict = mann_whitney(scores[:3], scores[3:]).verdict(0.05)
        confirmed += verdict == "confirmed"
    assert confirmed <= 70


def test_seeds_as_units_confirm_random_candidates_far_too_often():
    """The counter-example: trainings of one architecture resemble each other, so they are no independent units."""
    rng = np.random.default_rng(12)
    confirmed = 0
    for _ in range(1_000):
        trained = rng.normal(size=(6, 1)) + rng.normal(scale=0.3, size=(6, 3))  # 3 + 3 architectures × 3 seeds
        confirmed += stats.mannwhitneyu(trained[:3].ravel(), trained[3:].ravel(), alternative="greater").pvalue <= 0.05
    print(confirmed)
    assert confirmed > 140


@pytest.mark.parametrize(
    ("candidates", "controls"), [([1.0], [[math.nan]]), ([1.0, 2.0], [[1.0]]), ([], np.zeros((0, 1))), ([1.0], [1.0])]
)
def test_wrong_inputs_are_refused(candidates, controls):
    with pytest.raises(ValueError, match=r"candidates|controls"):
        within_blocks(candidates, controls)
