"""Speed bars of the statistics as ratios of CPU time within one process.

Anytime curves are step functions with many ties across runs, so the data are running minima of random draws from a
table of 15,625 losses on a grid; the final regrets are their last column.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nasbench_harness.evaluation.task import load_task
from nasbench_harness.statistics import (
    _resampling,
    adjust,
    count_matrix,
    exact_random_search,
    front_hypervolumes,
    iqm_band,
    iqm_interval,
    signed_rank,
)
from nasbench_harness.statistics._resampling import rank_interquartile_means

from .conftest import gates, least_ratio

NUM_STRATEGIES, NUM_TASKS, NUM_RUNS, NUM_STEPS = 20, 3, 500, 300
NUM_RESAMPLES, NUM_RESAMPLES_BAND = 10_000, 2_000
NUM_STRATEGIES_MEASURED = 2
"""The slow sides grow linearly in the number of strategies, so two are measured and scaled up."""
SCALE = NUM_STRATEGIES / NUM_STRATEGIES_MEASURED


def cpu_s(*functions: Callable[[], Any], repeats: int = 3) -> list[float]:
    """Returns the least CPU time of each function over a few rounds, in turn so that all meet the same load."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, seconds in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            seconds.append(time.process_time() - start)
    return [min(seconds) for seconds in times]


@pytest.fixture(scope="module")
def curves() -> np.ndarray:
    """Anytime losses, shape (num_strategies, num_tasks, num_runs, num_steps), on the grids of NAS-Bench-201's means."""
    rng = np.random.default_rng(0)
    steps = np.array([0.004, 0.02, 1 / 30])[:, None] / 6
    table = np.rint(rng.gamma(2.5, 1.2, (NUM_TASKS, 15_625)) / steps) * steps
    rows = rng.integers(15_625, size=(NUM_STRATEGIES, NUM_TASKS, NUM_RUNS, NUM_STEPS))
    return np.minimum.accumulate(table[np.arange(NUM_TASKS)[:, None, None], rows], axis=-1)


def intervals(final: np.ndarray) -> None:
    seeds = np.random.SeedSequence(0).spawn(NUM_TASKS)
    counts = np.concatenate([count_matrix(NUM_RUNS, NUM_RESAMPLES, seed) for seed in seeds])
    iqm_interval(final.reshape(len(final), -1), counts)  # pooled, runs resampled within each task


def scipys_intervals(final: np.ndarray) -> None:
    def pooled(*tasks: np.ndarray, axis: int) -> np.ndarray:
        return stats.trim_mean(np.concatenate(tasks, axis=axis), 0.25, axis=axis)

    for tasks in final:
        stats.bootstrap(tuple(tasks), pooled, n_resamples=NUM_RESAMPLES, vectorized=True, method="percentile", rng=0)


def bands(values: np.ndarray) -> None:
    for task in range(NUM_TASKS):
        counts = count_matrix(NUM_RUNS, NUM_RESAMPLES_BAND, task)
        for strategy in values[:, task]:
            iqm_band(strategy, counts)


def test_iqm_intervals_against_scipy(benchmark, curves):
    final = curves[..., -1]

    def measure():
        ours, two = cpu_s(
            lambda: intervals(final), lambda: scipys_intervals(final[:NUM_STRATEGIES_MEASURED]), repeats=2
        )
        scipys = SCALE * two
        benchmark.extra_info.update(scipy_cpu_s=scipys, ours_cpu_s=ours, ratio=ours / scipys, gate=1 / 8)
        return ours / scipys

    ratio = least_ratio(measure, 1 / 8)
    benchmark.pedantic(intervals, args=(final,), rounds=1)
    assert ratio <= 1 / 8


@gates(gate=5, bar=4)
def test_anytime_bands_against_intervals(benchmark, curves, gate):
    def measure():
        interval, two = cpu_s(
            lambda: intervals(curves[..., -1]), lambda: bands(curves[:NUM_STRATEGIES_MEASURED]), repeats=4
        )
        band = SCALE * two
        benchmark.extra_info.update(intervals_cpu_s=interval, bands_cpu_s=band, ratio=band / interval, gate=gate)
        return band / interval

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(bands, args=(curves[:NUM_STRATEGIES_MEASURED],), rounds=1)
    assert ratio <= gate


@gates(gate=0.95, bar=0.8)
def test_exact_sums_in_single_precision_against_double(benchmark, curves, gate, monkeypatch):
    """Regrets as integers on the table's grid: bands with the type of sums that is chosen, and with the wider one."""
    codes = np.rint(curves[0, 0, :, ::3] * 1500).astype(np.int32)
    counts = count_matrix(NUM_RUNS, NUM_RESAMPLES, 0)
    chosen = _resampling._kind_of_sums
    kinds = {"single": chosen, "double": lambda *_: np.float64}
    found = {}

    def with_kind(name: str) -> None:
        monkeypatch.setattr(_resampling, "_kind_of_sums", kinds[name])
        found[name] = rank_interquartile_means(ordered, counts)

    ordered = np.sort(codes.T, axis=1)

    def measure():
        single, double = cpu_s(lambda: with_kind("single"), lambda: with_kind("double"))
        benchmark.extra_info.update(single_cpu_s=single, double_cpu_s=double, ratio=single / double)
        return single / double

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(lambda: None)
    assert found["single"].tobytes() == found["double"].tobytes()
    assert ratio <= gate


def test_expected_regrets_leave_out_powers_that_underflow(benchmark):
    """The search for a random-search equivalent against the same sums over all levels of a table."""
    law = exact_random_search(np.random.default_rng(4).gamma(2.0, size=(15_625, 3)), 1, "per_query").law
    numbers = np.geomspace(100, 1e6, 40)

    def whole() -> None:
        for number in numbers:
            float(-np.diff(law._survival**number) @ law._level_means)

    def measure():
        ours, all_levels = cpu_s(lambda: [law.mean_after(number) for number in numbers], whole)
        benchmark.extra_info.update(ours_cpu_s=ours, all_levels_cpu_s=all_levels, ratio=ours / all_levels)
        return ours / all_levels

    ratio = least_ratio(measure, 1 / 2)
    benchmark.pedantic(lambda: None)
    assert ratio <= 1 / 2


def test_signed_rank_of_all_pairs_against_scipy(benchmark, curves):
    codes = np.rint(curves[..., -1] * 9000).astype(np.int64)
    first, second = np.triu_indices(NUM_STRATEGIES, k=1)

    def ours() -> None:
        for task in range(NUM_TASKS):
            adjust(signed_rank(codes[first, task] - codes[second, task]).p_value)

    def scipys() -> None:
        for task in range(NUM_TASKS):
            pairs = codes[first, task] - codes[second, task]
            adjust([stats.wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue for d in pairs])

    def measure():
        own, scipy_loop = cpu_s(ours, scipys)
        benchmark.extra_info.update(scipy_cpu_s=scipy_loop, ours_cpu_s=own, ratio=own / scipy_loop, gate=1 / 4)
        return own / scipy_loop

    ratio = least_ratio(measure, 1 / 4)
    benchmark.pedantic(ours, rounds=1)
    assert ratio <= 1 / 4


@gates(gate=1 / 15, bar=1 / 15)
def test_hypervolume_after_every_step_costs_a_fifteenth_of_moocore(benchmark, gate):
    moocore = pytest.importorskip("moocore")
    table = load_task("nb201-cifar10").table
    loss = 100 - np.nanmean(table.column("cifar10", "val_accuracy").values[:, :, 0], axis=1)
    latency = np.nanmean(table.column("cifar10", "latency_ms").values[:, :, 0], axis=1)
    rows = np.random.default_rng(0).integers(len(loss), size=(NUM_RUNS, NUM_STEPS))
    points, reference = np.stack([loss[rows], latency[rows]], axis=2), np.array([90.0, 30.0])
    levels = np.zeros(rows.shape, dtype=np.int64)
    num_measured = 20

    def moocores() -> None:
        for run in points[:num_measured]:
            for step in range(1, NUM_STEPS + 1):
                moocore.hypervolume(run[:step], ref=reference)

    def measure():
        ours, theirs = cpu_s(lambda: front_hypervolumes(points, points, levels, reference), moocores)
        ratio = ours / (theirs * NUM_RUNS / num_measured)
        benchmark.extra_info.update(seconds=ours, ratio_to_moocore=ratio, bar=1 / 15)
        return ratio

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(lambda: None)
    assert ratio <= gate
