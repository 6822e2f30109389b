"""Whole runs on NAS-Bench-201, their incumbents, and strategies as plain generators under the lockstep ones' keys."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.streams import stream_keys
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.references import parse_strategy, resolve

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def run() -> Callable[..., Columns]:
    """``run(strategy, task, seeds, **protocol)``: flat columns of the trace, kept for the session."""

    @cache
    def cached(text: str, task: str, num_seeds: int, protocol: tuple[tuple[str, Any], ...]) -> Columns:
        rules = Rules(Protocol(**dict(protocol)), study_seed=0)
        batch = run_seeds(resolve(parse_strategy(text)), load_task(task), rules, np.arange(num_seeds))
        return batch.trace.rows(slice(0, num_seeds))

    def call(text: str, task: str, num_seeds: int, **protocol: Any) -> Columns:
        return cached(text, task, num_seeds, tuple(sorted(protocol.items())))

    return call


@pytest.fixture(scope="session")
def run_plain() -> Callable[..., Columns]:
    """``run_plain(search, name, task, seeds, **protocol)``: a generator function under the keys of ``name``."""

    def call(search: Any, name: str, task: str, num_seeds: int, parameters: Any = (), **protocol: Any) -> Columns:
        rules, loaded, seeds = Protocol(**protocol), load_task(task), np.arange(num_seeds)
        keys = stream_keys(0, name, task, seeds)
        lifted = LiftedGenerators(loaded.problem(rules), keys, search, dict(parameters))
        return run_batch(lambda: lifted, loaded, rules, 0, seeds).trace.rows(slice(0, num_seeds))

    return call


@pytest.fixture(scope="session")
def scores(run: Callable[..., Columns]) -> Callable[..., np.ndarray]:
    """``scores(strategy, dataset, noise, evaluations)``: noiseless accuracy of the incumbent of 500 seeds.

    One run of 300 evaluations tells the incumbents at 150 and 200 too, as runs begin with the shorter ones.
    """

    def call(text: str, dataset: str, noise: str, evaluations: int, **protocol: Any) -> np.ndarray:
        task = f"nb201-{dataset}"
        columns = run(text, task, 500, evaluations=300, noise=noise, **protocol)
        return load_task(task).scores["val"].values[incumbents(columns, 500, evaluations)]

    return call


def incumbents(columns: Columns, num_seeds: int, evaluations: int) -> np.ndarray:
    """Architecture of the smallest observed loss among the first counted evaluations; the first of equals stays."""
    counted = np.zeros(len(columns["run"]), dtype=np.int64)
    chosen = np.empty(num_seeds, dtype=np.int64)
    for seed in range(num_seeds):
        rows = slice(*np.searchsorted(columns["run"], [seed, seed + 1]))
        counted = np.cumsum(columns["status"][rows] == 1)
        last = int(np.searchsorted(counted, evaluations))  # the row of the last counted evaluation
        assert counted[last] == evaluations
        values = columns["value_val_accuracy"][rows][: last + 1]
        chosen[seed] = columns["architecture"][rows][values.argmax()]
    return chosen


@pytest.fixture(scope="session")
def incumbents_of() -> Callable[..., np.ndarray]:
    return incumbents


@pytest.fixture(scope="session")
def assert_same_traces() -> Callable[[Columns, Columns], None]:
    def check(first: Columns, second: Columns) -> None:
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)

    return check


@pytest.fixture(scope="session")
def assert_near() -> Callable[..., None]:
    """The mean of a sample lies within 4 · s · √(1/500 + 1/n) of a reference value that n runs gave."""

    def check(sample: np.ndarray, reference: float, num_reference: float, std: float | None = None) -> None:
        spread = float(sample.std(ddof=1)) if std is None else std
        tolerance = 4 * spread * np.sqrt(1 / len(sample) + 1 / num_reference)
        # Reference values are printed to three places.
        assert abs(sample.mean() - reference) <= tolerance + 0.0005, (sample.mean(), reference, tolerance)

    return check


@pytest.fixture(scope="session")
def assert_std_near() -> Callable[..., None]:
    """The same for a standard deviation, whose own standard error is s · √((kurtosis − 1) / 4n)."""

    def check(sample: np.ndarray, reference: float) -> None:
        centered = sample - sample.mean()
        kurtosis = (centered**4).mean() / (centered**2).mean() ** 2
        tolerance = 4 * reference * np.sqrt((kurtosis - 1) / (4 * len(sample)))
        assert abs(sample.std(ddof=1) - reference) <= tolerance + 0.0005, (sample.std(ddof=1), reference, tolerance)

    return check
