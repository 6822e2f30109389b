"""Published tables, imported through specifications: the same numbers, and the embedded table agrees."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_harness.importers.files.build import import_table

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet16_120"}
# A mean of two or three accuracies: sixths of one image, in percent.
GRID = {"cifar10": "1/1500", "cifar100": "1/300", "imagenet16-120": "1/180"}
HEAD = 'name = "{}"\nsource = "published"\nlicense = "MIT"\n'
METRIC = '[datasets.{}.metrics.{}]\n{}\nunit = "{}"\ndirection = "{}"\nrole = "{}"\n'


def file(name):
    folder = Path(os.environ.get("NASBENCH_REFERENCE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / name).is_file():
        pytest.skip(f"needs the reference data {name}: set NASBENCH_REFERENCE_DATA to its folder")
    return folder / name


def exact(texts):
    return np.array([float(text) for text in texts])


def cells_spec():
    """The three data sets of the NAS-Bench-201 reference file."""
    text = HEAD.format("reference") + '[space]\nkind = "nasbench201"\nkey = "key"\nnum_architectures = 15625\n'
    for dataset, suffix in DATASETS.items():
        text += f'[datasets.{dataset}]\ntitle = "{dataset}"\nfidelities = [200]\n'
        grid = f'columns = "val200_{suffix}"\nresolution = "{GRID[dataset]}"'
        text += METRIC.format(dataset, "val_accuracy", grid, "%", "maximize", "search")
        columns = f'columns = "test200_{suffix}"'
        text += METRIC.format(dataset, "test_accuracy", columns, "%", "maximize", "test")
        columns = f'columns = "train_time200_s_{suffix}"'
        text += METRIC.format(dataset, "train_cost_s", columns, "s", "minimize", "cost")
    return text


CURVES_SPEC = (
    HEAD.format("spiking")
    + '[space]\nkind = "product"\nkey = "key"\nseparator = ""\nnum_architectures = 15625\n[space.decisions]\n'
    + "".join(f"edge_{edge} = [0, 1, 2, 3, 4]\n" for edge in range(6))
    + '[datasets.images]\ntitle = "Images"\n'
    + METRIC.format("images", "val_accuracy", 'prefix = "val_accuracy_"', "%", "maximize", "search")
    + METRIC.format("images", "test_accuracy", 'columns = "test_accuracy"', "%", "maximize", "test")
    + METRIC.format(
        "images", "train_cost_s", 'columns = "train_time_s"\nproportional_to_epochs = true', "s", "minimize", "cost"
    )
)


def test_nasbench201_equals_its_file_and_the_embedded_table(cache, tmp_path, nb201):
    source = file("nb201_reference.csv.gz")
    (tmp_path / "spec.toml").write_text(cells_spec())
    table = import_table(source, tmp_path / "spec.toml")
    frame = pd.read_csv(source, dtype=str)  # Python's own reading of a number is exact
    rows = [table.datasets["cifar10"].space.from_key(key) for key in frame["key"]]
    for dataset, suffix in DATASETS.items():
        test = table.column(dataset, "test_accuracy").values[rows, 0, 0]
        assert test.tobytes() == exact(frame[f"test200_{suffix}"]).tobytes()
        cost = table.column(dataset, "train_cost_s").values[rows, 0, 0]
        assert cost.tobytes() == exact(frame[f"train_time200_s_{suffix}"]).tobytes()
        accuracy = table.column(dataset, "val_accuracy").values[:, 0, 0]
        np.testing.assert_allclose(accuracy[rows], exact(frame[f"val200_{suffix}"]), rtol=0, atol=2e-7)
        means = np.nanmean(nb201.column(dataset, "val_accuracy").values[:, :, 0], axis=1)
        np.testing.assert_allclose(accuracy, means, rtol=0, atol=1e-9)
    best = [table.column(dataset, "test_accuracy").values.max() for dataset in DATASETS]
    assert np.round(best, 2).tolist() == [94.37, 73.51, 47.31]


@pytest.mark.thorough
def test_learning_curves_equal_their_file(cache, tmp_path):
    source = file("spiking_curves.parquet")
    (tmp_path / "spec.toml").write_text(CURVES_SPEC)
    table = import_table(source, tmp_path / "spec.toml")
    dataset, frame = table.datasets["images"], pd.read_parquet(source)
    assert dataset.fidelities == tuple(range(1, 101))
    rows = [dataset.space.from_string(key) for key in frame["key"]]
    curves = frame[[f"val_accuracy_{epoch:03d}" for epoch in range(1, 101)]].to_numpy(dtype=np.float64)
    np.testing.assert_array_equal(table.column("images", "val_accuracy").values[rows, 0], curves)
    seconds = table.column("images", "train_cost_s").values[rows, 0]
    total = frame["train_time_s"].to_numpy(dtype=np.float64)
    np.testing.assert_array_equal(seconds[:, -1], total)
    np.testing.assert_allclose(seconds, total[:, None] * np.arange(1, 101) / 100, rtol=1e-15)
    test = table.column("images", "test_accuracy").values[rows, 0, 0]
    np.testing.assert_array_equal(test, frame["test_accuracy"].to_numpy(dtype=np.float64))
