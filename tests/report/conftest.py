"""Tasks and runs made by hand."""

import numpy as np
import pytest

from nasbench_harness.analysis.runs import Runs
from nasbench_harness.analysis.study import analyze
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table


@pytest.fixture(scope="session")
def made_task():
    """Returns a task whose architectures have these validation and test accuracies (None: no test)."""

    def make(val, test=None, name="one", cost_s=None, space=None):
        metrics = [
            MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.1), np.array(val, float)[:, None, None])
        ]
        if test is not None:
            values = np.array(test, float)[:, None, None]
            metrics.append(MetricArray(Metric("test_accuracy", "%", "maximize", "test", 0.1), values))
        if cost_s is not None:
            metrics.append(
                MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), np.array(cost_s)[:, None, None])
            )
        space = space or ProductSpace("letters", [[f"choice{index}" for index in range(len(val))]])
        dataset = Dataset(name.capitalize(), space, {column.metric.name: column for column in metrics})
        return make_task(Table("tiny", {name: dataset}, Provenance("here", "1", "MIT"), "0" * 64), name).under(
            Protocol()
        )

    return make


@pytest.fixture(scope="session")
def runs_of():
    """Returns runs of one evaluation each that end with these picks."""
    return make_runs


def make_runs(picks, seeds=None):
    """Runs of one evaluation each that end with these picks."""
    picks = np.array(picks)[:, None]
    seeds = np.arange(len(picks)) if seeds is None else np.array(seeds)
    nothing = np.zeros(len(picks), dtype=int)
    return Runs(
        seeds=seeds,
        row_picks=picks,
        row_totals=np.ones_like(picks),
        row_times_s=np.full(picks.shape, np.nan),
        chooses_itself=False,
        repeats=np.zeros((len(picks), 2), dtype=int),
        num_overrun=nothing,
        num_rejected=nothing,
        num_lookups=nothing,
    )


@pytest.fixture(scope="session")
def analysis_of():
    """Returns the analysis of pairs (task, {label: picks, or Runs})."""

    def make(*pairs, protocol=None, **options):
        tasks = [task for task, _ in pairs]
        labels = list(dict.fromkeys(label for _, runs in pairs for label in runs))
        by_name = {task.name: runs for task, runs in pairs}

        def read(position, task):
            found = by_name[task.name].get(labels[position])
            return found if found is None or isinstance(found, Runs) else make_runs(found)

        num_seeds = max(len(read(0, task).seeds) for task in tasks if read(0, task) is not None)
        return analyze(labels, tasks, read, protocol or Protocol(1), 0, num_seeds, 200, **options)

    return make
