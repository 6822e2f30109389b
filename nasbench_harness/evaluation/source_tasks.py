"""The sources of a task under a protocol: found by name, checked, and bound to the runs that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.sources import SourceReads, Sources, SourceTask
from nasbench_harness.evaluation.task import Task, open_named_task
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.tables.restricted import MARK

# Limits of what is no copy: other data sets agree by at most .98 and share few values of a row by chance.
_MOST_COMMON = 0.5  # share of architectures for which a value of the source is one of the task, beyond chance
_MOST_AGREEMENT = 0.9999  # Spearman's correlation of means over replicates


def source_views(view: TaskView) -> list[TaskView]:
    """The sources of a task under its protocol; a source of the task's own name is left out.

    Raises:
        UnknownNameError: There is no such task.
        InvalidInputError: A source has no table, another space, the task's own data, or no cost that could be charged.
        TableError: A source's table is damaged.
    """
    found = []
    for name in view.sources:
        source = open_named_task(name)
        if source.trained is not None:
            raise InvalidInputError(
                f"source {name} has no table: its architectures are trained on demand; leave it out"
            )
        _check_space(view, source)
        _check_data(view, source)
        shown = source.under(_as_source(source, view.protocol))
        if view.protocol.source_cost == "charged" and view.has_cost and not shown.has_cost:
            raise InvalidInputError(
                f"source {name} has no training times to charge, and task {view.name} has: use source_cost=reported, "
                "or leave the source out"
            )
        found.append(shown)
    return found


def source_digests(task: Task, protocol: Protocol) -> dict[str, str]:
    """Digest of the table of each source of a task, by name; empty without sources."""
    names = [name for name in protocol.sources if name != task.name]
    return {name: open_named_task(name).table.digest for name in names}


def answers_version(view: TaskView) -> int:
    """Version of the answers of a task and its sources (see ``TaskView.answers_version``)."""
    of_sources = [source.oracle.version for source in source_views(view)] if view.protocol.noise != "mean" else []
    return max([view.answers_version, *of_sources])


def with_sources(problem: Problem, view: TaskView, study_seed: int, run_seeds: Ints) -> Problem:
    """The problem with the sources of the protocol, bound to these runs.

    Args:
        problem: The search view.
        view: The task under the protocol.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).

    Raises:
        InvalidInputError: A source cannot be used (see ``source_views``), or has rows without the replicate that the
            protocol names.
    """
    protocol, size = view.protocol, view.space.num_architectures
    tasks = [
        SourceTask(
            source.name,
            source.oracle,
            source.measures,
            Noise(protocol, source.oracle, size, study_seed, run_seeds, source.name),
            max(0, len(source.fidelities) - 1),
        )
        for source in source_views(view)
    ]
    end_s = protocol.simulated_seconds if protocol.source_cost == "charged" else None
    answers_last = protocol.overrun == "count"
    reads = SourceReads(tasks, protocol.source_evaluations or 0, len(run_seeds), size, end_s, answers_last)
    return replace(problem, sources=Sources(reads))


def check_sources(views: Iterable[TaskView]) -> None:
    """Refuse tasks whose protocol names unusable sources, values compared as well; called before any run.

    Raises:
        InvalidInputError: A source cannot be used (see ``source_views``), or holds the values of the task itself.
    """
    for view in views:
        for source in source_views(view):
            if likeness := _likeness(view.search.values, source.search.values):
                raise InvalidInputError(f"source {source.name} {likeness} task {view.name}: leave it out")


def same_data(first: str, second: str) -> str:
    """How two tasks hold the same data, as a verb and its object; empty if they do not.

    Tasks of different search spaces have different data. The choices that a task leaves out make no difference.

    Args:
        first: Name of a task.
        second: Name of the other task.

    Raises:
        UnknownNameError: There is no such task.
        TableError: A table is damaged.

    >>> same_data("nb201-cifar10@without=none", "nb201-cifar10")
    'shares its architectures with nb201-cifar10'
    """
    one, other = (open_named_task(name.partition(MARK)[0]) for name in (first, second))
    if one.name == other.name:
        return f"shares its architectures with {second}"
    if _architectures(one) != _architectures(other):
        return ""
    if common := sorted(_data_of(one) & _data_of(other)):
        return f"is the data of {second} under another name ({', '.join(common)})"
    ours, theirs = (task.table.metrics(task.dataset, "search")[0].values for task in (one, other))
    return f"{likeness} {second}" if (likeness := _likeness(ours, theirs)) else ""


def _likeness(ours: Floats, theirs: Floats) -> str:
    """How the values of a source repeat those of a task; empty if they do not.

    Args:
        ours: Values of the task, shape (num_architectures, num_replicates, num_fidelities).
        theirs: Values of the source.
    """
    from scipy.stats import rankdata  # half a second, and only sources need it

    if np.array_equal(np.sort(ours, axis=None), np.sort(theirs, axis=None), equal_nan=True):
        return "holds, in this or another order, the very values of"
    ours, theirs = ours[:, :, -1], theirs[:, :, -1]
    common = _share_in_common(ours, theirs)
    # Coarse values, e.g. whole percents, agree by chance as well: as often as those of other architectures do.
    by_chance = _share_in_common(ours, np.roll(theirs, len(theirs) // 2, axis=0))
    if common - by_chance > _MOST_COMMON * (1 - by_chance):
        return f"has values in common, for {common:.0%} of the architectures, with"
    is_known = ~(np.isnan(ours).all(axis=1) | np.isnan(theirs).all(axis=1))
    if not is_known.any():
        return ""
    one, other = (rankdata(np.nanmean(values[is_known], axis=1)) for values in (ours, theirs))
    if np.ptp(one) > 0 and np.ptp(other) > 0 and np.corrcoef(one, other)[0, 1] > _MOST_AGREEMENT:
        return "orders the architectures exactly like"
    return ""


def _share_in_common(ours: Floats, theirs: Floats) -> float:
    """Share of the rows in which a value of one is a value of the other, both of shape (num_rows, num_replicates)."""
    return float((ours[:, :, None] == theirs[:, None, :]).any(axis=(1, 2)).mean())


def _as_source(source: Task, protocol: Protocol) -> Protocol:
    """The protocol under which a source is read: without a choice of fidelities that its table does not have."""
    fidelity = protocol.fidelity_of(source.name)
    if isinstance(fidelity, str) and len(source.table.datasets[source.dataset].fidelities) < 2:
        fidelity = None
    return replace(
        protocol,
        fidelity=fidelity,
        continuation="checkpoint",
        constraints=(),
        sources=(),
        source_evaluations=None,
        source_cost="charged",
    )


def _architectures(task: Task) -> dict[str, Any]:
    """Description of a task's space without the words that tables of the same architectures choose freely."""
    return _without_words(task.space.description())


def _without_words(description: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_words(value) if isinstance(value, Mapping) else value  # a smaller space holds its whole one
        for key, value in description.items()
        if key not in ("name", "separator")
    }


def _check_space(view: TaskView, source: Task) -> None:
    if _architectures(source) != _architectures(view.task):
        raise InvalidInputError(
            f"source {source.name} has another search space ({source.space.num_architectures:,} architectures) than "
            f"task {view.name} ({view.space.num_architectures:,}): leave one of them out"
        )


def _check_data(view: TaskView, source: Task) -> None:
    """Refuse a source whose table says that it was trained on the task's own data."""
    common = sorted(_data_of(view.task) & _data_of(source))
    if common:
        raise InvalidInputError(
            f"source {source.name} is the data of task {view.name} under another name ({', '.join(common)}): leave it "
            "out"
        )


def _data_of(task: Task) -> frozenset[str]:
    """Names of the data that a task's architectures were trained on."""
    dataset = task.table.datasets[task.dataset]
    return frozenset(dataset.data) or frozenset([task.dataset.partition(MARK)[0]])
