"""What the gate costs where nothing changed: hardly more than the runs that it hashes."""

from pathlib import Path

import numpy as np

from nasbench_harness import check_baseline
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.regression.baselines import find_subjects
from nasbench_harness.regression.traces import TRACE_SEEDS
from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES

from .conftest import least_cpu_seconds, least_ratio

# A search that costs much more than its hash would hide the gate's own cost.
CHEAP = DEFAULT_STRATEGIES
BASELINES = Path(__file__).parents[2] / "results" / "baselines"


def test_the_whole_gate_costs_at_most_twice_the_runs_that_it_hashes(benchmark):
    subjects = [subject for subject in find_subjects(BASELINES) if subject.spec.label in CHEAP]
    rules = Rules(Protocol(), 0)

    def bare_runs():
        for subject in subjects:
            for task in subject.baseline.tasks:
                run_seeds(subject.spec, load_task(task), rules, np.arange(TRACE_SEEDS))

    def gate():
        assert all(check.is_fine for check in check_baseline(CHEAP, folder=BASELINES))

    def gate_without_traces():
        check_baseline(CHEAP, folder=BASELINES, trace=False)

    gate()  # imports, tables

    def measure():
        seconds, bare = least_cpu_seconds(gate, bare_runs, repeats=3)
        benchmark.extra_info.update(gate_cpu_s=seconds, ratio_to_runs=seconds / bare)
        return seconds / bare

    ratio = least_ratio(measure, 2)
    (without,) = least_cpu_seconds(gate_without_traces, repeats=1)
    benchmark.extra_info.update(without_traces_cpu_s=without, num_strategies=len(subjects))
    benchmark.pedantic(lambda: None)
    assert ratio <= 2
