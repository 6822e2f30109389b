"""Speed as ratios of CPU seconds inside one process: absolute times are noise on shared machines.

Each ratio has a bar, which a quiet machine reaches (marker ``bar``), and a gate, which the default run holds. A gate is
at least a quarter looser than the worst ratio seen on a loaded machine, and the best of three rounds counts.
"""

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


def least_ratio(measure, gate, rounds=3):
    """The smallest ratio of up to three rounds; stops as soon as one passes the gate.

    Args:
        measure: Returns the ratio of one round, where smaller is better.
        gate: Largest ratio that passes.
        rounds: Number of rounds at most.
    """
    best = float("inf")
    for _ in range(rounds):
        best = min(best, measure())
        if best <= gate:
            break
    return best


def gates(**limits):
    """Parameters (gate) of a test: the default gate, and the stricter bar under the marker ``bar``."""
    return pytest.mark.parametrize(
        "gate", [pytest.param(limits["gate"], id="gate"), pytest.param(limits["bar"], id="bar", marks=pytest.mark.bar)]
    )


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
