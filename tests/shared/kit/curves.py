"""A small table of learning curves, in memory and registered in a cache of its own."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

EPOCHS = (1, 2, 3, 5, 9, 18, 27)
CURVES_TASK = "curves-set"


def curves_table():
    """1,024 architectures, two replicates: brief trainings tell little about long ones."""
    rng = np.random.default_rng(11)
    space = ProductSpace("curves", [["a", "b", "c", "d"]] * 5)
    choices = space.choices(np.arange(space.num_architectures))
    final = 70 + sum(rng.normal(0, 4, 4)[choices[:, decision]] for decision in range(5))
    final = final + rng.normal(0, 2, (4, 4))[choices[:, 0], choices[:, 1]]
    epochs = np.array(EPOCHS)
    shape = (space.num_architectures, 2, len(epochs))
    accuracy = final[:, None, None] - 30 / epochs + rng.normal(0, 1, shape) * 8 / epochs
    seconds = rng.uniform(5, 15, (space.num_architectures, 1, 1)) * epochs * np.ones(shape)
    columns = {
        "val_accuracy": MetricArray(
            Metric("val_accuracy", "%", "maximize", "search", 0.01), np.round(accuracy.clip(0, 100), 2)
        ),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), seconds),
    }
    return Table("curves", {"set": Dataset("Set", space, columns, EPOCHS)}, Provenance("made here", "1", "MIT"))


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """Name of the task, which any process finds as long as the fixture lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("curves")))
        load_table.cache_clear()
        register_table(curves_table())
        yield CURVES_TASK
    load_table.cache_clear()


@pytest.fixture(scope="module")
def spiking(tmp_path_factory):
    """Name of the task of 15,625 measured learning curves; skips if the reference data are absent."""
    folder = Path(os.environ.get("NASBENCH_REFERENCE_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not (folder / "spiking_curves.parquet").is_file():
        pytest.skip("needs the reference data spiking_curves.parquet: set NASBENCH_REFERENCE_DATA to its folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("spiking")))
        load_table.cache_clear()
        register_table(spiking_table(folder / "spiking_curves.parquet"))
        yield "spiking-images"
    load_table.cache_clear()


def spiking_table(file):
    """The measured learning curves as a table; seconds are proportional to epochs."""
    frame = pd.read_parquet(file)
    space = ProductSpace("spiking", [list("01234")] * 6)
    frame = frame.iloc[np.argsort([int(key, 5) for key in frame["key"]])]
    curves = frame[[f"val_accuracy_{epoch:03d}" for epoch in range(1, 101)]].to_numpy(dtype=float)[:, None]
    seconds = frame["train_time_s"].to_numpy(dtype=float)[:, None, None] * np.arange(1, 101) / 100
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search"), curves),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), seconds),
    }
    dataset = Dataset("Images", space, columns, tuple(range(1, 101)))
    return Table("spiking", {"images": dataset}, Provenance("spiking_curves.parquet", "1", "MIT"))
