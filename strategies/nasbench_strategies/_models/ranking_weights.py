"""Weights of models by how well they rank the observed losses.

Feurer, Letham, Hutter and Bakshy, "Practical Transfer Learning for Bayesian Optimization", 2018.
"""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, RunStream

_WORST = 0.95  # quantile of the target model's loss above which a source model is left out


def ranking_weights(predictions: Floats, losses: Floats, num_draws: int, rng: RunStream) -> Floats:
    """Share of resamples in which each model misranks the fewest pairs, shape (num_models,).

    The last model is that of the target: its predictions must leave out the loss that they predict. It wins ties. A
    source model is left out if its median loss is above the 95 % quantile of the target model's.

    Args:
        predictions: Predicted loss of each evaluation by each model, shape (num_models, n).
        losses: Observed losses, shape (n,).
        num_draws: Bootstrap resamples of the evaluations.
        rng: The run's stream.

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
    is_bad = np.median(errors, axis=1) > np.quantile(errors[-1], _WORST)
    errors[is_bad] = np.inf
    winners = len(errors) - 1 - errors[::-1].argmin(axis=0)
    weights: Floats = np.bincount(winners, minlength=len(errors)) / num_draws
    return weights
