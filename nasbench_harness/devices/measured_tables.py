"""A table with the latencies that its networks have on this machine. Needs torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.devices.adapting import (
    Measurements,
    adapted_columns,
    dataset_of,
    evaluated_rows,
    sources_of,
    unit_of,
)
from nasbench_harness.devices.measuring import Measured, Networks, Timing, measure
from nasbench_harness.devices.predictor import MIN_MEASURED, DeviceFeatures, choose_diverse
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.tables.extending import check_new_name, with_columns
from nasbench_harness.tables.imported import imported_names
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Metric, MetricArray, Table
from nasbench_harness.trainer.loop.devices import torch_device
from nasbench_harness.trainer.recipe import Recipe, recipe_of
from nasbench_harness.verification.trainable import Trainable, trainable

_OFFICIAL_RECIPES = {"cells": "nb201-200", "widths": "nats-sss-90"}
_GRAY_DATA = ("animals8", "digits8")


@dataclass(frozen=True)
class MeasuredTable:
    """A table with a column that was measured here.

    Attributes:
        table: The table, as it is kept.
        dataset: The data set that has the column.
        device: Name of the device.
        seconds: Real seconds of measuring.
        spread: Median over architectures of the largest difference between rounds, relative to the latency.
        num_measured: Number of measured architectures.
        num_architectures: Number of architectures of the space.
    """

    table: Table
    dataset: str
    device: str
    seconds: float
    spread: float
    num_measured: int
    num_architectures: int


def measure_table(
    table: str,
    *,
    device: str = "cpu",
    dataset: str | None = None,
    recipe: str | None = None,
    count: int | None = None,
    architectures: str | None = None,
    predict: bool = False,
    rounds: int = 5,
    repeats: int = 10,
    warm_up: int = 3,
    batch_size: int = 1,
    seed: int = 0,
    column: str | None = None,
    out: Path | None = None,
    name: str | None = None,
    replace: bool = False,
    on_visit: Callable[[int, int | None], None] | None = None,
) -> MeasuredTable:
    """Measure the networks of a table here, and keep the table with the new column.

    Args:
        table: Name of the table.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dataset: Its data set; None: the first one. It gives the size of images and the number of classes.
        recipe: Gives cells and channels of the networks; None: the official size.
        count: Number of architectures, chosen by diversity; None: all that have a result.
        architectures: Indices with commas between them, instead of ``count``.
        predict: Predict the other architectures with the role proxy, from other devices' columns.
        rounds: Passes over all architectures.
        repeats: Timed forward passes in a round.
        warm_up: Forward passes before them.
        batch_size: Images of a forward pass.
        seed: Seed of the choice of ``count``.
        column: Name of the column; None: ``latency_DEVICE_ms``.
        out: Journal of the finished visits; None: a file in the current folder.
        name: Name of the new table; None: made of the table's and the device's.
        replace: Take the place of another table of this name.
        on_visit: Called with (visits done, visits in all).

    Raises:
        InvalidInputError: Something cannot be used; nothing was measured.
    """
    torch_device(device)
    timing = Timing(rounds, repeats, warm_up, batch_size)
    base = load_table(table)
    key = dataset_of(base, dataset)
    plain = re.sub("[^a-z0-9]", "", device)
    new_column = column or f"latency_{plain}_ms"
    if unit_of(new_column) != "ms":
        raise InvalidInputError(f"column {new_column} must end with _ms: latencies are measured in milliseconds")
    if new_column in base.datasets[key].columns:
        raise InvalidInputError(f"{base.name}-{key} has a metric {new_column} already: give --column")
    new_name, journal = name or f"{table}-{plain}", out or Path(f"{table}-{key}-{new_column}.jsonl")
    check_new_name(new_name, base, replace or _was_made_of(journal, new_name))
    task = make_task(base, key)
    kind = trainable(task)
    rows = _rows(base, key, count, architectures, seed)
    features = None
    if predict:
        if len(rows) < MIN_MEASURED:
            raise InvalidInputError(f"--predict needs {MIN_MEASURED} measured architectures or more, not {len(rows)}")
        features = _features(base, key, new_column)
    networks = Networks(
        base.datasets[key].space.to_strings(rows.tolist()),
        _recipe(kind, recipe),
        kind.num_classes,
        *_image_size(key),
    )
    pixels = f"{networks.side} × {networks.side}" + " in gray" * (networks.image_channels == 1)
    identity = {"table": base.digest, "dataset": key}
    found = measure(networks, device, timing, journal, identity, on_visit)
    columns = _columns(base, key, new_column, rows, found, features)
    text = (
        f"{new_column} measured on {found.device}: {len(rows)} networks of recipe {networks.recipe.name}, images "
        f"{pixels}, batch {batch_size}, median of {rounds} × {repeats} passes"
    )
    if features is not None:
        text += f"; predicted_{new_column} predicted from these and the table's other devices"
    digest = hashlib.sha256(journal.read_bytes()).hexdigest()
    extended = with_columns(base, key, columns, new_name, text, {journal.name: digest})
    stored = register_table(extended, replace=replace)
    spread, size = float(np.median(found.spread)), base.datasets[key].space.num_architectures
    return MeasuredTable(stored, key, found.device, found.seconds, spread, len(rows), size)


def _image_size(dataset: str) -> tuple[int, int]:
    """Pixels of a side, and channels, of the images of a data set; those of CIFAR if it is unknown."""
    if dataset in _GRAY_DATA:
        return 8, 1
    return 16 if dataset.startswith("imagenet16") else 32, 3


def _was_made_of(journal: Path, name: str) -> bool:
    """Whether a table of this name holds the values of this very journal, so that nothing is left to be measured."""
    if not journal.is_file() or name not in imported_names():
        return False
    digest = hashlib.sha256(journal.read_bytes()).hexdigest()
    return load_table(name).provenance.sha256.get(journal.name) == digest


def _rows(base: Table, dataset: str, count: int | None, architectures: str | None, seed: int) -> Ints:
    """The architectures to measure, shape (n,)."""
    existing = evaluated_rows(base, dataset)
    if architectures is not None:
        if count is not None:
            raise InvalidInputError("give --count or --architectures, not both")
        parts = [part.strip() for part in architectures.split(",")]
        if not all(re.fullmatch(r"\d{1,9}", part) for part in parts) or len(set(parts)) < len(parts):
            raise InvalidInputError(f"--architectures must be different indices with commas, not {architectures!r}")
        rows = np.array(parts, dtype=np.int64)
        unknown = np.setdiff1d(rows, existing)
        if len(unknown):
            raise InvalidInputError(f"{base.name}-{dataset} has no result of the architecture {unknown[0]}")
        return rows
    if count is None:
        return existing
    try:
        sources = list(sources_of(base, dataset, None, "").values())
    except InvalidInputError:  # without other devices, the choices of the architectures are spread
        sources = []
    latencies = np.stack(sources, axis=1) if sources else np.zeros((base.datasets[dataset].space.num_architectures, 0))
    return choose_diverse(DeviceFeatures.of(base.datasets[dataset].space, latencies), count, existing, seed)


def _features(base: Table, dataset: str, column: str) -> DeviceFeatures:
    sources = sources_of(base, dataset, None, column)
    return DeviceFeatures.of(base.datasets[dataset].space, np.stack(list(sources.values()), axis=1))


def _recipe(kind: Trainable, name: str | None) -> Recipe:
    recipe = recipe_of(name or _OFFICIAL_RECIPES[kind.kind])
    if recipe.space != kind.kind:
        raise InvalidInputError(f"recipe {recipe.name} is about {recipe.space}, and the table about {kind.kind}")
    return recipe


def _columns(
    base: Table, dataset: str, column: str, rows: Ints, found: Measured, features: DeviceFeatures | None
) -> list[MetricArray]:
    if features is not None:
        return adapted_columns(base, dataset, column, Measurements(rows, found.latency_ms, found.seconds), features)
    values = np.full(base.datasets[dataset].space.num_architectures, np.nan)
    values[rows] = found.latency_ms
    metric = Metric(column, "ms", "minimize", "hardware", free=True, cost_s=found.seconds)
    return [MetricArray(metric, values[:, None, None])]
