"""Tables and folders that the tests of the tables share."""

import numpy as np
import pytest

from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.nasbench201 import convert
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Column, Dataset, Metric, Provenance, Table


@pytest.fixture(scope="session")
def nb201():
    """NAS-Bench-201, converted here and now: what lies in a cache may be older than the code."""
    return convert()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that this process reads from."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()


@pytest.fixture
def tiny():
    """A table of two small arrays."""
    values = np.array([[[1.5], [2.5], [np.nan]], [[-0.0], [np.inf], [5e-324]]])
    columns = [
        Column(Metric("val_accuracy", "%", "maximize", "search", 0.5), values),
        Column(Metric("params_m", "million", "minimize", "hardware", free=True), values[:, :1]),
    ]
    dataset = Dataset("Tïny", ProductSpace("tiny", [["a", "b"]]), {column.metric.name: column for column in columns})
    return Table("tiny", {"one": dataset}, Provenance("here", "1", "MIT", {"file": "ab"}))
