"""Columns of devices in a table, and the column that is predicted for a new device."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.devices.predictor import MIN_MEASURED, DeviceFeatures, choose_diverse, predict_latencies
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.files import write_whole
from nasbench_harness.importers.files.reader import TableFile
from nasbench_harness.importers.files.rows import key_rows, refuse_repeated
from nasbench_harness.statistics import rank_correlation
from nasbench_harness.tables.extending import check_new_name, with_columns
from nasbench_harness.tables.metadata import is_metric_name
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Table

KEY = "architecture"
_UNITS = {"ms": "ms", "s": "s", "us": "us", "mj": "mJ", "j": "J"}
_SUFFIX = re.compile(rf"_({'|'.join(_UNITS)})$")
_MIN_KNOWN = 10
_MIN_REST = 30  # architectures on which a prediction is judged


@dataclass(frozen=True)
class Measurements:
    """Latencies or energies that were measured on a device.

    Attributes:
        rows: Architectures, shape (num_measured,).
        values: Positive values in the unit of the column's name, shape (num_measured,).
        cost_s: Declared seconds of measuring; None if nothing is declared.
        sha256: Digests of the files that they were read from.
    """

    rows: Ints
    values: Floats
    cost_s: float | None = None
    sha256: Mapping[str, str] | None = None


def unit_of(column: str) -> str:
    """Unit of a column of a device, by the end of its name.

    Raises:
        InvalidInputError: The name cannot be used, or ends with no unit of time or energy.

    Example:
        >>> unit_of("phone_latency_ms")
        'ms'
    """
    found = _SUFFIX.search(column)
    if found is None or not is_metric_name(column):
        raise InvalidInputError(
            f"{column!r} cannot name a column of a device: use small letters, digits and '_', and end with the unit "
            f"({', '.join(f'_{unit}' for unit in _UNITS)})"
        )
    return _UNITS[found[1]]


def device_names(dataset: Dataset) -> list[str]:
    """Columns of devices in a data set: free hardware metrics that are times or energies."""
    metrics = [column.metric for column in dataset.columns.values()]
    units = set(_UNITS.values())
    return [metric.name for metric in metrics if metric.role == "hardware" and metric.free and metric.unit in units]


def dataset_of(table: Table, dataset: str | None) -> str:
    """The data set of this name; None: the first one.

    Raises:
        UnknownNameError: There is no such data set.
    """
    if dataset is not None and dataset not in table.datasets:
        raise UnknownNameError("data set", dataset, table.datasets, f"table {table.name}")
    return next(iter(table.datasets)) if dataset is None else dataset


def sources_of(table: Table, dataset: str, devices: Sequence[str] | None, column: str) -> dict[str, Floats]:
    """Latencies of the other devices by name, shape (num_architectures,), NaN if missing.

    Args:
        table: The table.
        dataset: Its data set.
        devices: Names of the columns; None: all devices with values of half of the architectures.
        column: The new device's own column, which is left out.

    Raises:
        InvalidInputError: There is no other device, or one has too few values.
        UnknownNameError: A name is no device of the data set.
    """
    known = [name for name in device_names(table.datasets[dataset]) if name != column]
    for name in devices or ():
        if name not in known:
            raise UnknownNameError("device", name, known, f"{table.name}-{dataset}")
    found = {name: exact_means(table.column(dataset, name)).values for name in devices or known}
    found = {name: np.where(values > 0, values, np.nan) for name, values in found.items()}
    counts = {name: int((~np.isnan(values)).sum()) for name, values in found.items()}
    if devices is None:
        least = max(_MIN_KNOWN, len(evaluated_rows(table, dataset)) / 2)
        found = {name: values for name, values in found.items() if counts[name] >= least}
    elif min(counts.values()) < _MIN_KNOWN:
        name = min(counts, key=counts.__getitem__)
        fault = f"device {name} of {table.name}-{dataset} has fewer than {_MIN_KNOWN} values"
        raise InvalidInputError(f"{fault}: leave it out of --devices")
    if not found:
        raise InvalidInputError(
            f"{table.name}-{dataset} has no other device with values of half of the architectures: extend it with "
            "latencies of a device first (tables extend), or name --devices"
        )
    return found


def write_choice(path: Path, table: Table, dataset: str, rows: Ints, column: str) -> None:
    """Write the architectures to measure as a CSV with an empty column for the results.

    Raises:
        InvalidInputError: The file exists, or cannot be written.
    """
    if path.exists():
        raise InvalidInputError(f"{path} exists already: name another file with --out")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([KEY, column])
    writer.writerows([table.datasets[dataset].space.to_string(row), ""] for row in rows.tolist())
    try:
        write_whole(path, text.getvalue().encode())
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}: name another file with --out") from error


def read_measurements(path: Path, table: Table, dataset: str, column: str, cost_s: float | None) -> Measurements:
    """Read a CSV with a column ``architecture`` and a column of the device.

    Raises:
        InvalidInputError: A mistake in the file, with its place.
    """
    content = TableFile(path).read([KEY], [column])
    rows = key_rows(table.datasets[dataset].space, content, KEY, "string")
    refuse_repeated(content, rows, KEY)
    values = content.numbers[column]
    content.refuse(~(values > 0) | ~np.isfinite(values), column, "is no number above 0")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Measurements(rows, values, cost_s, {path.name: digest})


def stored_measurements(table: Table, dataset: str, column: str, cost_s: float | None) -> Measurements:
    """The values that a column of the table has.

    Raises:
        UnknownNameError: There is no such device.
        InvalidInputError: It has a value of every architecture.
    """
    known = device_names(table.datasets[dataset])
    if column not in known:
        raise UnknownNameError("device", column, known, f"{table.name}-{dataset}", advice="; or name a file")
    found = table.column(dataset, column)
    values = exact_means(found).values
    rows = np.flatnonzero(values > 0)
    if len(rows) == len(values):
        raise InvalidInputError(f"{column} of {table.name}-{dataset} has all values: nothing is to be predicted")
    return Measurements(rows, values[rows], found.metric.cost_s if cost_s is None else cost_s)


def adapted_columns(
    table: Table, dataset: str, column: str, measured: Measurements, features: DeviceFeatures
) -> list[MetricArray]:
    """The measured column, unless the table has it, and the predicted one with the role proxy.

    Raises:
        InvalidInputError: The measurements cannot be used.
    """
    unit, cost = unit_of(column), measured.cost_s
    predicted = predict_latencies(features, measured.rows, measured.values)
    metric = Metric(f"predicted_{column}", unit, "minimize", "proxy", free=True, cost_s=cost)
    columns = [MetricArray(metric, predicted[:, None, None])]
    if column not in table.datasets[dataset].columns:
        values = np.full(len(predicted), np.nan)
        values[measured.rows] = measured.values
        columns.insert(
            0, MetricArray(Metric(column, unit, "minimize", "hardware", free=True, cost_s=cost), values[:, None, None])
        )
    return columns


def quality_on_known_devices(table: Table, dataset: str, sources: Mapping[str, Floats], rows: Ints) -> dict[str, float]:
    """Spearman's correlation of predictions for each known device, as if only these architectures were measured on it.

    It is an estimate of the quality on the new device. Devices without a value of one of the architectures, or with few
    other values, are left out, and so is everything if there is one other device only.

    Args:
        table: The table.
        dataset: Its data set.
        sources: Latencies of the known devices by name, shape (num_architectures,).
        rows: The measured architectures, shape (num_measured,).
    """
    found = {}
    for name, values in sources.items():
        others = [column for other, column in sources.items() if other != name]
        rest = ~np.isnan(values)
        rest[rows] = False
        if not others or np.isnan(values[rows]).any() or rest.sum() < _MIN_REST:
            continue
        features = DeviceFeatures.of(table.datasets[dataset].space, np.stack(others, axis=1))
        predicted = predict_latencies(features, rows, values[rows])
        found[name] = rank_correlation(predicted[rest], values[rest]).estimate
    return found


@dataclass(frozen=True)
class AdaptedTable:
    """A table with the column that was predicted for a new device.

    Attributes:
        table: The table, as it is kept.
        quality: See ``quality_on_known_devices``.
    """

    table: Table
    quality: Mapping[str, float]


def choose_to_measure(
    table: Table, dataset: str, devices: Sequence[str] | None, column: str, count: int, seed: int
) -> Ints:
    """The architectures to measure on a new device, chosen by diversity (see ``choose_diverse``).

    Raises:
        InvalidInputError: Their number is out of range, the table has the column, or there is no other device.
    """
    _refuse_known(table, dataset, column, "name another column, or leave --choose out to use its values")
    if count < MIN_MEASURED:
        raise InvalidInputError(f"a prediction needs {MIN_MEASURED} measured architectures or more, not {count}")
    sources = sources_of(table, dataset, devices, column)
    features = DeviceFeatures.of(table.datasets[dataset].space, np.stack(list(sources.values()), axis=1))
    return choose_diverse(features, count, evaluated_rows(table, dataset), seed)


def _refuse_known(table: Table, dataset: str, column: str, remedy: str) -> None:
    if column in table.datasets[dataset].columns:
        raise InvalidInputError(f"{table.name}-{dataset} has a metric {column} already: {remedy}")


def evaluated_rows(table: Table, dataset: str) -> Ints:
    """Architectures of which the table has a result, ascending."""
    values = table.metrics(dataset, "search")[0].values
    return np.flatnonzero(~np.isnan(values).all(axis=(1, 2)))


def adapt_device(
    base: Table,
    dataset: str,
    column: str,
    file: Path | None = None,
    devices: Sequence[str] | None = None,
    cost_s: float | None = None,
    name: str | None = None,
    replace: bool = False,
) -> AdaptedTable:
    """Predict a device's column and keep the table with it.

    Args:
        base: The table with the columns of other devices.
        dataset: Its data set.
        column: Name of the new device's column.
        file: CSV with the measured values; None: those that the column has.
        devices: Columns of the other devices; None: see ``sources_of``.
        cost_s: Declared seconds of measuring.
        name: Name of the new table; None: made of the table's and the column's.
        replace: Take the place of another table of this name.

    Raises:
        InvalidInputError: Something cannot be used; nothing was written.
    """
    new_name = name or f"{base.name}-{column}"
    check_new_name(new_name, base, replace)
    if file is not None:
        _refuse_known(base, dataset, column, "leave FILE out to use its values")
    sources = sources_of(base, dataset, devices, column)
    if file is None:
        measured = stored_measurements(base, dataset, column, cost_s)
    else:
        measured = read_measurements(file, base, dataset, column, cost_s)
    features = DeviceFeatures.of(base.datasets[dataset].space, np.stack(list(sources.values()), axis=1))
    columns = adapted_columns(base, dataset, column, measured, features)
    text = f"{column} predicted from {len(measured.rows)} measurements and {', '.join(sources)}"
    table = with_columns(base, dataset, columns, new_name, text, measured.sha256)
    quality = quality_on_known_devices(base, dataset, sources, measured.rows)
    return AdaptedTable(register_table(table, replace=replace), quality)
