"""How fast a strategy is, as a ratio to a control loop in the same process: seconds alone are noise."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time

import numpy as np

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.task import Task

_CONTROL_RUNS, _CONTROL_STEPS = 500, 200


@dataclass(frozen=True)
class Speed:
    """CPU seconds per evaluation, the least of several repeats.

    Attributes:
        evaluation_s: Seconds of the strategy with the engine, nothing stored.
        control_s: Seconds of the control loop: per step of 500 runs twelve uniform draws each, and one gather.
    """

    evaluation_s: float
    control_s: float

    @property
    def ratio(self) -> float:
        """Evaluations of the control loop in the time of one of the strategy's."""
        return self.evaluation_s / self.control_s


def measure_speed(spec: ResolvedStrategy, task: Task, rules: Rules, num_runs: int = 500, repeats: int = 7) -> Speed:
    """Time a strategy and the control loop in turns, so that a drift of the machine's speed hits both.

    Args:
        spec: The strategy.
        task: The task.
        rules: Protocol and study seed.
        num_runs: Runs that advance together.
        repeats: Of which the least time counts.
    """
    generator = np.random.default_rng(0)
    values = generator.random(15_625, dtype=np.float32)
    strategy_s, control_s = [], []
    num_evaluations = run_seeds(spec, task, rules, np.arange(min(num_runs, 2))).num_evaluations  # imports, tables
    for _ in range(repeats):
        start = process_time()
        num_evaluations = run_seeds(spec, task, rules, np.arange(num_runs)).num_evaluations
        middle = process_time()
        _control(generator, values)
        strategy_s.append(middle - start)
        control_s.append(process_time() - middle)
    return Speed(min(strategy_s) / num_evaluations, min(control_s) / (_CONTROL_RUNS * _CONTROL_STEPS))


def _control(generator: np.random.Generator, values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    for _ in range(_CONTROL_STEPS):
        draws = generator.random((_CONTROL_RUNS, 12))
        values[(draws[:, 0] * len(values)).astype(np.int64)]
