"""A predictor learned on other tasks, adapted by a few evaluations, ranks a pool of new architectures.

Lee, Hyung and Hwang, "Rapid Neural Architecture Search by Learning to Generate Graphs from Datasets", ICLR 2021, and
Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020, search with predictors that other data sets or
a few evaluations trained.

    evaluate a uniform sample on every source, and fit a Gaussian process to the normal scores of each
    evaluate ``num_target`` architectures: the best by mean rank on the sources, and as many random ones
    repeat: weights of the source models by ridge regression on the losses of the task, towards equal weights
            a Gaussian process of the rest
            evaluate the best ``batch_size`` of a new random pool, and of the neighbors of the best, by the prediction

Deviations: Gaussian processes on one-hot choices in place of graph networks; data sets have no description of their
own. Infeasible losses share the worst rank. ``use_sources = false`` leaves the Gaussian process alone, for a comparison
without transfer.

Reference: 91.54 / 73.20 / 46.29 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, the other two as sources with 200 reported evaluations, mean of 100 seeds at 50 evaluations;
results/transfer).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Needs, Problem, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.encoding import Encoding
from nasbench_strategies._models.few_shot import FewShotPredictor, source_models
from nasbench_strategies._models.history import History, new_candidates
from nasbench_strategies._models.sources import read_sample


@declare(needs=Needs(sources=True), reproducible="platform")
def few_shot_predictor(
    problem: Problem,
    rng: RunStream,
    *,
    num_read: Annotated[int, Range(2)] = 100,
    num_target: Annotated[int, Range(2)] = 20,
    batch_size: Annotated[int, Range(1)] = 10,
    pool_size: Annotated[int, Range(1)] = 300,
    num_centers: Annotated[int, Range(0)] = 5,
    shrinkage: Annotated[float, Range(0.001)] = 5.0,
    use_sources: bool = True,
) -> SearchGenerator:
    """Evaluate the best predictions of a pool, again and again.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_read: Largest size of the sample on each source.
        num_target: Evaluations before the first prediction.
        batch_size: Evaluations between two predictions.
        pool_size: Random architectures of a pool.
        num_centers: Evaluated architectures whose neighbors are in the pool, too.
        shrinkage: Evaluations that equal weights of the sources count as.
        use_sources: Whether the sources are read.
    """
    space, encode, history = problem.space, Encoding(problem), History()
    sample = read_sample(problem, rng, num_read) if use_sources else None
    models = [] if sample is None else source_models(encode, sample)
    first = [] if sample is None else sample.order[: num_target // 2].tolist()
    for architecture in [*first, *(space.sample(rng) for _ in range(num_target - len(first)))]:
        history.add((yield architecture))
    while True:
        predictor = FewShotPredictor(encode, models, shrinkage)
        predictor.fit(np.array(history.architectures), np.array(history.losses))
        centers = history.best(history.losses, num_centers)
        pool = new_candidates(space, centers, pool_size, history.seen, rng)
        for architecture in pool[np.argsort(predictor.predict(pool), kind="stable")[:batch_size]].tolist():
            history.add((yield architecture))
