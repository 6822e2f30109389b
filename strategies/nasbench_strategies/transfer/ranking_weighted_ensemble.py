"""Gaussian processes of all tasks, weighted by how well they rank the losses of the target, share one acquisition.

Feurer, Letham, Hutter and Bakshy, "Practical Transfer Learning for Bayesian Optimization", 2018 (weights of RGPE);
Wistuba, Schilling and Schmidt-Thieme, "Scalable Gaussian Process-based Transfer Surrogates for Hyperparameter
Optimization", Machine Learning 2018 (the acquisition).

    evaluate a uniform sample on every source, and fit a Gaussian process to each
    evaluate ``num_initial`` random architectures
    repeat: fit a Gaussian process to all losses of the task
            weight each model by the share of bootstrap resamples in which it misranks the fewest pairs of these losses;
            the target's model is judged by leave-one-out predictions
            drop a source at random, the more probably the less often it ranks better than the target's model, and the
            more of the budget is spent
            candidates: neighbors of the best by the target's model, ``num_random`` draws, and the best of the sources
            evaluate the ``batch_size`` new candidates with the largest weighted sum: the expected improvement of the
            target's model, and how far each source's prediction falls below its prediction of everything evaluated

Deviations: the target's weight is at least that of equal weights. The models are fitted once for each batch. Losses
above their median count as the median, and so do infeasible ones. A budget without a number of evaluations drops no
source for being late. The acquisition was chosen on pairs of NAS-Bench-Graph, which are not recorded: none of its tasks
is held out. ``use_sources = false`` leaves the target's model alone, for a comparison without transfer.

Reference: 91.53 / 73.12 / 46.28 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, the other two as sources with 200 reported evaluations, mean of 100 seeds at 50 evaluations;
results/transfer).
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from nasbench_harness import Needs, Problem, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.acquisition import expected_improvement
from nasbench_strategies._models.encoding import Encoding, standardized
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.history import History, new_candidates
from nasbench_strategies._models.ranking_weights import ranking_weights
from nasbench_strategies._models.sources import SourceSample, read_sample

_SOURCE_SWEEPS = 3
_NUM_BEST_THERE = 50  # of the sources, among the candidates


@declare(needs=Needs(sources=True), reproducible="platform")
def ranking_weighted_ensemble(
    problem: Problem,
    rng: RunStream,
    *,
    num_read: Annotated[int, Range(2)] = 100,
    num_initial: Annotated[int, Range(2)] = 10,
    batch_size: Annotated[int, Range(1)] = 5,
    num_centers: Annotated[int, Range(1)] = 5,
    num_random: Annotated[int, Range(0)] = 100,
    num_draws: Annotated[int, Range(1)] = 50,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
    use_sources: bool = True,
) -> SearchGenerator:
    """Expected improvement under the ensemble.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_read: Largest size of the sample on each source.
        num_initial: Random architectures before the first ensemble.
        batch_size: Evaluations between two ensembles.
        num_centers: Architectures whose neighbors are candidates.
        num_random: Random candidates.
        num_draws: Resamples that decide the weights.
        quantile: Losses above this quantile count as it.
        use_sources: Whether the sources are read.
    """
    space, encode, history = problem.space, Encoding(problem), History()
    sample = read_sample(problem, rng, num_read) if use_sources else None
    models = [] if sample is None else _models_of(sample, encode, quantile)
    best_there = np.zeros(0, dtype=np.int64) if sample is None else sample.order
    for _ in range(num_initial):
        history.add((yield space.sample(rng)))
    target, sweeps = GaussianProcess(encode.num_blocks), 5
    while True:
        evaluated, losses = encode(np.array(history.architectures)), standardized(history.losses, quantile)
        target.fit(evaluated, losses, sweeps)
        there = [model.predict(evaluated)[0] for model in models]
        spent = len(history.losses) / (problem.budget.evaluations or math.inf)
        models_there = np.array([*there, target.left_out_mean()])
        weights = ranking_weights(models_there, np.array(history.losses), num_draws, rng, spent)
        centers = history.best(target.fitted_mean(), num_centers)
        candidates = new_candidates(space, centers, num_random, history.seen, rng)
        candidates = np.union1d(candidates, np.setdiff1d(best_there[:_NUM_BEST_THERE], history.seen))
        features = encode(candidates)
        improvements = expected_improvement(float(target.fitted_mean().min()), *target.predict(features))
        improvements *= max(float(weights[-1]), 1 / len(weights))
        for weight, model, known in zip(weights, models, there, strict=False):
            if weight > 0:
                improvements += weight * np.maximum(known.min() - model.predict(features)[0], 0.0)
        for architecture in candidates[np.argsort(-improvements, kind="stable")[:batch_size]].tolist():
            history.add((yield architecture))
        sweeps = 1


def _models_of(sample: SourceSample, encode: Encoding, quantile: float) -> list[GaussianProcess]:
    """A Gaussian process of every source."""
    models = [GaussianProcess(encode.num_blocks) for _ in sample.losses]
    for model, losses in zip(models, sample.losses, strict=True):
        model.fit(encode(sample.architectures), standardized(losses.tolist(), quantile), _SOURCE_SWEEPS)
    return models
