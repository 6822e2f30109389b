import csv
from dataclasses import replace

import numpy as np
import pytest

from nasbench_harness import compare, run
from nasbench_harness.analysis.frames import runs_frame
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.files import write_report
from nasbench_harness.report.sections.anytime import anytime_figure
from nasbench_harness.statistics import adjust, exact_random_search, iqm, welch
from nasbench_harness.store.folder import StudyFolder


def test_scores_are_noiseless_values_not_observed_ones(study):
    entry, frame = study.analysis.tasks[0], study.frame()
    for result in entry.results:
        rows = frame[(frame.strategy == result.label) & (frame.task == entry.task.name)]
        by_seed = np.argsort(result.seeds)
        np.testing.assert_array_equal(result.val.value[by_seed], entry.task.scores["val"].values[rows.architecture])
        np.testing.assert_allclose(result.val.regret[by_seed], rows.regret_pp)


def test_curves_are_means_of_each_runs_own_incumbent(study):
    entry = study.analysis.tasks[0]
    result = entry.result("random-search")
    assert result.after_evaluations.mean[-1] == pytest.approx(result.val.regret.mean())
    assert (np.diff(entry.val.random_search.mean) <= 0).all()


def test_intervals_hold_the_estimate(study):
    for entry in study.analysis.tasks:
        for result in entry.results:
            np.testing.assert_allclose(result.val.iqm.point, iqm(result.val.regret))
            assert result.val.iqm.low <= result.val.iqm.point <= result.val.iqm.high


def test_pairs_are_tested_as_independent_samples(study):
    tasks = study.analysis.tasks
    for entry in tasks:
        for pair in entry.comparison.pairs:
            expected = welch(entry.result(pair.first).val.regret, entry.result(pair.second).val.regret)
            assert pair.p == pytest.approx(expected, rel=1e-6)
        p_column = adjust([pair.p for pair in entry.comparison.pairs])
        assert [pair.p_column for pair in entry.comparison.pairs] == p_column.tolist()
    pairs = [pair for entry in tasks for pair in entry.comparison.pairs]
    assert [pair.p_study for pair in pairs] == adjust([pair.p for pair in pairs]).tolist()
    assert all(pair.p <= pair.p_column <= pair.p_study <= 1 for pair in pairs)


def test_a12_above_one_half_means_smaller_regret(study):
    entry, both = study.analysis.tasks[0], {"random-search", "regularized-evolution"}
    (pair,) = [pair for pair in entry.comparison.pairs if {pair.first, pair.second} == both]
    worse_first = entry.result(pair.first).val.regret.mean() > entry.result(pair.second).val.regret.mean()
    assert (pair.a12 < 0.5) == worse_first


def test_adding_a_strategy_changes_no_other_ones_numbers(study, tmp_path):
    smaller = run(
        ["regularized-evolution", "random-search"],
        ["nb201-cifar100"],
        seeds=40,
        evaluations=60,
        out=tmp_path,
    )
    for result in smaller.analysis.tasks[0].results:
        there = study.analysis.tasks[0].result(result.label)
        np.testing.assert_array_equal(result.val.regret, there.val.regret)
        for curve in ("after_evaluations", "at_seconds"):
            here, other = getattr(result, curve), getattr(there, curve)
            np.testing.assert_array_equal(here.mean, other.mean)
            np.testing.assert_array_equal(here.iqm, other.iqm)
            for name in ("steps", "low", "high"):
                np.testing.assert_array_equal(getattr(here.band, name), getattr(other.band, name))
        for name in ("point", "low", "high"):
            assert getattr(result.val.iqm, name) == getattr(there.val.iqm, name)


def test_below_ten_seeds_there_is_no_interval(tmp_path):
    analysis = run(["random-search"], ["nb201-cifar10"], seeds=9, evaluations=5, out=tmp_path).analysis
    (result,) = analysis.tasks[0].results
    assert result.val.iqm is None
    assert (result.after_evaluations.iqm, result.after_evaluations.band) == (None, None)


def test_one_seed_and_one_strategy_are_enough(tmp_path):
    study = compare(["random-search"], ["nb201-cifar10"], seeds=1, evaluations=1, out=tmp_path)
    assert "±" not in str(study.table()).split("random-search")[1].split("optimum")[0]


def test_exact_random_search_has_the_budget_whatever_is_compared(made_task, analysis_of, runs_of, tmp_path):
    """A strategy that ends early does not shorten it; its line ends with the axis."""
    values, protocol = [90.0, 85.0, 80.0, 60.0], Protocol(50)
    task, early = made_task(values), runs_of([1] * 9)  # too few for interquartile means
    long = replace(early, row_picks=np.ones((9, 50), int), row_totals=np.tile(np.arange(1, 51), (9, 1)))
    long = replace(long, row_times_s=np.full((9, 50), np.nan))
    exact = exact_random_search(-np.array(values)[:, None], 50, "mean", 90.0 - np.array(values))
    both = analysis_of((task, {"a": early, "b": long}), protocol=protocol)
    alone = analysis_of((task, {"a": early}), protocol=protocol)
    for analysis in (both, alone):
        np.testing.assert_allclose(analysis.tasks[0].val.random_search.mean, exact.mean)
    assert len(alone.tasks[0].moments("evaluations")) == 1
    write_report(StudyFolder(tmp_path), alone, "nasbench-harness compare", ("csv",))
    rows = csv.reader((tmp_path / "report" / "anytime.csv").read_text().splitlines()[2:])
    assert [row[1] for row in rows] == ["random search, exact", "a"]
    assert [len(line.get_xdata()) for line in anytime_figure(alone).axes[0].lines] == [1, 1]


def test_a_frame_has_no_regret_for_choices_without_a_test_value(made_task, runs_of):
    task = made_task([90.0, 89.0, 80.0], [85.0, None, 70.0])
    frame = runs_frame([("a", task, runs_of([0, 1, 2]))])
    assert frame["regret_pp"].tolist() == [0.0, 1.0, 10.0]
    np.testing.assert_array_equal(frame["test_accuracy"], [85.0, np.nan, 70.0])
    np.testing.assert_array_equal(frame["test_regret_pp"], [0.0, np.nan, 15.0])
