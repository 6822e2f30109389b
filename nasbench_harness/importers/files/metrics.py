"""Metric arrays of a data set from the columns of a file."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.importers.files.reader import Content, TableFile
from nasbench_harness.importers.files.spec import MetricSpec
from nasbench_harness.tables.table import Metric, MetricArray

# Columns of a metric: of each epoch one for each replicate; None is the only epoch, or the last.
Layout = Mapping[int | None, tuple[str, ...]]

_OFF_GRID = 0.01  # grid steps; a printed number is this close to its grid
_LARGEST_STEP = 2**52


def layout_of(metric: MetricSpec, file: TableFile) -> Layout:
    """Columns of a metric, with those that a prefix stands for.

    Raises:
        InvalidInputError: No column, or not the same epochs, have the prefixes.
    """
    if metric.columns:
        return metric.columns
    found = [_epochs(prefix, file) for prefix in metric.prefix]
    if any(set(epochs) != set(found[0]) for epochs in found):
        counts = ", ".join(f"{prefix}: {len(epochs)}" for prefix, epochs in zip(metric.prefix, found, strict=True))
        raise InvalidInputError(f"{file.path}: the prefixes have columns of different epochs ({counts})")
    return {epoch: tuple(epochs[epoch] for epochs in found) for epoch in sorted(found[0])}


def fidelities_of(task: str, given: list[int], layouts: Mapping[str, Layout]) -> tuple[int, ...]:
    """Epochs of a data set: those that were given, else those of its columns.

    Raises:
        InvalidInputError: A metric has columns of other epochs.
    """
    epochs = sorted({epoch for layout in layouts.values() for epoch in layout if epoch is not None})
    fidelities = given or epochs
    for name, layout in layouts.items():
        own = sorted(epoch for epoch in layout if epoch is not None)
        if own and own != fidelities and own != fidelities[-1:]:
            missing = sorted(set(fidelities) - set(own)) or sorted(set(own) - set(fidelities))
            raise InvalidInputError(
                f"{task}: {name} has columns of {len(own)} epochs, but the data set has {len(fidelities)} "
                f"(see epoch {missing[0]}): give a column for every epoch, or one for the last"
            )
    return tuple(fidelities)


def column_of(
    name: str,
    spec: MetricSpec,
    layout: Layout,
    content: Content,
    rows: Ints,
    num_architectures: int,
    fidelities: tuple[int, ...],
) -> MetricArray:
    """A metric's array (num_architectures, num_replicates, num_fidelities), NaN if the file has no row.

    Args:
        name: Name of the metric.
        spec: Its specification.
        layout: Its columns.
        content: The file.
        rows: Architecture of each row of the file, (num_rows,).
        num_architectures: Size of the space.
        fidelities: Epochs of the data set.

    Raises:
        InvalidInputError: A cell is empty, off the resolution or no percentage, or a cost is negative or falls; with
            its place.
    """
    order = sorted(layout, key=lambda epoch: epoch or 0)
    in_file = np.stack([np.stack([content.numbers[c] for c in layout[e]], axis=1) for e in order], axis=2)
    if not spec.may_be_missing:
        _refuse_gaps(layout, order, content, in_file)
    if spec.missing_value is not None:
        in_file[in_file == spec.missing_value] = np.nan
    if spec.scale != 1:
        in_file = in_file * spec.scale.numerator / spec.scale.denominator
    for position, epoch in enumerate(order):
        for replicate, column in enumerate(layout[epoch]):
            _check(spec, content, column, in_file[:, replicate, position])
    if spec.resolution is not None:
        in_file = _on_grid(in_file, spec.resolution)
    if spec.role == "cost":
        _check_cost(content, layout, order, in_file)
    if spec.unit == "%" and spec.role in ("search", "test"):
        _check_percent(content, layout, order, in_file, spec.direction == "maximize")
        if spec.direction == "maximize" and 0 < np.nanmax(in_file, initial=0.0) <= 1:
            raise InvalidInputError(
                f"{content.path}: no value of {name} is above 1 %: if the file holds fractions, say scale = 100"
            )
    if spec.proportional_to_epochs and len(fidelities) > 1:
        in_file = in_file * (np.array(fidelities) / fidelities[-1])
    values = np.full((num_architectures, *in_file.shape[1:]), np.nan)
    values[rows] = in_file
    resolution = None if spec.resolution is None else float(spec.resolution)
    return MetricArray(Metric(name, spec.unit, spec.direction, spec.role, resolution, spec.free), values)


def check_axes(task: str, columns: Mapping[str, MetricArray], fidelities: tuple[int, ...]) -> None:
    """Raise InvalidInputError unless search and cost metrics go together on every fidelity and replicate."""
    searched = [column for column in columns.values() if column.metric.role == "search"]
    for column in columns.values():
        if column.metric.role in ("search", "cost") and column.values.shape[2] < len(fidelities):
            advice = ", or proportional_to_epochs = true" if column.metric.role == "cost" else ""
            raise InvalidInputError(
                f"{task}: {column.metric.name} has one value where the data set has {len(fidelities)} fidelities: "
                f"give the columns of each{advice}"
            )
        if column.metric.role == "cost" and searched:
            if column.values.shape[1] not in (1, searched[0].values.shape[1]):
                raise InvalidInputError(
                    f"{task}: {column.metric.name} has {column.values.shape[1]} replicates where "
                    f"{searched[0].metric.name} has {searched[0].values.shape[1]}: give one column, or as many"
                )
            unpaid = np.isnan(column.values) & ~np.isnan(searched[0].values)
            if unpaid.any():
                raise InvalidInputError(
                    f"{task}: {column.metric.name} is missing for {unpaid.any(axis=(1, 2)).sum():,} architectures "
                    f"that have {searched[0].metric.name}"
                )


def _epochs(prefix: str, file: TableFile) -> dict[int, str]:
    found: dict[int, str] = {}
    for column in file.header:
        digits = column[len(prefix) :]
        if not column.startswith(prefix) or not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            continue
        if int(digits) in found:
            raise InvalidInputError(f"{file.path}: {found[int(digits)]!r} and {column!r} are the same epoch")
        if int(digits) == 0:
            raise InvalidInputError(f"{file.path}: column {column!r} would be epoch 0: epochs count from 1")
        found[int(digits)] = column
    if not found:
        raise InvalidInputError(f"{file.path} has no columns {prefix!r} + epoch, such as {prefix + '1'!r}")
    return found


def _refuse_gaps(layout: Layout, order: list[int | None], content: Content, in_file: Floats) -> None:
    for position, epoch in enumerate(order):
        for replicate, column in enumerate(layout[epoch]):
            is_empty = np.isnan(in_file[:, replicate, position])
            content.refuse(is_empty, column, "is empty; where values may be missing say may_be_missing = true")


def _check(spec: MetricSpec, content: Content, column: str, values: Floats) -> None:
    if spec.resolution is None:
        return
    steps = values * spec.resolution.denominator / spec.resolution.numerator
    with np.errstate(invalid="ignore"):
        is_off = np.abs(steps - np.rint(steps)) > _OFF_GRID
        is_off |= np.abs(steps) > _LARGEST_STEP
    content.refuse(is_off, column, lambda row: f"{values[row]:.12g} is no multiple of the resolution {spec.resolution}")


def _check_percent(
    content: Content, layout: Layout, order: list[int | None], values: Floats, is_accuracy: bool
) -> None:
    """Refuse numbers that are no percentages; errors, unlike accuracies, may be above 100 %."""
    for position, epoch in enumerate(order):
        for replicate, column in enumerate(layout[epoch]):
            shares = values[:, replicate, position]
            is_outside = (shares < 0) | (shares > (100 if is_accuracy else np.inf))
            content.refuse(is_outside, column, partial(_no_percentage, shares, is_accuracy))


def _no_percentage(values: Floats, is_accuracy: bool, row: int) -> str:
    return (
        f"{values[row]:.12g} is no percentage, {'0 … 100' if is_accuracy else 'at least 0'}: say another unit if the "
        "metric is not in percent, or missing_value if this number means missing"
    )


def _on_grid(values: Floats, step: Fraction) -> Floats:
    grid: Floats = np.rint(values * step.denominator / step.numerator) * step.numerator / step.denominator
    return grid


def _check_cost(content: Content, layout: Layout, order: list[int | None], values: Floats) -> None:
    for replicate, names in enumerate(zip(*(layout[epoch] for epoch in order), strict=True)):
        highest = np.zeros(len(values))
        for position, name in enumerate(names):
            costs = values[:, replicate, position]
            content.refuse(costs < 0, name, "a cost cannot be negative")
            content.refuse(costs < highest, name, "is less than at an earlier epoch: costs are cumulative")
            highest = np.fmax(highest, costs)  # a gap hides no fall
