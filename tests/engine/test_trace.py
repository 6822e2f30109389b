"""Traces grow, keep runs apart and number their rows."""

import numpy as np
import pytest

from nasbench_harness.engine.trace import Trace


@pytest.mark.parametrize("expected_rows", [1, 2, 3, 100])
def test_a_trace_grows_beyond_its_expected_rows(expected_rows):
    trace = Trace(2, ["value_a"], expected_rows)
    for row in range(50):
        trace.append(architecture=np.array([row, -row]), status=np.ones(2), value_a=np.array([0.5, 1.5]) * row)
    columns = trace.rows(slice(0, 2))
    assert trace.num_rows == 50
    assert columns["architecture"].tolist() == [*range(50), *range(0, -50, -1)]
    assert columns["value_a"].tolist() == [0.5 * row for row in range(50)] + [1.5 * row for row in range(50)]
    assert columns["run"].tolist() == [0] * 50 + [1] * 50
    assert columns["step"].tolist() == [*range(50)] * 2


def test_rows_without_a_status_are_left_out():
    trace = Trace(3, [], 2)
    for status in ([1, 0, 7], [0, 0, 1], [1, 0, 0], [2, 0, 1]):
        trace.append(architecture=np.full(3, trace.num_rows), status=np.array(status))
    columns = trace.rows(slice(0, 3))
    assert columns["run"].tolist() == [0, 0, 0, 2, 2, 2]
    assert columns["step"].tolist() == [0, 1, 2, 0, 1, 2]
    assert columns["architecture"].tolist() == [0, 2, 3, 0, 1, 3]
    assert columns["status"].tolist() == [1, 1, 2, 7, 1, 1]


def test_a_slice_of_runs_counts_runs_from_zero():
    trace = Trace(4, [], 1)
    for _ in range(3):
        trace.append(architecture=np.arange(4), status=np.ones(4))
    columns = trace.rows(slice(1, 3))
    assert columns["run"].tolist() == [0, 0, 0, 1, 1, 1]
    assert columns["architecture"].tolist() == [1, 1, 1, 2, 2, 2]


def test_recommendations_before_the_first_are_minus_one():
    trace = Trace(1, [], 4)
    trace.append(status=np.ones(1))
    assert "recommended" not in trace.rows(slice(0, 1))
    trace.append(status=np.ones(1))
    trace.recommend(np.array([12]))
    trace.append(status=np.ones(1))
    assert trace.rows(slice(0, 1))["recommended"].tolist() == [-1, 12, -1]


def test_recommendations_that_are_not_named_are_minus_one_after_growth_too():
    trace = Trace(1, [], 1)
    trace.append(status=np.ones(1))
    trace.recommend(np.array([12]))
    for _ in range(4):
        trace.append(status=np.ones(1))
    assert trace.rows(slice(0, 1))["recommended"].tolist() == [12, -1, -1, -1, -1]


def test_appending_copies():
    trace, values = Trace(2, [], 2), np.array([1, 2])
    trace.append(architecture=values, status=np.ones(2))
    values[:] = 9
    assert trace.rows(slice(0, 2))["architecture"].tolist() == [1, 2]
