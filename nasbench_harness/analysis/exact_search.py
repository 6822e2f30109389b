"""Random search in closed form, for tasks whose table has every row."""

from __future__ import annotations

import numpy as np

from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.statistics import ExactCurve, exact_random_search


def exact_search(task: TaskView, protocol: Protocol, num_steps: int, scored: ScoreView) -> ExactCurve | None:
    """Regret of random search with replacement under the protocol's noise; None if the table does not have rows.

    None with several workers, too: quick trainings finish first, so that the order of results is no random order. None
    with several objectives or with constraints: the closed form is about one loss.

    Args:
        task: The task under the study's protocol.
        protocol: The study's protocol.
        num_steps: Evaluations of the longest search.
        scored: The score of the choices.
    """
    if not scored.has_optimum or protocol.workers > 1 or scored.is_of_sets or task.constraints:
        return None
    regrets = scored.regret(np.arange(task.space.num_architectures))
    losses = task.objectives[0].loss(np.asarray(task.search.values[:, :, 0]))
    if np.isnan(losses).all(axis=1).any() or not scored.exists.all():
        return None
    if protocol.replicate is not None:
        return exact_random_search(losses[:, [protocol.replicate]], num_steps, "mean", regrets)
    if protocol.noise == "mean":  # by grid values: means that are equal must tie
        grid_values = exact_means(task.search).grid_values.astype(np.float64)
        signed = grid_values if task.search.metric.direction == "minimize" else -grid_values
        return exact_random_search(signed[:, None], num_steps, "mean", regrets)
    return exact_random_search(losses, num_steps, "per_run" if protocol.noise == "per_run" else "per_query", regrets)
