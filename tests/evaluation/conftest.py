"""Small tables, tasks and the real tasks that the tests of the evaluation share."""

import numpy as np
import pytest

from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.nasbench201 import convert
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

ACCURACY = Metric("val_accuracy", "%", "maximize", "search", 0.1)
COST = Metric("train_cost_s", "s", "minimize", "cost")
PARAMS = Metric("params_m", "million", "minimize", "hardware", free=True)


@pytest.fixture(scope="session")
def nb201():
    """NAS-Bench-201, converted here and now: what is in a cache may be older than the code."""
    return convert()


@pytest.fixture(scope="session")
def nb201_task(nb201):
    return make_task(nb201, "cifar10")


@pytest.fixture(scope="session", params=["cifar10", "cifar100", "imagenet16-120"])
def real_task(request, nb201):
    return make_task(nb201, request.param)


@pytest.fixture(scope="session")
def table_of():
    """Returns a table over as many architectures as the values have rows; values are (n, num_replicates)."""

    def make(values, cost_s=None, metric=ACCURACY, params=None):
        values = np.asarray(values, dtype=float)
        columns = {metric.name: MetricArray(metric, values[:, :, None])}
        if cost_s is not None:
            columns["train_cost_s"] = MetricArray(COST, np.asarray(cost_s, dtype=float)[:, :, None])
        if params is not None:
            columns["params_m"] = MetricArray(PARAMS, np.asarray(params, dtype=float)[:, None, None])
        space = ProductSpace("letters", [[f"choice{index}" for index in range(len(values))]])
        return Table("tiny", {"one": Dataset("Tiny", space, columns)}, Provenance("here", "1", "MIT"))

    return make


@pytest.fixture(scope="session")
def task_of(table_of):
    """Returns a task over as many architectures as the values have rows."""
    return lambda *arguments, **keywords: make_task(table_of(*arguments, **keywords), "one")


@pytest.fixture
def task(task_of):
    """Five architectures with 3, 2, 1, 3 and no replicates."""
    nan = np.nan
    values = [[50, 51, 52], [60, 62, nan], [70, nan, nan], [80, 81, 83], [nan, nan, nan]]
    cost_s = [[10, 11, 12], [20, 22, nan], [30, nan, nan], [40, 41, 42], [nan, nan, nan]]
    return task_of(values, cost_s, params=[1.5, 2.5, 3.5, 4.5, 5.5])
