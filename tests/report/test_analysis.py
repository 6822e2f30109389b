import numpy as np
import pytest

from nasbench_harness import compare, run
from nasbench_harness.statistics import adjust, iqm, welch


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
