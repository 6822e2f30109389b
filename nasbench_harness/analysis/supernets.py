"""Numbers of searches that shared weights, from the notes of their runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.statistics import rank_correlation

HEALTHY_ACCURACY = 80.0  # median shared-weight accuracy in %; below it the ranking of cells tells nothing


@dataclass(frozen=True)
class SupernetEpoch:
    """One epoch of a run.

    Attributes:
        cost_s: Simulated seconds.
        architecture: The cell that the run would have returned then; −1 if it had none.
        median_accuracy: Median shared-weight accuracy of a few fixed cells in %.
        entropy: Mean entropy of the operations' probabilities over the edges, in nats; NaN if the method has none.
    """

    cost_s: float
    architecture: int
    median_accuracy: float
    entropy: float


@dataclass(frozen=True)
class SupernetRun:
    """One run.

    Attributes:
        label: Label of the strategy.
        task: Name of the task.
        seed: Seed of the run.
        epochs: Its epochs.
        median_accuracy: Median shared-weight accuracy of the fixed cells in % at the end.
        num_ranked: Number of fixed cells that the table knows.
        kendall: Kendall's tau-b of their shared-weight accuracies and the table's values; NaN if the supernet is
            not healthy.
        halves: Origin of the two halves of images; empty in notes of earlier versions.
    """

    label: str
    task: str
    seed: int
    epochs: tuple[SupernetEpoch, ...]
    median_accuracy: float
    num_ranked: int
    kendall: float
    halves: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether the supernet is good enough to rank cells."""
        return self.median_accuracy >= HEALTHY_ACCURACY


def supernet_run(label: str, task: TaskView, seed: int, notes: Mapping[str, Any]) -> SupernetRun:
    """Numbers of one run.

    Args:
        label: Label of the strategy.
        task: The task.
        seed: Seed of the run.
        notes: Notes that the run kept.
    """
    epochs = tuple(
        SupernetEpoch(
            epoch["cost_s"],
            -1 if epoch["architecture"] is None else epoch["architecture"],
            epoch["median_accuracy"],
            mean_entropy(epoch["alpha"]),
        )
        for epoch in notes["epochs"]
    )
    cells = np.array(notes["ranking"]["architectures"])
    accuracies = np.array(notes["ranking"]["accuracies"])
    values = task.scores["val"].values[cells]
    known = np.isfinite(values)
    median = float(np.median(accuracies))
    kendall = math.nan
    if median >= HEALTHY_ACCURACY and known.sum() > 1:
        kendall = rank_correlation(accuracies[known], values[known], "kendall").estimate
    halves = notes.get("halves", "")
    return SupernetRun(label, task.name, seed, epochs, median, int(known.sum()), kendall, halves)


def mean_entropy(probabilities: Sequence[Sequence[float]] | None) -> float:
    """Mean over the edges of the entropy of their operations' probabilities, in nats; NaN without probabilities.

    Example:
        >>> mean_entropy([[0.5, 0.5], [1.0, 0.0]]) == math.log(2) / 2
        True
    """
    if probabilities is None:
        return math.nan
    shares = np.array(probabilities)
    logarithms = np.log(np.where(shares > 0, shares, 1.0))
    return float(-(shares * logarithms).sum(axis=1).mean())
