"""Tables and folders that the tests of the tables share."""

import numpy as np
import pytest
from kit.tables import cache, converted, filled, nb201  # noqa: F401 - fixtures

from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table


@pytest.fixture
def tiny():
    """A table of two small arrays."""
    values = np.array([[[1.5], [2.5], [np.nan]], [[-0.0], [np.inf], [5e-324]]])
    columns = [
        MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.5), values),
        MetricArray(Metric("params_m", "million", "minimize", "hardware", free=True), values[:, :1]),
    ]
    dataset = Dataset("Tïny", ProductSpace("tiny", [["a", "b"]]), {column.metric.name: column for column in columns})
    return Table("tiny", {"one": dataset}, Provenance("here", "1", "MIT", {"file": "ab"}))
