"""The table: metric arrays over a search space, with their provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.spaces import SearchSpace

Role = Literal["search", "test", "cost", "hardware", "proxy"]
# Names of roles in files of older versions, and in the metadata of cached tables.
OLD_ROLES: Mapping[str, Role] = {"report": "test"}
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """Meaning of one metric.

    Attributes:
        name: E.g. ``val_accuracy``; units other than percent stand in names.
        unit: Unit of the values.
        direction: Whether smaller or larger is better.
        role: ``search`` is visible to strategies; ``test`` is sealed from them; ``cost`` drives the simulated clock.
        resolution: Grid step of one value, None if values are on no grid.
        free: Readable by strategies without a query.
        cost_s: Declared real seconds that the values took, e.g. to measure a device; reports name them. None if nothing
            is declared.
    """

    name: str
    unit: str
    direction: Direction
    role: Role
    resolution: float | None = None
    free: bool = False
    cost_s: float | None = None

    @property
    def difference_unit(self) -> str:
        """Unit of differences, e.g. of regret: percentage points for percents, else the metric's unit."""
        return "pp" if self.unit == "%" else self.unit


@dataclass(frozen=True)
class MetricArray:
    """A metric on one data set: values (num_architectures, num_replicates, num_fidelities), NaN if absent."""

    metric: Metric
    values: Floats


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        title: The name that papers print.
        space: Search space of the rows.
        columns: Metrics by name.
        fidelities: Epochs along the fidelity axis, ascending; columns of one fidelity hold values of the last. Empty
            if the source does not say.
        replicate_seeds: Training seed of each replicate. Empty if the source does not say.
        default_fidelity: Epochs that are read if a protocol names none; None: a protocol must name them.
        data: Names of the data that the architectures were trained on, e.g. ``cifar10``. Empty: the name of the data
            set says it. Data sets with a common name are no sources of each other.
        notes: Lines that every reader of the numbers should know; ``tables info`` prints them.
    """

    title: str
    space: SearchSpace
    columns: Mapping[str, MetricArray]
    fidelities: tuple[int, ...] = ()
    replicate_seeds: tuple[int, ...] = ()
    default_fidelity: int | None = None
    data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Origin = Literal["", "official"]


@dataclass(frozen=True)
class Provenance:
    """Source of a table; stands in every result.

    Attributes:
        source: The source in words, for people only.
        version: Version of the source.
        license: License of the data.
        sha256: Digests of the files that were read, by name.
        origin: ``official`` if the values were read from an official archive; decisions use this field, not the words.
    """

    source: str
    version: str
    license: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = ""

    @property
    def described(self) -> str:
        """Source and version in words."""
        return f"{self.source}, version {self.version}" if self.version else self.source


@dataclass(frozen=True)
class Table:
    """Metric arrays on every data set, and their provenance.

    Attributes:
        digest: sha256 of the metadata, which holds the sha256 of every array; identifies the data.
        folder: Cache folder of the arrays; None for a table that lives in memory only.
    """

    name: str
    datasets: Mapping[str, Dataset]
    provenance: Provenance
    digest: str = ""
    folder: Path | None = None

    def column(self, dataset: str, metric: str) -> MetricArray:
        """One metric on one data set.

        Raises:
            UnknownNameError: The table has no such data set or metric.
        """
        if dataset not in self.datasets:
            raise UnknownNameError("data set", dataset, self.datasets, f"table {self.name}")
        columns = self.datasets[dataset].columns
        if metric not in columns:
            raise UnknownNameError("metric", metric, columns, f"{self.name}-{dataset}")
        return columns[metric]

    def index_of(self, dataset: str, architecture: str) -> int:
        """Index of an architecture that is named as its space writes it.

        Raises:
            UnknownNameError: The table has no such data set.
            InvalidInputError: The text names no architecture, or one of which the table has no result.
        """
        if dataset not in self.datasets:
            raise UnknownNameError("data set", dataset, self.datasets, f"table {self.name}")
        index = self.datasets[dataset].space.from_string(architecture)
        if all(np.isnan(column.values[index]).all() for column in self.metrics(dataset, "search")):
            raise InvalidInputError(f"{self.name}-{dataset} has no result of the architecture {architecture}")
        return index

    def metrics(self, dataset: str, role: Role) -> list[MetricArray]:
        """Columns of one data set with this role, in the table's order."""
        return [column for column in self.datasets[dataset].columns.values() if column.metric.role == role]
