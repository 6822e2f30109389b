import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasbench_harness.statistics import adjust, rank_tests


def test_golden(golden):
    for case in golden("demsar2006", "mean_ranks") + golden("demsar2006", "exact"):
        inputs, expected = case["inputs"], case["expected"].get("exact", case["expected"])
        losses = np.array(inputs["ranks"]) if "ranks" in inputs else -np.array(inputs["scores"])
        found = rank_tests(losses.T)
        np.testing.assert_allclose(found.mean_ranks, expected["mean_ranks"], rtol=1e-9)
        assert found.p == pytest.approx(expected["friedman_p_tie_corrected"], rel=1e-9)
        pairs = found.p_pairs[np.triu_indices(4, k=1)]
        np.testing.assert_allclose(pairs, adjust(expected["pairwise_z_p"]), rtol=1e-9)


@given(arrays(np.int64, (4, 7), elements=st.integers(0, 3)), st.permutations(range(4)), st.permutations(range(7)))
@settings(deadline=None)
def test_orders_and_monotone_scales_change_nothing(losses, strategies, tasks):
    found, moved = rank_tests(losses), rank_tests(10 * losses[strategies][:, tasks] ** 3 + 1)
    np.testing.assert_allclose(moved.mean_ranks, found.mean_ranks[list(strategies)])
    np.testing.assert_allclose(moved.p_pairs, found.p_pairs[np.ix_(strategies, strategies)])
    assert moved.p == pytest.approx(found.p)
    np.testing.assert_array_equal(found.p_pairs, found.p_pairs.T)


def test_ties_everywhere_are_no_difference():
    found = rank_tests(np.ones((3, 6)))
    assert found.p == 1
    assert (found.p_pairs == 1).all()


@pytest.mark.slow
def test_false_alarms_are_rare():
    """Five equal strategies on twelve tasks, with ties: at most .06 of studies have a difference."""
    rng = np.random.default_rng(0)
    found = [rank_tests(rng.integers(0, 6, (5, 12))) for _ in range(2_000)]
    assert np.mean([tests.p <= 0.05 and (tests.p_pairs <= 0.05).any() for tests in found]) <= 0.06


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (np.ones((2, 6)), "2 strategies; pass at least 3"),
        (np.ones(3), "needs the axes"),
        (np.full((3, 6), np.nan), "estimates is nan"),
    ],
)
def test_wrong_estimates_are_refused(losses, message):
    with pytest.raises(ValueError, match=message):
        rank_tests(losses)
