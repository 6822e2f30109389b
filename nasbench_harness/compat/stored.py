"""The data sets of a table under the names of the official API: schedule, training set, evaluation set."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.restricted import MARK
from nasbench_harness.tables.table import Dataset, MetricArray, Table

# Data sets as tables name them -> as the official API names them.
_OFFICIAL = {
    "cifar10": "cifar10-valid",
    "cifar10-valid": "cifar10-valid",
    "cifar100": "cifar100",
    "imagenet16-120": "ImageNet16-120",
}
_ORDER = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
# Columns of the networks that were trained on training and validation set together begin so.
_TOGETHER = {"cifar10-valid": ("cifar10", "trainval_")}
# Evaluation sets -> first word of the metrics' names.
_SETS = {"x-valid": "val", "x-test": "test", "ori-test": "valtest"}
_SETS_OF_CIFAR10 = {"x-valid": "val", "ori-test": "test"}
_WITH_EPOCHS = re.compile(r"(.+)-(\d{1,3})")
# The schedule of a table that does not say how many epochs it has.
UNNAMED_SCHEDULE = "full"
_FIRST_SEEDS = (777, 888, 999)


class MissingResultError(InvalidInputError, KeyError):
    """The table has no such result: no such schedule, data set, evaluation set, epoch or architecture.

    The official packages raise a ValueError for some of these and a KeyError for others; this is both.
    """

    __str__ = Exception.__str__  # a KeyError would print the message in quotes


@dataclass(frozen=True)
class Training:
    """One training set under one schedule: the trials of every architecture.

    Attributes:
        name: As the official API names it, e.g. ``cifar10-valid``.
        schedule: Its epochs as text, e.g. ``200``.
        dataset: Data set of the table.
        prefix: Text before the names of its metrics.
        sets: Evaluation sets that the table has -> first word of their metrics.
        seeds: Training seed of each replicate, shape (num_replicates,).
    """

    name: str
    schedule: str
    dataset: Dataset
    prefix: str
    sets: Mapping[str, str]
    seeds: tuple[int, ...]

    @property
    def num_epochs(self) -> int:
        """Epochs of the schedule.

        Raises:
            MissingResultError: The table does not say.
        """
        if not self.dataset.fidelities:
            raise MissingResultError(f"the table does not say how many epochs {self.name} was trained for")
        return self.dataset.fidelities[-1]

    @cached_property
    def _measured(self) -> list[MetricArray]:
        names = [f"{self.prefix}{word}_accuracy" for word in ("train", *self.sets.values())]
        found = [self.dataset.columns[name] for name in names if name in self.dataset.columns]
        own = [column for column in self.dataset.columns.values() if column.metric.role == "search"]
        return found or own[:1]

    def has(self, word: str) -> bool:
        """Whether the table has any metric whose name begins with this word."""
        return any(f"{self.prefix}{word}_{kind}" in self.dataset.columns for kind in ("accuracy", "loss", "cost_s"))

    def replicates(self, row: int) -> list[int]:
        """Replicates that exist of an architecture, by ascending training seed."""
        exists: Bools = np.zeros(len(self.seeds), dtype=bool)
        for column in self._measured:
            known = ~np.isnan(column.values[row]).all(axis=1)
            exists |= known if len(known) == len(self.seeds) else known[0]
        return sorted(np.flatnonzero(exists).tolist(), key=lambda position: self.seeds[position])

    def evaluated(self) -> Bools:
        """Which architectures have any trial, shape (num_architectures,)."""
        exists: Bools = np.zeros(self.dataset.space.num_architectures, dtype=bool)
        for column in self._measured:
            exists |= ~np.isnan(column.values).all(axis=(1, 2))
        return exists

    def position(self, iepoch: int | None) -> int | None:
        """Place of an epoch on the fidelity axis; None: its values are not stored.

        Args:
            iepoch: Epoch, counted from 0; None: the last.

        Raises:
            MissingResultError: The schedule has no such epoch.
        """
        if iepoch is None:
            return max(len(self.dataset.fidelities), 1) - 1
        if not 0 <= iepoch < self.num_epochs:
            raise MissingResultError(f"{self.name}, schedule {self.schedule}: no epoch {iepoch} (counted from 0)")
        fidelities = self.dataset.fidelities
        return fidelities.index(iepoch + 1) if iepoch + 1 in fidelities else None

    def value(self, metric: str, row: int, replicate: int, position: int | None = None) -> float | None:
        """One number, None if the table does not have it.

        Args:
            metric: Name without the prefix.
            row: Index of the architecture.
            replicate: Which replicate.
            position: Place on the fidelity axis; None: the last.
        """
        column = self.dataset.columns.get(self.prefix + metric)
        if column is None:
            return None
        values: Floats = column.values
        last = max(len(self.dataset.fidelities), 1) - 1
        place = last if position is None else position
        if values.shape[2] == 1:
            if place != last:
                return None
            place = 0
        if values.shape[1] not in (1, len(self.seeds)):
            return None  # joined later: nobody knows which trainings its replicates belong to
        found = float(values[row, replicate if values.shape[1] > 1 else 0, place])
        return None if math.isnan(found) else found


def trainings_of(table: Table) -> dict[str, dict[str, Training]]:
    """Schedule -> official name of the training set -> its trials.

    A data set ``cifar100-12`` of a table is ``cifar100`` under the schedule ``12``. If the name does not end with its
    epochs, the schedule is the last epoch that the table stores. Data sets with other names keep them.

    Raises:
        InvalidInputError: Two data sets of the table have the same official name and schedule.
    """
    found: dict[str, dict[str, Training]] = {}
    for key, dataset in table.datasets.items():
        base, schedule = _split(key.partition(MARK)[0], dataset)  # a smaller space has the same trainings
        name = _OFFICIAL.get(base, base)
        sets = _SETS_OF_CIFAR10 if name == "cifar10-valid" else _SETS
        for official, prefix in ((name, ""), _TOGETHER.get(name, ("", ""))):
            known = {part: word for part, word in sets.items() if f"{prefix}{word}_accuracy" in dataset.columns}
            if not official or (prefix and not known):
                continue
            trainings = found.setdefault(schedule, {})
            if official in trainings:
                raise InvalidInputError(
                    f"table {table.name} has two data sets that the official API calls {official}, schedule {schedule}"
                )
            seeds = _seeds(dataset)
            trainings[official] = Training(official, schedule, dataset, prefix, known, seeds)
    places = {name: position for position, name in enumerate(_ORDER)}
    return {
        schedule: dict(sorted(trainings.items(), key=lambda item: places.get(item[0], len(places))))
        for schedule, trainings in sorted(found.items(), key=lambda item: (len(item[0]), item[0]))
    }


def _split(key: str, dataset: Dataset) -> tuple[str, str]:
    epochs = dataset.fidelities[-1] if dataset.fidelities else None
    match = None if key in _OFFICIAL else _WITH_EPOCHS.fullmatch(key)
    if match is not None and (match[1] in _OFFICIAL or int(match[2]) == epochs):
        return match[1], match[2]
    return key, UNNAMED_SCHEDULE if epochs is None else str(epochs)


def _seeds(dataset: Dataset) -> tuple[int, ...]:
    """Training seeds; if the table does not say, up to three replicates are called as in NAS-Bench-201."""
    if dataset.replicate_seeds:
        return dataset.replicate_seeds
    num_replicates = next(
        column.values.shape[1] for column in dataset.columns.values() if column.metric.role == "search"
    )
    return _FIRST_SEEDS[:num_replicates] if num_replicates <= len(_FIRST_SEEDS) else tuple(range(num_replicates))
