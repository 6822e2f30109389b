import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.statistics import expected_running_time, incumbent_steps, mean_over_time

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


def incumbent_of(run):
    """Cumulative cost and value of the incumbent after each evaluation."""
    values = np.array(run["val"])
    return np.cumsum(run["costs"]), values[incumbent_steps(-values[None])[0]]


def test_golden_area(golden):
    for case in golden("anytime", "mean_regret_2_10"):
        inputs, expected = case["inputs"], case["expected"]
        times, values = incumbent_of(inputs)
        regrets = inputs["optimum"] - values
        assert mean_over_time(times[:-1], regrets[:-1], inputs["budget"]) == pytest.approx(expected["mean_regret_2_10"])
        late = np.concatenate([[inputs["optimum"] - inputs["start_value"]], regrets[:-1]])
        found = mean_over_time(np.concatenate([[0.0], times[:-1]]), late, inputs["budget"])
        assert found == pytest.approx(expected["mean_regret_0_10"])


def test_golden_running_times(golden):
    for case in golden("anytime", "ert"):
        inputs, expected = case["inputs"], case["expected"]
        hits = []
        for run in inputs["runs"]:
            times, values = incumbent_of(run)
            reached = values >= inputs["target"]
            hits.append(float(times[reached.argmax()]) if reached.any() else np.inf)
        assert expected_running_time(hits, inputs["budget"]) == pytest.approx(float(expected["ert"]))
        assert np.isfinite(hits).mean() == pytest.approx(expected["success_rate"])


def test_times_that_do_not_fit_are_refused():
    for times, values, end in (([1.0, 1.0], [0.0, 0.0], 2.0), ([1.0], [0.0], 1.0), ([1.0, 2.0], [0.0], 3.0)):
        with pytest.raises(ValueError, match=r"times (must ascend|has shape)"):
            mean_over_time(times, values, end)
    with pytest.raises(ValueError, match="no NaN"):
        expected_running_time([np.nan], 1.0)
