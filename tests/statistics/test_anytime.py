import numpy as np
import pytest

from nasbench_harness.statistics import expected_running_time, mean_over_time


def incumbent_of(run):
    """Cumulative cost and value of the incumbent after each evaluation."""
    values = np.array(run["val"])
    return np.cumsum(run["costs"]), np.maximum.accumulate(values)


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
