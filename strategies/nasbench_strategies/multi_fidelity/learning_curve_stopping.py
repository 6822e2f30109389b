"""Learning-curve stopping: a training ends early once its best loss is above the median of earlier curves.

Golovin, Solnik, Moitra, Kochanski, Karro and Sculley, "Google Vizier: A Service for Black-Box Optimization", KDD 2017
(the median stopping rule).

    repeat: train a random architecture from one fidelity of the task to the next
            at each one, take the mean of the losses up to it for every complete training, and the median of these means
            stop the training if its smallest loss so far is above this median

Deviations: the first ``num_initial`` trainings are never stopped; their number was chosen on the curves below, with
other seeds. An infeasible architecture has an infinite loss. Every fidelity is an evaluation, so budgets are best given
in epochs, with ``continuation`` at ``checkpoint``. It is one generator, so it has one worker.

Reference: 87.94 / 88.26 / 88.44 % (noiseless validation accuracy of the incumbent on measured learning curves of 100
epochs, after 1,000 / 3,000 / 10,000 epochs, mean of 200 seeds; results/strategies/fidelities.csv).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Needs, Problem, Proposal, Range, RunStream, SearchGenerator, declare


@declare(needs=Needs(fidelities=True))
def learning_curve_stopping(
    problem: Problem, rng: RunStream, *, num_initial: Annotated[int, Range(1)] = 2
) -> SearchGenerator:
    """Random search with the median stopping rule.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Complete trainings before any is stopped.
    """
    num_fidelities = len(problem.fidelities)
    means = []  # of the losses up to each fidelity, (num_fidelities,) for each complete training
    limits = np.full(num_fidelities, np.inf)
    while True:
        architecture = problem.space.sample(rng)
        losses: list[float] = []
        while len(losses) < num_fidelities and min(losses, default=-np.inf) <= limits[len(losses) - 1]:
            evaluation = yield Proposal(architecture, fidelity=len(losses))
            losses.append(evaluation.loss if evaluation.feasible else np.inf)
        if len(losses) == num_fidelities:
            means.append(np.cumsum(losses) / np.arange(1, num_fidelities + 1))
            if len(means) >= num_initial:
                limits = np.median(means, axis=0)
