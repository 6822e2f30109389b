"""Large populations of runs, computed once; repetitions resample them."""

from functools import cache

import numpy as np
import pytest

from nasbench_harness.engine.batches import Rules
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.regression.gate import LOOKS, Gate
from nasbench_harness.regression.traces import grid_regrets
from nasbench_harness.statistics import Case, non_inferiority_family
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve

MARGIN = 0.05


@cache
def population(use, parameters, task, num_runs):
    """Final regret codes of num_runs runs under the default protocol (``noise=per_query``, 200 evaluations)."""
    spec = resolve(StrategyRef(use, None, dict(parameters)))
    return grid_regrets(spec, load_task(task), Rules(Protocol(), 0), 0, num_runs)


@pytest.fixture(scope="session")
def runs():
    def get(use, task, num_runs=10_000, **parameters):
        return population(use, tuple(sorted(parameters.items())), task, num_runs)

    return get


@pytest.fixture(scope="session")
def repeat():
    """``repeat(old, new, task, repetitions, looks)``: verdict and seeds of every resampled repetition, seeded."""

    def verdicts(old, new, task, repetitions, looks=LOOKS, num_old=3_000):
        rng = np.random.default_rng([20_26, repetitions, *looks])
        codes, counts = np.unique(old, return_counts=True)
        step = load_task(task).scores["val"].resolution
        found = []
        for _ in range(repetitions):
            resampled = rng.multinomial(num_old, counts / counts.sum())
            baseline = {int(code): int(count) for code, count in zip(codes, resampled, strict=True) if count}
            drawn = new[rng.integers(len(new), size=looks[-1])]
            case = Case(baseline, lambda num_runs, drawn=drawn: drawn[:num_runs], step, MARGIN)
            (result,) = non_inferiority_family([case], Gate.alpha, looks)
            found.append((result.verdict, result.difference.num_new))
        return found

    return verdicts
