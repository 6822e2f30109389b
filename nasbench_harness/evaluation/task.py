"""A task: one data set of a table. A protocol gives its view."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nasbench_harness.errors import InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation.oracle import Oracle
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import TEST, VAL, Scores, noiseless_values, score_view
from nasbench_harness.evaluation.task_names import all_task_names
from nasbench_harness.evaluation.view import TaskView, ViewFactory, check_values, view_factory
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.location import cache_folder
from nasbench_harness.tables.registry import (
    TASK_GROUP,
    load_table,
    refuse_damaged,
    split_task_name,
    trained_task_names,
)
from nasbench_harness.tables.restricted import MARK, restricted_table
from nasbench_harness.tables.table import Provenance, Table

_RESTRICTION = re.compile(rf"{MARK}[\w.+-]+(,[\w.+-]+)*", re.ASCII)


class Trained(NamedTuple):
    """Stand-in for the arrays of a table that fills itself.

    Attributes:
        oracle: Trains architectures on demand.
        scores: Scores of the architectures trained so far.
    """

    oracle: Oracle
    scores: Scores


@dataclass(frozen=True, eq=False)
class Task:
    """A table's data set, as data. ``under`` makes it ready to be searched.

    Attributes:
        name: E.g. ``nb201-cifar100``.
        title: As papers print it, e.g. ``CIFAR-100``.
        table: The table.
        dataset: The table's name of the data set.
        trained: Oracle and scores of a task that trains on demand; None if the table answers.
    """

    name: str
    title: str
    table: Table
    dataset: str
    trained: Trained | None = None
    _views: dict[Hashable, ViewFactory] = field(default_factory=dict, init=False, repr=False)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.table.datasets[self.dataset].space

    @property
    def provenance(self) -> Provenance:
        """Source of the data."""
        return self.table.provenance

    @property
    def has_cost(self) -> bool:
        """Whether the table stores training times, so that there is a simulated clock."""
        return bool(self.table.metrics(self.dataset, "cost"))

    @cached_property
    def scores(self) -> Scores:
        """Scores of runs: ``val``, and ``test`` if the table has it, each at its highest fidelity.

        Raises:
            TableError: A metric has no value, or one that cannot be averaged.
        """
        if self.trained is not None:
            return self.trained.scores
        search, tests = (self.table.metrics(self.dataset, role)[:1] for role in ("search", "test"))
        named = dict(zip((VAL, TEST), (*search, *tests), strict=False))
        for column in named.values():
            check_values(self.name, column)
        return {name: score_view(column) for name, column in named.items()}

    def query(self, architecture: int) -> dict[str, float]:
        """Noiseless values of one architecture: ``val``, and ``test`` if the task has it.

        These are the values that runs are scored by, in the metric's unit. A task without a table trains the
        architecture first. Strategies must not call this: ``strategies check`` reports those that do.

        Args:
            architecture: Index of the architecture.

        Returns:
            Mean over the replicates at the highest fidelity, by score; NaN if the table has no value.

        Raises:
            InvalidInputError: The architecture is outside the space.

        >>> sorted(load_task("graph-cora").query(0))
        ['test', 'val']
        """
        values = noiseless_values(self.name, self.scores, architecture)
        if self.trained is None:
            return values
        self.trained.oracle.prepare(np.array([architecture]))
        return noiseless_values(self.name, self.scores, architecture)

    def under(self, protocol: Protocol) -> TaskView:
        """The task as a protocol shows it.

        Raises:
            InvalidInputError: The table has several fidelities and the protocol names none of them, or objectives or
                constraints do not fit.
            TableError: Its metrics do not fit together.
        """
        protocol = protocol.of_task(self.name)
        key = (protocol.fidelity, protocol.objectives, protocol.constraints)
        if key not in self._views:
            self._views[key] = view_factory(self, protocol)
        return self._views[key](protocol)

    def problem(self, protocol: Protocol) -> Problem:
        """The search view under a protocol."""
        return self.under(protocol).problem()


def load_task(name: str) -> Task:
    """Load a task by name, converting its table on first use.

    Args:
        name: E.g. ``nb201-cifar100``, or ``nb201-cifar100@without=none,skip_connect``: the architectures that have
            none of these choices.

    Raises:
        UnknownNameError: There is no such task.
        TableError: The table's source or cache is damaged.

    Example:
        >>> load_task("nb201-cifar100").space.num_architectures
        15625
    """
    task = open_named_task(name)
    _ = task.scores  # damage shows now, not after the runs
    return task


def open_task(name: str, digest: str) -> Task:
    """Open a task in the process of its runs; no value that runs are scored by is read.

    Args:
        name: The task.
        digest: Digest of its table when the study was planned.

    Raises:
        UnknownNameError: There is no such task.
        TableError: Its table differs from the study's, or is damaged.
    """
    task = open_named_task(name)
    if task.table.digest != digest:
        load_table.cache_clear()  # it may have been imported again since this process opened it
        task = open_named_task(name)
    if task.table.digest != digest:
        raise TableError(
            f"task {name}: the table here has the digest {task.table.digest[:12]}, the study's has {digest[:12]}: "
            "import the study's table here, or repeat the command after the import has ended"
        )
    return task


def load_table_task(name: str, fidelity: int | None = None) -> TaskView:
    """Load a task that has a table, under the default protocol at a fidelity; by default the last one.

    Raises:
        UnknownNameError: There is no such task.
        InvalidInputError: It has no table, or not this fidelity.
        TableError: The table's source or cache is damaged.
    """
    check_task_name(name)
    if name in trained_task_names():
        raise InvalidInputError(f"task {name} has no table: its architectures are trained on demand")
    task = load_task(name)
    if fidelity is None:
        fidelity = next(reversed(task.table.datasets[task.dataset].fidelities), None)
    return task.under(Protocol(fidelity=fidelity))


def check_task_name(name: str) -> None:
    """Refuse text that names no task; the choices that are left out are checked when it is loaded.

    Raises:
        UnknownNameError: There is no such task.
        TableError: It may be one of a table that is damaged.
        InvalidInputError: The text after ``@`` is not written as it must be, or the task has no table.
    """
    whole, at, _ = name.partition("@")
    if whole not in all_task_names():
        refuse_damaged(whole)
        several = [one for one in all_task_names() if one.startswith(f"{whole}-") or fnmatchcase(one, whole)]
        if several:
            raise InvalidInputError(f"{whole} is no task: write those you want, with commas: {','.join(several)}")
        raise UnknownNameError("task", whole, all_task_names())
    if not at:
        return
    if whole in trained_task_names():
        raise InvalidInputError(f"task {name}: only a task with a table can leave choices out")
    if not _RESTRICTION.fullmatch(name[len(whole) :]):
        raise InvalidInputError(f"task {name}: write {whole}{MARK}choice, or several choices with commas between them")


def open_named_task(name: str) -> Task:
    """Open a task by name; no value that runs are scored by is read.

    Raises:
        UnknownNameError: There is no such task.
        TableError: The table's source or cache is damaged.
    """
    if name in trained_task_names():
        return _registered_task(name, cache_folder())
    check_task_name(name)
    whole, _, without = name.partition(MARK)
    table_name, dataset = split_task_name(whole)
    table = load_table(table_name)
    return _task_of(table.digest, table.folder, table_name, dataset, without)


@cache
def _registered_task(name: str, cache: Path) -> Task:  # noqa: ARG001 - part of the key: it keeps what was trained
    (entry,) = entry_points(group=TASK_GROUP, name=name)
    task: Task = entry.load()()
    return task


@cache
def _task_of(digest: str, folder: Path | None, table_name: str, dataset: str, without: str) -> Task:  # noqa: ARG001 - parts of the key
    """The task, made once for each content of its table and each folder."""
    table = load_table(table_name)
    if not without:
        return _task_on(table, dataset)
    return _task_on(restricted_table(table, dataset, without.split(",")), f"{dataset}{MARK}{without}")


def restricted_task(table: Table, dataset: str, without: str) -> Task:
    """Task on the architectures of a data set that have none of some choices.

    Args:
        table: The table.
        dataset: Its data set.
        without: Names of the choices, with commas between them, in the order of the space.

    Raises:
        InvalidInputError: They cannot be left out, or stand in another order.
    """
    return make_task(restricted_table(table, dataset, without.split(",")), f"{dataset}{MARK}{without}")


def make_task(table: Table, dataset: str) -> Task:
    """Task on one data set of a table: its first search metric is the objective.

    Raises:
        UnknownNameError: The table has no such data set.
        InvalidInputError: The data set has no search metric.
        TableError: A metric that runs are scored by has no value, or one that cannot be averaged.
    """
    task = _task_on(table, dataset)
    _ = task.scores
    return task


def _task_on(table: Table, dataset: str) -> Task:
    name = f"{table.name}-{dataset}"
    if dataset not in table.datasets:
        raise UnknownNameError("data set", dataset, table.datasets, f"table {table.name}")
    if not table.metrics(dataset, "search"):
        raise InvalidInputError(f"task {name} has no metric with the role search")
    return Task(name, table.datasets[dataset].title, table, dataset)
