"""Strategies with parameters of their own in lockstep, against the same runs one after another."""

import numpy as np

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.references import parse_strategy, resolve

from .conftest import gates, least_cpu_seconds, least_ratio

ALONE = 5  # runs that are played one after another; the others would take as long


@gates(gate=1 / 10, bar=1 / 15)
def test_a_hundred_controllers_in_lockstep_cost_a_fraction_of_one_at_a_time(gate, benchmark):
    task, rules, spec = (
        load_task("nb201-cifar100"),
        Rules(Protocol(evaluations=150), 0),
        resolve(parse_strategy("rnn-controller")),
    )

    def together():
        run_seeds(spec, task, rules, np.arange(100))

    def alone():
        for seed in range(ALONE):
            run_seeds(spec, task, rules, np.array([seed]))

    def measure():
        lockstep, single = least_cpu_seconds(together, alone, repeats=3)
        ratio = lockstep / (single * 100 / ALONE)
        benchmark.extra_info.update(seconds_of_100_runs=lockstep, times_faster=1 / ratio)
        return ratio

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(lambda: None)
    assert ratio <= gate
