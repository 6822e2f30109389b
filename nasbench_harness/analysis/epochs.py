"""Epochs that runs have trained, on tasks whose fidelity the strategy chooses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.view import TaskView

_NUM_POINTS = 100  # of a curve over epochs
_CHARGED = (Status.OK, Status.OVERRUN, Status.FAILED, Status.MISSING)


def row_epochs(rows: Mapping[str, AnyArray], task: TaskView) -> Ints:
    """Epochs that each row has trained, 0 for rows that cost nothing; shape (num_rows,).

    With checkpoints, a row that continues a training counts the epochs above the one that the training had reached.

    Args:
        rows: Stored rows, by run and in order: seed, architecture, status, fidelity and training.
        task: The task under the study's protocol.

    Example:
        >>> from nasbench_harness import load_task
        >>> rows = {"status": np.array([Status.OK]), "fidelity": np.array([0])}
        >>> row_epochs(rows, load_task("nb201-cifar10").under(Protocol()))
        array([0])
    """
    epochs: Ints = np.zeros(len(rows["status"]), dtype=np.int64)
    if len(task.fidelities) < 2:
        return epochs
    is_charged = np.isin(rows["status"], _CHARGED)
    reached = np.array(task.fidelities)[np.maximum(rows["fidelity"], 0)]
    trains = np.isin(rows["status"], (Status.OK, Status.OVERRUN))
    epochs[trains] = reached[trains]
    if task.protocol.continuation != "checkpoint":
        return epochs
    charged = np.flatnonzero(is_charged)
    names = rows["architecture"][charged]
    if task.protocol.duplicates_by == "class":
        names = task.space.canonical(names)
    keys = np.column_stack([rows["seed"][charged], names, rows["training"][charged]])
    order = np.lexsort([charged, *keys.T[::-1]])
    continues = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    later, earlier = charged[order[1:][continues]], charged[order[:-1][continues]]
    epochs[later] -= np.where(trains[later], reached[earlier], 0)
    return epochs


def epoch_grid(task: TaskView, protocol: Protocol) -> Ints | None:
    """Epochs from one training to the budget, the same whatever is compared; None if all trainings are equal."""
    if len(task.fidelities) < 2:
        return None
    longest = task.fidelities[-1]
    ends = [] if protocol.epochs is None else [protocol.epochs]
    ends += [] if protocol.evaluations is None else [protocol.evaluations * longest]
    if protocol.simulated_seconds is not None and task.has_cost:
        ends.append(int(protocol.simulated_seconds / task.typical_cost_s * protocol.workers * longest))
    end = max(1, min(ends)) if ends else longest
    found: Ints = np.unique(np.rint(np.geomspace(min(task.fidelities[0], end), end, _NUM_POINTS)).astype(np.int64))
    return found
