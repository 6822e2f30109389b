"""The landscape of published tables: real learning curves, and test accuracy."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.landscape.analysis import landscape_of
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

# Spearman's correlation of validation at an epoch and test accuracy, as published beside the curves.
PUBLISHED = {1: 0.325, 5: 0.527, 10: 0.650, 20: 0.766, 40: 0.861, 100: 0.954}


def task_of(space, val, test, fidelities, fidelity):
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search"), val[:, None, :]),
        "test_accuracy": MetricArray(Metric("test_accuracy", "%", "maximize", "test"), test[:, None, None]),
    }
    table = Table("published", {"one": Dataset("One", space, columns, fidelities)}, Provenance("published", "1", "MIT"))
    return make_task(table, "one").under(Protocol(fidelity=fidelity))


@pytest.mark.thorough
def test_fidelities_and_test_of_real_curves():
    folder = Path(os.environ.get("NASBENCH_REFERENCE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    file = folder / "spiking_curves.parquet"
    if not file.is_file():
        pytest.skip(f"needs the reference data {file.name}: set NASBENCH_REFERENCE_DATA to its folder")
    frame = pd.read_parquet(file)
    space = ProductSpace("spiking", [list("01234")] * 6)
    rows = [space.from_string(":".join(key)) for key in frame["key"]]
    epochs = tuple(range(1, 101))
    val = np.full((15_625, 100), np.nan)
    val[rows] = frame[[f"val_accuracy_{epoch:03d}" for epoch in epochs]].to_numpy(dtype=float)
    test = np.full(15_625, np.nan)
    test[rows] = frame["test_accuracy"].to_numpy(dtype=float)
    for epoch, expected in PUBLISHED.items():
        landscape = landscape_of(task_of(space, val, test, epochs, epoch))
        (entry,) = (entry for entry in landscape.agreements if entry.kind == "test")
        assert entry.rank_correlation == pytest.approx(expected, abs=6e-4)
        others = [entry for entry in landscape.agreements if entry.kind == "fidelity"]
        assert len(others) >= 7
    ranks = [entry.rank_correlation for entry in others]
    assert ranks == sorted(ranks)  # later epochs agree better with the last


def test_validation_and_test_of_the_published_table(reference):
    val = reference["val200_cifar100"].to_numpy(dtype=float)[:, None]
    test = reference["test200_cifar100"].to_numpy(dtype=float)
    landscape = landscape_of(task_of(NASBench201Space(), val, test, (200,), 200))
    (entry,) = landscape.agreements
    assert entry.rank_correlation > 0.99
    assert entry.rank_correlation_of_best < entry.rank_correlation
    assert 0 <= entry.regret_of_best < 1
    assert len(landscape.optima.architectures) >= 26  # rounded means tie less often than exact ones
