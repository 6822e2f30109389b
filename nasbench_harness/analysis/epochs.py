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


def has_epochs(task: TaskView) -> bool:
    """Whether trainings differ in length, and stored rows say how many epochs each has trained.

    Under ``noise=per_run`` all trainings of an architecture are stored alike. With several workers rows do not have the
    order of their charges, so a continued training looks like a new one.

    Args:
        task: The task under the study's protocol.

    Example:
        >>> from nasbench_harness import load_task
        >>> has_epochs(load_task("nb201-cifar10").under(Protocol()))
        False
    """
    rules = task.protocol
    is_mixed = rules.workers > 1 and rules.noise == "per_run" and rules.continuation == "checkpoint"
    return len(task.fidelities) > 1 and not is_mixed


def row_epochs(rows: Mapping[str, AnyArray], task: TaskView) -> Ints:
    """Epochs that each row has trained, 0 for rows that cost nothing; shape (num_rows,).

    With checkpoints, a row that continues a training counts the epochs above the one that the training had reached. A
    row that overran the budget of epochs counts those that were left.

    Args:
        rows: Stored rows, by run and in order: seed, architecture, status, fidelity and training.
        task: The task under the study's protocol, which ``has_epochs``.

    Example:
        >>> from nasbench_harness import load_task
        >>> rows = {"status": np.array([Status.OK]), "fidelity": np.array([0])}
        >>> row_epochs(rows, load_task("nb201-cifar10").under(Protocol()))
        array([0])
    """
    epochs: Ints = np.zeros(len(rows["status"]), dtype=np.int64)
    if len(task.fidelities) < 2:
        return epochs
    trains = np.isin(rows["status"], (Status.OK, Status.OVERRUN))
    reached = np.array(task.fidelities)[np.maximum(rows["fidelity"], 0)]
    epochs[trains] = reached[trains]
    charged = np.flatnonzero(np.isin(rows["status"], _CHARGED))
    if task.protocol.continuation == "checkpoint":
        keys = np.column_stack([rows[name][charged] for name in ("seed", "architecture", "training")])
        order = np.lexsort(keys.T[::-1])
        later, earlier = charged[order[1:]], charged[order[:-1]]
        # Under noise=per_run all trainings have the number 0: one that does not go further is a new one.
        continues = (keys[order[1:]] == keys[order[:-1]]).all(axis=1) & (reached[later] > reached[earlier])
        epochs[later] -= np.where(continues & trains[later], reached[earlier], 0)
    if task.protocol.epochs is not None and task.protocol.overrun == "discard":
        _cut_at_budget(epochs, rows, charged, task.protocol.epochs)
    return epochs


def _cut_at_budget(epochs: Ints, rows: Mapping[str, AnyArray], charged: Ints, budget: int) -> None:
    """Take what exceeds the budget of a run from the row that overran it.

    If several rows overran, as workers also exceeded the seconds, the longest training among them has enough epochs.
    """
    overran = charged[rows["status"][charged] == Status.OVERRUN]
    overran = overran[np.argsort(epochs[overran], kind="stable")]
    seeds, run = np.unique(rows["seed"], return_inverse=True)
    excess = np.maximum(np.bincount(run, epochs, len(seeds)).astype(np.int64) - budget, 0)
    longest = dict(zip(run[overran].tolist(), overran.tolist(), strict=True))  # later rows replace earlier ones
    for number, row in longest.items():
        epochs[row] -= excess[number]


def epoch_grid(task: TaskView, protocol: Protocol) -> Ints | None:
    """Epochs from one training to the budget, the same whatever is compared; None without ``has_epochs``."""
    if not has_epochs(task):
        return None
    longest = task.fidelities[-1]
    ends = [] if protocol.epochs is None else [protocol.epochs]
    ends += [] if protocol.evaluations is None else [protocol.evaluations * longest]
    if protocol.simulated_seconds is not None and task.has_cost:
        ends.append(int(protocol.simulated_seconds / task.typical_cost_s * protocol.workers * longest))
    end = max(1, min(ends)) if ends else longest
    found: Ints = np.unique(np.rint(np.geomspace(min(task.fidelities[0], end), end, _NUM_POINTS)).astype(np.int64))
    return found
