"""NAS-Bench-Graph, graph neural networks on nine data sets: validation and test, three trainings (nas-bench-graph).

Every one of the 26,206 distinct architectures (2,021 for proteins). The package stores means of three trainings, no
single ones, and no training times: these tasks have no cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError
from nasbench_harness.spaces import NASBenchGraphSpace
from nasbench_harness.spaces.nasbench_graph import PROTEINS_OPERATIONS
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.tables.unpickle import restricted_load

DATASETS = {
    "cora": "Cora",
    "citeseer": "CiteSeer",
    "pubmed": "PubMed",
    "cs": "CS",
    "physics": "Physics",
    "photo": "Photo",
    "computers": "Computers",
    "arxiv": "arXiv",
    "proteins": "Proteins (ROC-AUC)",
}
PACKAGE = "nas-bench-graph"
# The pickles hold numbers of these types; NumPy 2 renamed the module of the first.
_ALLOWED = frozenset({("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"), ("numpy", "dtype")})
_NUM_TRAININGS = 3
# Validation values per training: accuracies on 500 nodes, or rounded to three decimals by the source. A mean of three
# trainings is a multiple of 1 / (3 × these).
_VALIDATION_PARTS = {name: 500 if name in ("cora", "citeseer", "pubmed") else 1_000 for name in DATASETS}
# Test nodes of each data set; the ROC-AUC of proteins is on no grid.
_TEST_NODES = {
    "cora": 1_000,
    "citeseer": 1_000,
    "pubmed": 1_000,
    "cs": 17_583,
    "physics": 34_243,
    "photo": 7_087,
    "computers": 12_881,
    "arxiv": 48_603,
}
# Farther from the grid, in grid steps, than the float noise of a mean of three.
_TOLERANCE = 1e-6


def convert() -> Table:
    """Read the package's nine files into arrays (num_architectures, 1, 1).

    Raises:
        TableError: A file is missing, damaged, or differs from this version of the package.
    """
    folder = _package_folder() / "light"
    space, small = NASBenchGraphSpace(), NASBenchGraphSpace(PROTEINS_OPERATIONS)
    datasets = {
        name: _convert_dataset(small if name == "proteins" else space, name, folder / f"{name}.bench")
        for name in DATASETS
    }
    provenance = Provenance(
        source="NAS-Bench-Graph (Qin et al., 2022), means of three trainings, as shipped by nas-bench-graph",
        version=version(PACKAGE),
        license="Apache-2.0",
        sha256={
            f"{name}.bench": hashlib.sha256((folder / f"{name}.bench").read_bytes()).hexdigest() for name in DATASETS
        },
    )
    return Table("graph", datasets, provenance)


def _package_folder() -> Path:
    spec = find_spec("nas_bench_graph")  # located, not imported: only its data files are wanted
    if spec is None or not spec.submodule_search_locations:
        raise TableError(f"NAS-Bench-Graph is read from the package {PACKAGE}: pip install {PACKAGE}")
    return Path(spec.submodule_search_locations[0])


def _convert_dataset(space: NASBenchGraphSpace, dataset: str, path: Path) -> Dataset:
    rows = restricted_load(path, _ALLOWED)
    keys = [int(space.to_key(index)) for index in range(space.num_architectures)]
    if not isinstance(rows, dict) or rows.keys() != set(keys):
        raise TableError(f"{path} does not hold the {len(keys):,} architectures of its space: reinstall {PACKAGE}")
    ordered = [rows[key] for key in keys]
    validation, test = _field(ordered, "valid_perf", path), _field(ordered, "perf", path)
    val_accuracy, val_step = _on_grid(validation, _VALIDATION_PARTS[dataset], "validation", path)
    test_accuracy, test_step = _on_grid(test, _TEST_NODES.get(dataset), "test", path)
    columns = [
        MetricArray(Metric("val_accuracy", "%", "maximize", "search", val_step), val_accuracy),
        MetricArray(Metric("test_accuracy", "%", "maximize", "test", test_step), test_accuracy),
        MetricArray(
            Metric("latency_ms", "ms", "minimize", "hardware", free=True), 1e3 * _field(ordered, "latency", path)
        ),
        MetricArray(Metric("params_m", "million", "minimize", "hardware", free=True), _field(ordered, "para", path)),
    ]
    return Dataset(DATASETS[dataset], space, {column.metric.name: column for column in columns})


def _field(rows: list[Mapping[str, Any]], name: str, path: Path) -> Floats:
    """One field of every row, shape (num_architectures, 1, 1)."""
    try:
        values = np.array([float(row[name]) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise TableError(f"{path}: a row has no number {name}: reinstall {PACKAGE}") from error
    if not np.isfinite(values).all():
        raise TableError(f"{path}: a row's {name} is not finite: reinstall {PACKAGE}")
    return values[:, None, None]


def _on_grid(fractions: Floats, parts: int | None, split: str, path: Path) -> tuple[Floats, float | None]:
    """Nearest multiples of 1 / (3 × parts) in percent, so that equal values are equal numbers, and their step."""
    if parts is None:
        return 100 * fractions, None
    steps = _NUM_TRAININGS * parts
    counts = np.rint(fractions * steps)
    if np.abs(fractions * steps - counts).max() > _TOLERANCE:
        raise TableError(f"{path}: {split} values are no multiples of 1/{steps}: reinstall {PACKAGE}")
    return counts / (steps / 100), 100 / steps
