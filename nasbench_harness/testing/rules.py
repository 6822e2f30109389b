"""Rules of protocols that a strategy must survive, with a task for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task, make_task
from nasbench_harness.tables.table import MetricArray

_EPOCHS = (1, 3, 9)
_NUM_TRAININGS = 20  # of a budget in seconds or epochs


def rules_to_survive(spec: ResolvedStrategy, task: Task) -> Iterator[tuple[Task, dict[str, Any]]]:
    """A task and fields of a protocol for each rule that may surprise a strategy.

    Args:
        spec: The strategy; several workers are left out if it is a generator.
        task: A task; a choice of fidelities is tried on its own, or else on a copy with three.
    """
    yield task, {"evaluations": 1}
    yield task, {"duplicates": "forbid"}
    yield task, {"duplicates": "free", "noise": "mean"}
    if task.has_cost:
        chosen = "all" if spec.needs.fidelities else None
        seconds = _NUM_TRAININGS * task.under(Protocol(fidelity=chosen)).typical_cost_s
        yield task, {"evaluations": None, "simulated_seconds": seconds}
    dataset = task.table.datasets[task.dataset]
    columns = dataset.columns.values()
    for name in [column.metric.name for column in columns if column.metric.free][:1]:
        yield task, {"constraints": f"{name}<=q25"}
    if not spec.is_generator:
        for mode in ("async", "sync"):
            yield task, {"workers": 4, "mode": mode}
    several = task if len(dataset.fidelities) > 1 else with_fidelities(task)
    for continuation in ("checkpoint", "restart"):
        yield several, {"fidelity": "all", "continuation": continuation}
    epochs = several.table.datasets[several.dataset].fidelities[-1]
    yield several, {"evaluations": None, "epochs": _NUM_TRAININGS * epochs, "fidelity": "all"}


def with_fidelities(task: Task) -> Task:
    """The task with values after 1, 3 and 9 epochs, of which the last are its own.

    An early value is between the architecture's own and that of another one, so that rankings differ. Costs are
    proportional to epochs.

    Example:
        >>> from nasbench_harness import load_task
        >>> with_fidelities(load_task("nb201-cifar10")).under(Protocol(fidelity="all")).fidelities
        (1, 3, 9)
    """
    dataset = task.table.datasets[task.dataset]
    columns = {}
    for name, column in dataset.columns.items():
        metric, last = column.metric, np.asarray(column.values, dtype=np.float64)[:, :, -1]
        if metric.role == "cost":
            parts = [last * (epochs / _EPOCHS[-1]) for epochs in _EPOCHS]
        elif metric.role == "search":
            other = np.where(np.isnan(np.roll(last, 1, axis=0)), last, np.roll(last, 1, axis=0))
            parts = [last + (other - last) * share for share in (0.5, 0.25)] + [last]
            metric = replace(metric, resolution=None)  # early values are on no grid
        else:
            parts = [last]
        columns[name] = MetricArray(metric, np.stack(parts, axis=-1))
    several = replace(dataset, columns=columns, fidelities=_EPOCHS)
    return make_task(replace(task.table, datasets={task.dataset: several}), task.dataset)
