import numpy as np
import pytest

from nasbench_harness import compare
from nasbench_harness.statistics import iqm, signed_rank


def by_label(analysis, task=0):
    return {label: position for position, label in enumerate(analysis.labels)}, analysis.tasks[task]


def test_scores_are_noiseless_values_not_observed_ones(study):
    positions, entry = by_label(study.analysis)
    frame = study.frame()
    for label, position in positions.items():
        rows = frame[(frame.strategy == label) & (frame.task == entry.task.name)]
        np.testing.assert_array_equal(entry.value[position], entry.task.report.values[rows.architecture])
        np.testing.assert_allclose(entry.regret[position], rows.regret_pp)


def test_curves_are_means_of_each_runs_own_incumbent(study):
    positions, entry = by_label(study.analysis)
    curve = entry.mean_curves[positions["random-search"]]
    assert curve[-1] == pytest.approx(entry.regret[positions["random-search"]].mean())
    assert (np.diff(entry.random_search.mean) <= 0).all()


def test_intervals_hold_the_estimate(study):
    for entry in study.analysis.tasks:
        np.testing.assert_allclose(entry.iqm.point, iqm(entry.regret))
        assert (entry.iqm.low <= entry.iqm.point).all()
        assert (entry.iqm.point <= entry.iqm.high).all()


def test_pairs_are_tested_on_grid_codes(study):
    entry = study.analysis.tasks[0]
    for pair in entry.pairs:
        codes = np.rint(entry.regret / entry.task.report.step).astype(int)
        assert pair.p_value == pytest.approx(float(signed_rank(codes[pair.first] - codes[pair.second]).p_value))
        assert pair.p_value <= pair.p_holm <= 1


def test_a12_above_one_half_means_smaller_regret(study):
    positions, entry = by_label(study.analysis)
    first, second = positions["random-search"], positions["regularized-evolution"]
    (pair,) = [pair for pair in entry.pairs if {pair.first, pair.second} == {first, second}]
    worse_first = entry.regret[pair.first].mean() > entry.regret[pair.second].mean()
    assert (pair.a12 < 0.5) == worse_first


def test_adding_a_strategy_changes_no_other_ones_numbers(study, tmp_path):
    smaller = compare(
        ["regularized-evolution", "random-search"],
        ["nb201-cifar100"],
        seeds=40,
        evaluations=60,
        out=tmp_path,
    )
    all_positions, entry = by_label(study.analysis)
    positions, other = by_label(smaller.analysis)
    for label, position in positions.items():
        there = all_positions[label]
        np.testing.assert_array_equal(other.regret[position], entry.regret[there])
        np.testing.assert_array_equal(other.mean_curves[position], entry.mean_curves[there])
        for name in ("point", "low", "high"):
            assert getattr(other.iqm, name)[position] == getattr(entry.iqm, name)[there]
            np.testing.assert_array_equal(getattr(other.bands[position], name), getattr(entry.bands[there], name))


def test_below_ten_seeds_there_is_no_interval(tmp_path):
    analysis = compare(["random-search"], ["nb201-cifar10"], seeds=9, evaluations=5, out=tmp_path).analysis
    assert analysis.tasks[0].iqm is None
    assert analysis.tasks[0].bands is None


def test_one_seed_and_one_strategy_are_enough(tmp_path):
    study = compare(["random-search"], ["nb201-cifar10"], seeds=1, evaluations=1, out=tmp_path)
    assert "±" not in str(study.table()).split("random-search")[1].split("optimum")[0]
