"""Measures of whole runs are computed from their rows, whatever the points of curves and the other runs are."""

from dataclasses import replace

import numpy as np
import pytest

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.sections.measures import measures_table

TIMED = {"val": [10.0, 9.0, 2.0], "cost_s": [10.0, 10.0, 10.0]}  # one training takes 10 s


@pytest.fixture
def runs_at(runs_of):
    """Returns runs with these choices after their rows, which finish at these times."""

    def make(picks, times_s):
        picks, times_s = np.array(picks), np.array(times_s, float)
        totals = np.tile(np.arange(1, picks.shape[1] + 1), (len(picks), 1))
        return replace(runs_of(picks[:, 0]), row_picks=picks, row_totals=totals, row_times_s=times_s)

    return make


def by_seed(analysis, row):
    """Numbers of the first strategy's runs on the first task, ordered by their seeds."""
    return row[np.argsort(analysis.tasks[0].results[0].seeds)].tolist()


def test_hits_are_first_moments_at_or_below_a_target(made_task, analysis_of, runs_at):
    task = made_task([10.0, 9.5, 9.0, 8.0])
    runs = runs_at([[3, 1, 2, 0], [3, 3, 2, 2]], np.full((2, 4), np.nan))
    analysis = analysis_of((task, {"a": runs}))
    hits = analysis.tasks[0].results[0].measures["evaluations"].hits
    assert analysis.options.targets == (1.0, 0.5, 0.2, 0.1, 0.0)
    assert [by_seed(analysis, row) for row in hits] == [[2, 3], [2, np.inf], *[[4, np.inf]] * 3]
    texts = [cell.numbers[""] for cell in measures_table(analysis).rows[0].cells[-5:]]
    assert texts == [(2 + 3) / 2, 2 + 4, 4 + 4, 4 + 4, 4 + 4]


def test_a_hit_counts_before_other_runs_have_a_result_and_if_the_run_leaves_it_again(made_task, analysis_of, runs_at):
    """The second run starts late; the first one is at the optimum before, between two points of the curve."""
    runs = runs_at([[2, 0, 1], [1, 1, 0]], [[20.0, 50.001, 50.002], [60.0, 70.0, 70.5]])
    analysis = analysis_of((made_task(**TIMED), {"a": runs}), protocol=Protocol(10))
    (result,) = analysis.tasks[0].results
    assert np.isnan(result.at_seconds.mean[: np.searchsorted(analysis.tasks[0].times_s, 60.0)]).all()
    found = result.measures["seconds"]
    assert by_seed(analysis, found.hits[-1]) == [50.001, 70.5]
    assert found.running_time[-1] == pytest.approx((50.001 + 70.5) / 2)
    late = runs_at([[0, 0, 0], [-1, -1, 0]], [[20.0, 50.0, 60.0], [90.0, 99.0, 101.0]])
    analysis = analysis_of((made_task(**TIMED), {"a": late}), protocol=Protocol(10))
    hits = analysis.tasks[0].results[0].measures["seconds"].hits
    assert by_seed(analysis, hits[-1]) == [20.0, np.inf]  # the axis ends after 100 s


def test_regret_at_a_share_of_the_seconds_is_that_of_this_moment(made_task, analysis_of, runs_at):
    runs = runs_at([[2, 1, 0]], [[20.0, 49.9, 50.1]])
    analysis = analysis_of((made_task(**TIMED), {"a": runs}), protocol=Protocol(10))
    found = analysis.tasks[0].results[0].measures["seconds"]
    assert (found.budgets, found.regret) == ((25.0, 50.0, 100.0), (8.0, 1.0, 0.0))


def test_before_its_first_result_a_run_counts_as_the_mean_of_the_table(made_task, analysis_of, runs_at):
    """The mean is a regret of 3 pp; the axis is 10 … 100 s."""
    early = runs_at([[1, 0], [1, 0]], [[10.0, 70.0], [10.0, 70.0]])
    late = runs_at([[1, 0], [0, 0]], [[10.0, 70.0], [70.0, 80.0]])
    task = made_task(**TIMED)
    both = analysis_of((task, {"early": early, "late": late}), protocol=Protocol(10))
    areas = [result.measures["seconds"].area for result in both.tasks[0].results]
    assert areas == pytest.approx([60 / 90, (60 / 90 + 3 * 60 / 90) / 2])
    alone = analysis_of((task, {"early": early}), protocol=Protocol(10))
    assert alone.tasks[0].results[0].measures["seconds"].area == areas[0]


def training(task, *known):
    """The task as one that trains: the optimum is unknown, and only these rows have been trained."""
    val = task.scores["val"]
    exists = np.isin(np.arange(len(val.values)), known)
    return replace(task, make_scores=lambda: {"val": replace(val, perfect=round(100 / val.resolution), exists=exists)})


def test_an_area_needs_no_mean_of_a_table_on_a_task_that_trains(made_task, analysis_of, runs_at):
    task = made_task(**TIMED)
    early, late = runs_at([[1, 0]], [[10.0, 70.0]]), runs_at([[1, 0]], [[20.0, 70.0]])
    for known in ((0, 1), (0, 1, 2)):
        analysis = analysis_of((training(task, *known), {"early": early, "late": late}), protocol=Protocol(10))
        found = [result.measures for result in analysis.tasks[0].results]
        assert found[0]["seconds"].area == pytest.approx((91 * 60 + 90 * 30) / 90)
        assert np.isnan(found[1]["seconds"].area)
        assert found[1]["evaluations"].area == found[0]["evaluations"].area > 0
        title = measures_table(analysis).title
        assert "no area if one of its runs has no result at the start of the axis" in title
        assert "mean of the table before" not in title


def test_the_caption_names_an_axis_that_begins_before_the_cost_of_a_training(made_task, analysis_of, runs_at):
    task, runs = made_task(**TIMED), runs_at([[0]], [[4.0]])
    for seconds, is_named in ((5.0, True), (50.0, False)):
        analysis = analysis_of((task, {"a": runs}), protocol=Protocol(simulated_seconds=seconds))
        assert (analysis.tasks[0].times_s[0] == 0.05) == is_named
        title = measures_table(analysis).title
        assert ("On One the budget is no longer than that cost: the axis begins at a hundredth" in title) == is_named


def test_the_axis_of_evaluations_ends_with_the_budget_whatever_is_compared(made_task, analysis_of, runs_at):
    task = made_task([10.0, 9.0, 2.0])
    brief, full = runs_at([[2, 0]], np.full((1, 2), np.nan)), runs_at([[1] * 8], np.full((1, 8), np.nan))
    found = []
    for strategies in ({"brief": brief}, {"brief": brief, "full": full}):
        analysis = analysis_of((task, strategies), protocol=Protocol(8))
        found.append(analysis.tasks[0].result("brief").measures["evaluations"])
        assert "another strategy" not in measures_table(analysis).title
    assert found[0].budgets == (2.0, 4.0, 8.0)
    assert found[0].regret == (0.0, 0.0, 0.0)
    assert found[0].area == found[1].area == pytest.approx(8 / 7)
