"""NPENAS: evolution that makes more children than it evaluates, and a neural predictor that chooses among them.

Wei, Niu, Tang, Wang, Hu and Liang, "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search", IEEE
Transactions on Neural Networks and Learning Systems 2022.

    evaluate ``num_initial`` random architectures
    repeat: train a new predictor on all results
            each of the best ``num_parents`` architectures has ``num_children`` mutations
            evaluate the ``batch_size`` new children with the smallest predicted losses

Deviations: the predictor is a small ensemble of perceptrons on one-hot choices, not a graph network, and minimizes the
squared error of losses that are clipped at their median. Infeasible losses count as the median and are worse than all
feasible ones among parents. The first random architectures go on until one is feasible. Children that were evaluated
before are left out. The settings of the networks are those of ``bananas``, which were chosen on NAS-Bench-201, so
results on it are optimistic.

Reference: 91.51 / 73.33 / 46.26 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Problem, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.encoding import standardized
from nasbench_strategies._models.history import History
from nasbench_strategies._models.perceptrons import Perceptrons


@declare(reproducible="platform")
def npenas(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 20,
    batch_size: Annotated[int, Range(1)] = 10,
    num_parents: Annotated[int, Range(1)] = 10,
    num_children: Annotated[int, Range(1)] = 10,
    num_networks: Annotated[int, Range(1)] = 3,
    width: Annotated[int, Range(1)] = 32,
    num_updates: Annotated[int, Range(1)] = 150,
    learning_rate: Annotated[float, Range(0)] = 0.02,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
) -> SearchGenerator:
    """Evolution guided by a neural predictor.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first predictor.
        batch_size: Evaluations between two predictors.
        num_parents: Architectures that are mutated.
        num_children: Mutations of each parent.
        num_networks: Networks whose mean is the prediction.
        width: Units of each hidden layer.
        num_updates: Updates of each network.
        learning_rate: Learning rate of the first update.
        quantile: Losses above this quantile count as it.
    """
    space, history = problem.space, History()
    yield from history.start(space, rng, num_initial)
    while True:
        features = space.one_hot(np.array(history.architectures)).astype(np.float64)
        networks = Perceptrons(features.shape[1], num_networks, width, rng)
        networks.train(features, standardized(history.losses, quantile), num_updates, learning_rate)
        parents = history.best(history.losses, num_parents).tolist()
        children = {space.mutate(parent, rng) for parent in parents for _ in range(num_children)}
        new = np.array(sorted(children.difference(history.seen)), dtype=np.int64)
        if not len(new):
            new = np.array([space.sample(rng)])
        predicted = networks.predict(space.one_hot(new).astype(np.float64)).mean(axis=0)
        for child in new[np.argsort(predicted, kind="stable")[:batch_size]].tolist():
            history.add((yield child))
