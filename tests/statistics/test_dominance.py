"""Hypervolume: golden cases, moocore, and what holds of every set."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.statistics.dominance import (
    front_hypervolumes,
    hypervolume,
    nondominated,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "public__multiobjective.json"
CASES = {case["case"]: case for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]}


def inputs(name):
    given_values = CASES[name]["inputs"]
    return np.array(given_values["points"], dtype=float), np.array(given_values["ref"], dtype=float)


def test_documented_volume_and_contributions():
    points, reference = inputs("hv_doc")
    expected = CASES["hv_doc"]["expected"]
    assert hypervolume(points, reference) == expected["hv_min"]
    assert hypervolume(-points, np.zeros(2)) == expected["hv_max_ref0"]
    without = [hypervolume(np.delete(points, row, axis=0), reference) for row in range(len(points))]
    assert [expected["hv_min"] - volume for volume in without] == expected["contributions_min"]


def test_duplicates_and_dominated_points_add_nothing():
    points, reference = inputs("hv_dups")
    assert hypervolume(points, reference) == CASES["hv_dups"]["expected"]["hv"]
    front = np.unique(points[nondominated(points)], axis=0)
    assert front.tolist() == CASES["hv_dups"]["expected"]["nondominated_unique"]


def test_points_outside_the_reference_add_nothing():
    points, reference = inputs("hv_outside_ref")
    assert hypervolume(points, reference) == CASES["hv_outside_ref"]["expected"]["hv"]
    assert hypervolume(np.empty((0, 2)), reference) == 0


def test_volume_after_every_evaluation():
    points, reference = inputs("hv_incremental_nb201")
    expected = CASES["hv_incremental_nb201"]["expected"]["hv"]
    np.testing.assert_allclose(hypervolume_over_time(points[None], reference)[0], expected, rtol=0, atol=1e-9)
    assert hypervolume(points, reference) == pytest.approx(expected[-1], abs=1e-9)


def hypervolume_over_time(points, reference):
    """Hypervolume of each run's points after every step, shape (num_runs, num_steps)."""
    return front_hypervolumes(points, points, np.zeros(points.shape[:2], dtype=np.int64), reference)


POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40)


@given(POINTS)
@settings(deadline=None)
def test_every_prefix_equals_the_set_at_once(points):
    array, reference = np.array(points, dtype=float), np.array([10.0, 10.0])
    found = hypervolume_over_time(array[None], reference)[0]
    for step in range(len(array)):
        cells = {(x, y) for a, b in points[: step + 1] for x in range(a, 10) for y in range(b, 10)}
        assert found[step] == hypervolume(array[: step + 1], reference) == len(cells)
    assert (np.diff(found) >= 0).all()
    dominated = [any(p != q and p[0] <= q[0] and p[1] <= q[1] for p in points) for q in points]
    assert nondominated(array).tolist() == [not yes for yes in dominated]


def test_runs_do_not_touch_each_other_and_inputs_stay():
    rng = np.random.default_rng(0)
    points = rng.random((7, 50, 2))
    before = points.copy()
    together = hypervolume_over_time(points, np.ones(2))
    assert (points == before).all()
    for run in range(7):
        assert (hypervolume_over_time(points[run : run + 1], np.ones(2))[0] == together[run]).all()


def test_fronts_of_many_points():
    steps = np.arange(100.0)
    points = np.stack([steps, steps[::-1]], axis=1)[None]
    found = hypervolume_over_time(points, np.array([100.0, 100.0]))[0]
    assert found[-1] == sum(range(1, 101))


def test_the_set_is_chosen_by_observed_and_scored_by_other_values():
    observed = np.array([[[3.0, 3.0], [2.0, 2.0], [np.inf, np.inf]]])
    scored = np.array([[[1.0, 1.0], [4.0, 4.0], [0.0, 0.0]]])
    levels = np.zeros((1, 3), dtype=int)
    assert front_hypervolumes(observed, scored, levels, np.array([5.0, 5.0])).tolist() == [[16.0, 1.0, 1.0]]


def test_a_point_that_is_worse_in_one_objective_only_is_dominated_too():
    observed = np.array([[[3.0, 3.0], [3.0, 2.0]], [[3.0, 3.0], [2.0, 3.0]]])
    scored = np.array([[[1.0, 1.0], [4.0, 4.0]], [[1.0, 1.0], [4.0, 4.0]]])
    found = front_hypervolumes(observed, scored, np.zeros((2, 2), dtype=int), np.array([5.0, 5.0]))
    assert found.tolist() == [[16.0, 1.0], [16.0, 1.0]]


def test_a_higher_level_replaces_the_set():
    observed = np.array([[[1.0, 1.0], [4.0, 4.0], [2.0, 2.0]]])
    found = front_hypervolumes(observed, observed, np.array([[0, 1, 0]]), np.array([5.0, 5.0]))
    assert found.tolist() == [[16.0, 1.0, 1.0]]
    found = front_hypervolumes(observed, observed, np.array([[-1, 0, -1]]), np.array([5.0, 5.0]))
    assert found.tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize("num_objectives", [2, 3, 4])
def test_moocore_agrees(num_objectives):
    moocore = pytest.importorskip("moocore")
    rng = np.random.default_rng(num_objectives)
    points, reference = rng.random((3, 40, num_objectives)) * 1.2, np.full(num_objectives, 1.1)
    found = hypervolume_over_time(points, reference)
    for run in range(3):
        for step in range(40):
            expected = moocore.hypervolume(points[run, : step + 1], ref=reference)
            assert found[run, step] == pytest.approx(expected, rel=1e-12)
        assert (nondominated(points[run]) == moocore.is_nondominated(points[run])).all()


def test_three_objectives_need_moocore(monkeypatch):
    monkeypatch.setattr("nasbench_harness.statistics.dominance.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"pip install moocore"):
        hypervolume(np.zeros((1, 3)), np.ones(3))
