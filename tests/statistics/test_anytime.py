import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import incumbent_steps

LOSSES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, np.inf]), min_size=1, max_size=15)


def test_golden_score_by_another_metric(golden):
    for case in golden("anytime", "test_of_incumbent"):
        steps = incumbent_steps(-np.array([case["inputs"]["val"]]))[0]
        np.testing.assert_array_equal(np.array(case["inputs"]["test"])[steps], case["expected"]["test_of_incumbent"])


@given(LOSSES)
@settings(deadline=None)
def test_incumbent_is_the_plain_loop(losses):
    expected, best, step = [], np.inf, -1
    for i, loss in enumerate(losses):
        if loss < best:
            best, step = loss, i
        expected.append(step)
    rows = np.array([losses, losses[::-1]])
    np.testing.assert_array_equal(incumbent_steps(rows)[0], expected)
    np.testing.assert_array_equal(incumbent_steps(rows)[1], incumbent_steps(rows[1:])[0])


def test_failed_evaluations_never_become_incumbent():
    np.testing.assert_array_equal(incumbent_steps([[np.inf, np.inf, 2.0, np.inf]]), [[-1, -1, 2, 2]])
    assert incumbent_steps(np.empty((3, 0))).shape == (3, 0)


def test_refusals():
    with pytest.raises(ValueError, match="losses is nan at run 0, step 1"):
        incumbent_steps([[1.0, np.nan]])
    with pytest.raises(ValueError, match="losses is -inf"):
        incumbent_steps([[-np.inf]])
    with pytest.raises(ValueError, match="num_runs, num_steps"):
        incumbent_steps([1.0, 2.0])
