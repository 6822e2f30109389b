"""Feasibility first: an architecture that does not meet the constraints counts as one without a value.

For a policy that learns from rewards it counts as the smallest reward of its run so far: a result without a value would
teach it nothing, and it would propose such architectures forever. Without constraints every architecture is feasible.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Bools, Evaluation, Floats, Results


def feasible_losses(losses: Floats, feasible: Bools) -> Floats:
    """Losses, +inf where the architecture is infeasible; both shapes are the same.

    >>> feasible_losses(np.array([3.0, 1.0]), np.array([True, False]))
    array([ 3., inf])
    """
    return np.where(feasible, losses, np.inf)


def feasible_loss(evaluation: Evaluation) -> float:
    """First loss of an evaluation, +inf if the architecture is infeasible."""
    return evaluation.loss if evaluation.feasible else float("inf")


class FeasibleRewards:
    """Rewards in which an infeasible architecture has the smallest feasible reward of its run so far.

    Args:
        num_runs: Runs of the batch.
    """

    def __init__(self, num_runs: int) -> None:
        self._smallest = np.full(num_runs, np.nan)  # NaN before the first feasible reward

    def __call__(self, rewards: Floats, results: Results) -> Floats:
        """Rewards, shape (num_runs,); not finite where there is no value, or no feasible one has come yet.

        Args:
            rewards: Reward of each run's result, whether feasible or not, shape (num_runs,); not finite where there is
                no value.
            results: The results.
        """
        has_value = np.isfinite(rewards)
        counts = has_value & results.feasible
        self._smallest = np.where(counts, np.fmin(self._smallest, rewards), self._smallest)
        return np.where(has_value & ~results.feasible, self._smallest, rewards)
