"""Answers of ``get_more_info`` and ``simulate_train_eval``, made of an architecture's results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from nasbench_harness.compat.results import ArchitectureResults
from nasbench_harness.compat.stored import MissingResultError
from nasbench_harness.errors import InvalidInputError

# What scripts may ask simulate_train_eval for -> the training set that answers.
_SIMULATED = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "ImageNet16-120": "ImageNet16-120"}
_EVALUATED = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
_EVALUATED_CIFAR10 = {"valid": "x-valid", "test": "ori-test"}


def more_info(
    results: ArchitectureResults, dataset: str, iepoch: int | None, trial: bool | int
) -> dict[str, float | None]:
    """Losses, accuracies and seconds of an architecture; keys of sets that have no result are left out.

    Args:
        results: All results of the architecture under one schedule.
        dataset: Training set.
        iepoch: Epoch, counted from 0; None: the last.
        trial: Training seed, or False for means.

    Raises:
        MissingResultError: There is no result of training, or on cifar10-valid none of validation.
    """
    train = results.get_metrics(dataset, "train", iepoch, trial)
    info = _entries("train", train, train["iepoch"] + 1)
    for name, set_name in (_EVALUATED_CIFAR10 if dataset in ("cifar10", "cifar10-valid") else _EVALUATED).items():
        try:
            found = results.get_metrics(dataset, set_name, iepoch, trial)
        except MissingResultError:
            if (dataset, name) == ("cifar10-valid", "valid"):
                raise
            continue
        info |= _entries(name, found, train["iepoch"] + 1)
    return info


def _entries(name: str, info: Mapping[str, Any], num_epochs: int) -> dict[str, float | None]:
    seconds = info["all_time"]
    return {
        f"{name}-loss": info["loss"],
        f"{name}-accuracy": info["accuracy"],
        f"{name}-per-time": None if seconds is None else seconds / num_epochs,
        f"{name}-all-time": seconds,
    }


def training_set_of(dataset: str) -> str:
    """The training set that answers for a data set in ``simulate_train_eval``.

    Raises:
        InvalidInputError: There is none.

    >>> training_set_of("cifar10")
    'cifar10-valid'
    """
    if dataset not in _SIMULATED:
        raise InvalidInputError(f"Invalid dataset name : {dataset} vs {tuple(_SIMULATED)}")
    return _SIMULATED[dataset]


class SimulatedClock:
    """Counts the seconds of the trainings that a script simulates.

    Args:
        table: Name of the table, for messages.

    Attributes:
        used_time: Seconds so far.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._has_warned = False
        self.used_time: float = 0

    def charge(
        self, info: Mapping[str, float | None], trained: str, request: str, account_time: bool
    ) -> tuple[float, float]:
        """Validation accuracy, and the seconds of a training and its evaluation, which are counted if wanted.

        Args:
            info: Answer of ``more_info`` on the training set.
            trained: The training set.
            request: The data set, schedule and epoch of the script's request, for messages.
            account_time: Whether the seconds are counted.

        Raises:
            MissingResultError: The table has no validation accuracy, or no seconds of training.
        """
        accuracy, seconds = info.get("valid-accuracy"), info["train-all-time"]
        if accuracy is None:
            raise MissingResultError(
                f"table {self._table} has no validation accuracy of {request}; that on validation and test together "
                "is not used instead"
            )
        if seconds is None:
            raise MissingResultError(f"table {self._table} stores no seconds of training on {trained}")
        if info["valid-per-time"] is None and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"table {self._table} stores no seconds of evaluation: simulated time is that of training",
                stacklevel=4,  # the line of the script
            )
        seconds += info["valid-per-time"] or 0.0
        if account_time:
            self.used_time += seconds
        return accuracy, seconds
