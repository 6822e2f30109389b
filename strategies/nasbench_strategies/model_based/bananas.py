"""BANANAS: an ensemble of neural predictors, mutations of the best, and independent Thompson sampling.

White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search",
AAAI 2021.

    evaluate ``num_initial`` random architectures
    repeat: train ``num_networks`` new perceptrons on all results
            propose mutations of the best ``num_parents`` architectures that were not evaluated
            draw a loss for each from the normal distribution with the ensemble's mean and deviation
            evaluate the ``batch_size`` architectures with the smallest draws

Deviations: by default the features are one-hot choices; ``encoding="path"`` takes paths, of which only those of
evaluated architectures count. The networks have two layers, are trained on all results at once, and minimize the
squared error of losses that are clipped at their median. Infeasible losses count as the median and are worse than all
feasible ones among parents. The first random architectures go on until one is feasible. The settings were chosen on
NAS-Bench-201, so results on it are optimistic.

Reference: 91.51 / 73.31 / 46.30 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import OneOf, Problem, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.encoding import standardized
from nasbench_strategies._models.history import History, new_candidates
from nasbench_strategies._models.perceptrons import Perceptrons
from nasbench_strategies._models.structure import Paths


@declare(reproducible="platform")
def bananas(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 20,
    batch_size: Annotated[int, Range(1)] = 10,
    num_networks: Annotated[int, Range(1)] = 5,
    width: Annotated[int, Range(1)] = 32,
    num_updates: Annotated[int, Range(1)] = 150,
    learning_rate: Annotated[float, Range(0)] = 0.02,
    num_parents: Annotated[int, Range(1)] = 10,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
    encoding: Annotated[str, OneOf("onehot", "path")] = "onehot",
) -> SearchGenerator:
    """Thompson sampling under an ensemble of perceptrons.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first ensemble.
        batch_size: Evaluations between two ensembles.
        num_networks: Members of the ensemble.
        width: Units of each hidden layer.
        num_updates: Updates of each network.
        learning_rate: Learning rate of the first update.
        num_parents: Architectures that are mutated.
        quantile: Losses above this quantile count as it.
        encoding: Features of an architecture: its choices, or its paths from the input to the output.
    """
    space, history = problem.space, History()
    encode = Paths(space) if encoding == "path" else lambda architectures: space.one_hot(architectures).astype(float)
    yield from history.start(space, rng, num_initial)
    while True:
        features = encode(np.array(history.architectures))
        columns = np.flatnonzero(features.any(axis=0)) if encoding == "path" else slice(None)  # not of candidates alone
        features = features[:, columns]
        networks = Perceptrons(features.shape[1], num_networks, width, rng)
        networks.train(features, standardized(history.losses, quantile), num_updates, learning_rate)
        parents = history.best(history.losses, num_parents)
        candidates = new_candidates(space, parents, 0, history.seen, rng)
        predictions = networks.predict(encode(candidates)[:, columns])
        drawn = predictions.mean(axis=0) + predictions.std(axis=0) * rng.normal(len(candidates))
        for candidate in candidates[np.argsort(drawn, kind="stable")[:batch_size]].tolist():
            history.add((yield candidate))
