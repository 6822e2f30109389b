"""From rows of trained networks to the columns of a table, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.importers.archives.records import rows_of
from nasbench_harness.importers.archives.trials import EVALUATION_SETS, HEADER
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray

_TITLES = {"cifar10-valid": "CIFAR-10", "cifar100": "CIFAR-100", "ImageNet16-120": "ImageNet16-120"}
# What is trained on training and validation set together stands beside what is trained on the training set.
_TOGETHER = {"cifar10-valid": "cifar10"}
_TOGETHER_PREFIX = "trainval_"
_FIRST_SEEDS = (777, 888, 999)
# The source has wrong sizes for some networks of other seeds; those of this one are right.
_RIGHT_SIZE_SEED = 888
_PREFIX = {"x-valid": "val", "x-test": "test", "ori-test": "valtest"}
# Images behind each accuracy; train accuracies are means over batches and are on no grid.
_IMAGES = {
    ("cifar10-valid", "val"): 25_000,
    ("cifar10-valid", "test"): 10_000,
    ("cifar10", "test"): 10_000,
    ("cifar100", "val"): 5_000,
    ("cifar100", "test"): 5_000,
    ("cifar100", "valtest"): 10_000,
    ("ImageNet16-120", "val"): 3_000,
    ("ImageNet16-120", "test"): 3_000,
    ("ImageNet16-120", "valtest"): 6_000,
}
_OFF_GRID = 1e-3
_ORDER = ("val_accuracy", "test_accuracy", "train_cost_s", "latency_ms", "params_m", "flops_m", "val_loss")
_CHUNK_ROWS = 256
_LATENCY = HEADER.index("latency_s")


class _Trials(NamedTuple):
    """The rows of one file, and their kind by a first look.

    Attributes:
        dataset: As the archive names it.
        num_epochs: Length of a block.
        path: The file.
        rows: Row in the table of each trial.
        seeds: Training seed of each trial.
        has_any: Which blocks have a value.
        has_curve: Which blocks have a value before the last epoch.
        off_grid: Largest distance of each block's values from the grid of its accuracy, in grid steps.
    """

    dataset: str
    num_epochs: int
    path: Path
    rows: Ints
    seeds: Ints
    has_any: Bools
    has_curve: Bools
    off_grid: Floats


class _Block(NamedTuple):
    metric: Metric
    first: int
    last: int


def datasets_of(
    files: Mapping[tuple[str, str], tuple[Path, int]], space: SearchSpace, folder: Path
) -> dict[str, Dataset]:
    """Data sets of a table, one for each schedule and data set with a validation accuracy.

    Args:
        files: (schedule, data set) -> file of rows and number of epochs.
        space: Search space of the rows.
        folder: Folder of the arrays, which are memory-mapped from there.
    """
    datasets = {}
    for schedule in sorted({schedule for schedule, _ in files}, key=int, reverse=True):
        for name, title in _TITLES.items():
            group = [key for key in (name, _TOGETHER.get(name)) if (schedule, key) in files]
            if name not in group:
                continue
            trials = [_look(key, *files[schedule, key]) for key in group if key is not None]
            seeds = _in_order(np.unique(np.concatenate([entry.seeds for entry in trials])))
            prefix = f"{name.lower()}-{schedule}"
            columns: dict[str, MetricArray] = {}
            for entry in trials:
                columns |= _columns(entry, seeds, space.num_architectures, folder / prefix)
            num_epochs = trials[0].num_epochs
            names = [*(known for known in _ORDER if known in columns), *columns]
            epochs = f"{num_epochs} epoch{'s' if num_epochs > 1 else ''}"
            datasets[prefix] = Dataset(
                f"{title}, {epochs}",
                space,
                {column: columns[column] for column in names},
                tuple(range(1, num_epochs + 1)),
                tuple(seeds.tolist()),
                data=(_TOGETHER.get(name, name.lower()),),
            )
    return datasets


def _in_order(seeds: Ints) -> Ints:
    first = [seed for seed in _FIRST_SEEDS if seed in seeds]
    return np.array([*first, *(seed for seed in seeds if seed not in _FIRST_SEEDS)], dtype=np.int64)


def _look(dataset: str, path: Path, num_epochs: int) -> _Trials:
    rows, seeds = [], []
    num_blocks = 3 * (1 + len(EVALUATION_SETS[dataset]))
    has_any, has_curve = np.zeros(num_blocks, dtype=bool), np.zeros(num_blocks, dtype=bool)
    off_grid = np.zeros(num_blocks)
    images = np.array([_IMAGES.get((dataset, name), 0) for name in _names(dataset) for _ in range(3)])
    for chunk in _chunks(path, dataset, num_epochs):
        rows.append(chunk[:, HEADER.index("row")].astype(np.int64))
        seeds.append(chunk[:, HEADER.index("seed")].astype(np.int64))
        blocks = chunk[:, len(HEADER) :].reshape(len(chunk), num_blocks, num_epochs)
        known = ~np.isnan(blocks)
        has_any |= known.any(axis=(0, 2))
        has_curve |= known[:, :, :-1].any(axis=(0, 2))
        steps = blocks * images[:, None] / 100
        with np.errstate(invalid="ignore"):  # losses may be infinite
            distance = np.where(known, np.abs(steps - np.rint(steps)), 0.0).max(axis=(0, 2))
        off_grid = np.maximum(off_grid, distance)
    return _Trials(dataset, num_epochs, path, np.concatenate(rows), np.concatenate(seeds), has_any, has_curve, off_grid)


def _chunks(path: Path, dataset: str, num_epochs: int) -> Iterator[Floats]:
    num_trials = len(rows_of(path, dataset, num_epochs))
    for first in range(0, num_trials, _CHUNK_ROWS):
        # Mapped anew each time, so that what was read does not stay in memory.
        yield np.array(rows_of(path, dataset, num_epochs)[first : first + _CHUNK_ROWS])


def _names(dataset: str) -> list[str]:
    """Prefix of the metrics of training and of each evaluation set."""
    sets = EVALUATION_SETS[dataset]
    prefixes = _PREFIX if "x-test" in sets else {**_PREFIX, "ori-test": "test"}
    return ["train", *(prefixes[name] for name in sets)]


def _blocks(trials: _Trials) -> list[_Block]:
    together = trials.dataset in _TOGETHER.values()
    blocks = []
    for position, prefix in enumerate(_names(trials.dataset)):
        sealed = together or prefix not in ("train", "val")
        images = _IMAGES.get((trials.dataset, prefix))
        on_grid = images is not None and trials.off_grid[3 * position] < _OFF_GRID
        metrics = (
            Metric(f"{prefix}_accuracy", "%", "maximize", "test" if sealed else "search",
                   100 / images if images and on_grid else None),
            Metric(f"{prefix}_loss", "nats", "minimize", "test" if sealed else "search"),
            Metric(f"{prefix}_cost_s", "s", "minimize", "cost" if prefix == "train" and not together else "test"),
        )  # fmt: skip
        for offset, metric in enumerate(metrics):
            block = 3 * position + offset
            if trials.has_any[block]:
                first, last = (len(HEADER) + (block + end) * trials.num_epochs for end in (0, 1))
                # A search metric keeps its whole axis: what was not measured at an epoch must be missing there.
                short = metric.role == "test" and not trials.has_curve[block]
                blocks.append(_Block(_named(metric, together), last - 1 if short else first, last))
    for position, (name, unit) in enumerate(
        {"params_m": "million", "flops_m": "million", "latency_ms": "ms"}.items(), start=HEADER.index("params_m")
    ):
        metric = Metric(name, unit, "minimize", "test" if together else "hardware", free=not together)
        blocks.append(_Block(_named(metric, together), position, position + 1))
    return blocks


def _named(metric: Metric, together: bool) -> Metric:
    name = f"{_TOGETHER_PREFIX}{metric.name}" if together else metric.name
    return Metric(name, metric.unit, metric.direction, metric.role, metric.resolution, metric.free)


def _columns(trials: _Trials, seeds: Ints, num_rows: int, prefix: Path) -> dict[str, MetricArray]:
    """Write one array (num_architectures, num_seeds, num_epochs or 1) per metric, and map it."""
    blocks = _blocks(trials)
    paths = {block.metric.name: prefix.with_name(f"{prefix.name}.{block.metric.name}.npy") for block in blocks}
    order = np.argsort(trials.rows, kind="stable")
    slots = np.argsort(seeds)[np.searchsorted(np.sort(seeds), trials.seeds)]
    for block in blocks:
        shape = (num_rows, len(seeds), block.last - block.first)
        with paths[block.metric.name].open("wb") as file:
            npy.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    files = {name: path.open("ab") for name, path in paths.items()}
    try:
        for first in range(0, num_rows, _CHUNK_ROWS):
            size = min(_CHUNK_ROWS, num_rows - first)
            begin, end = np.searchsorted(trials.rows[order], (first, first + size))
            dense = _dense(trials, order[begin:end], slots, first, (size, len(seeds)), seeds)
            for block in blocks:
                files[block.metric.name].write(np.ascontiguousarray(dense[:, :, block.first : block.last]).data)
    finally:
        for file in files.values():
            file.close()
    return {
        block.metric.name: MetricArray(block.metric, np.load(paths[block.metric.name], mmap_mode="r"))
        for block in blocks
    }


def _dense(trials: _Trials, which: Ints, slots: Ints, first: int, shape: tuple[int, int], seeds: Ints) -> Floats:
    rows = rows_of(trials.path, trials.dataset, trials.num_epochs)
    dense = np.full((*shape, rows.shape[1]), np.nan)
    dense[trials.rows[which] - first, slots[which]] = rows[which]
    dense[:, :, _LATENCY] *= 1e3
    for position in (HEADER.index("params_m"), HEADER.index("flops_m")):
        _mend_sizes(dense[:, :, position], seeds)
    return dense


def _mend_sizes(sizes: Floats, seeds: Ints) -> None:
    """If a network's seeds disagree to five decimals, take the seed that is right, as nats-bench does."""
    if _RIGHT_SIZE_SEED not in seeds:
        return
    right = sizes[:, list(seeds).index(_RIGHT_SIZE_SEED)]
    for row in np.flatnonzero(np.nanmax(np.abs(sizes - right[:, None]), axis=1, initial=0.0) > 0):
        known = ~np.isnan(sizes[row])
        if len({f"{size:.5f}" for size in sizes[row, known]}) > 1:
            sizes[row, known] = right[row]
