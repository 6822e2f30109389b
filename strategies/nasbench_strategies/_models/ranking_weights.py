"""Weights of models by how well they rank the observed losses.

Feurer, Letham, Hutter and Bakshy, "Practical Transfer Learning for Bayesian Optimization", 2018.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, RunStream


def ranking_weights(predictions: Floats, losses: Floats, num_draws: int, rng: RunStream, spent: float = 0.0) -> Floats:
    """Share of resamples in which each model misranks the fewest pairs, shape (num_models,).

    The last model is that of the target: its predictions must leave out the loss that they predict. It wins ties. A
    source model is kept with the probability (1 − ``spent``) times the share of resamples in which it misranks fewer
    pairs than the target's model, so that no source has a weight at the end.

    Args:
        predictions: Predicted loss of each evaluation by each model, shape (num_models, n).
        losses: Observed losses, shape (n,).
        num_draws: Bootstrap resamples of the evaluations.
        rng: The run's stream.
        spent: Share of the budget that is spent.

    >>> observed = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> ranking_weights(np.array([-observed, observed]), observed, 20, RunStream(1))
    array([0., 1.])
    """
    size = len(losses)
    is_below = losses[:, None] < losses
    misranked = np.array([(model[:, None] < model) ^ is_below for model in predictions], dtype=np.float64)
    drawn = rng.integers(size, num_draws * size).reshape(num_draws, size)
    counts = np.zeros((num_draws, size))
    np.add.at(counts, (np.arange(num_draws)[:, None], drawn), 1.0)
    errors = np.array([((counts @ of_model) * counts).sum(axis=1) for of_model in misranked])
    kept = (1 - spent) * (errors[:-1] < errors[-1]).mean(axis=1)
    errors[:-1][rng.uniform(len(kept)) >= kept] = np.inf
    winners = len(errors) - 1 - errors[::-1].argmin(axis=0)
    weights: Floats = np.bincount(winners, minlength=len(errors)) / num_draws
    return weights
