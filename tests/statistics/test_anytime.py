import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import at_times, incumbent_steps

LOSSES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, np.inf]), min_size=1, max_size=15)


def test_golden_step_function(golden):
    for case in golden("anytime", "incumbent_index"):
        times = np.cumsum(case["inputs"]["costs"])
        np.testing.assert_array_equal(times, case["expected"]["cumcost"])
        values = np.array(case["inputs"]["val"])
        steps = incumbent_steps(-values[None])[0]
        expected = [np.nan if v in (None, "nan") else v for v in case["expected"]["incumbent"]]
        np.testing.assert_array_equal(at_times(times, values[steps], case["inputs"]["query_t"]), expected)
        indices = [np.nan if i is None else i for i in case["expected"]["incumbent_index"]]
        np.testing.assert_array_equal(at_times(times, steps, case["inputs"]["query_t"]), indices)


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


def test_lookup_is_right_continuous_with_equal_times():
    result = at_times([1.0, 2.0, 2.0, 4.0], [10.0, 20.0, 30.0, 40.0], [[0.5, 1.0], [2.0, 3.999], [4.0, np.inf]])
    np.testing.assert_array_equal(result, [[np.nan, 10.0], [30.0, 30.0], [40.0, 40.0]])


def test_lookup_never_makes_a_new_value():
    values = np.array([9.0, 5.0, 1.0])
    found = at_times([1.0, 2.0, 3.0], values, np.linspace(1, 5, 41))
    assert set(found) <= set(values)


def test_refusals():
    with pytest.raises(ValueError, match="losses is nan at run 0, step 1"):
        incumbent_steps([[1.0, np.nan]])
    with pytest.raises(ValueError, match="losses is -inf"):
        incumbent_steps([[-np.inf]])
    with pytest.raises(ValueError, match="num_runs, num_steps"):
        incumbent_steps([1.0, 2.0])
    with pytest.raises(ValueError, match="times falls at step 2"):
        at_times([1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [1.0])
    with pytest.raises(ValueError, match="num_steps"):
        at_times([1.0, 3.0], [1.0, 2.0, 3.0], [1.0])
    with pytest.raises(ValueError, match="query is nan"):
        at_times([1.0], [1.0], [np.nan])
