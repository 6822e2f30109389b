"""Speed as ratios of CPU seconds inside one process: absolute times are noise on shared machines."""

import time

import numpy as np
import pytest

NUM_RUNS = 500


def least_cpu_seconds(*functions, repeats=9):
    """Least CPU seconds of each function; they take turns, so that a drift of the machine's speed hits all."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for position, function in enumerate(functions):
            start = time.process_time()
            function()
            best[position] = min(best[position], time.process_time() - start)
    return best


@pytest.fixture(scope="session")
def control_loop():
    """The smallest loop that could do the work of 200 evaluations of 500 runs: draws and one gather per step."""
    generator = np.random.default_rng(0)
    table = generator.random(15_625, dtype=np.float32)

    def loop():
        for _ in range(200):
            draws = generator.random((NUM_RUNS, 12))
            table[(draws[:, 0] * len(table)).astype(np.int64)]

    return loop
