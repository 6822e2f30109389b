"""Bayesian optimization with a random forest, as in SMAC.

Hutter, Hoos and Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration", LION 2011.

    evaluate ``num_initial`` random architectures
    repeat: fit a random forest to all losses
            candidates: neighbors of the ``num_centers`` best architectures, and ``num_random`` draws
            evaluate the new candidate with the largest expected improvement on the smallest loss

Deviations: no intensification (each architecture is evaluated once); candidates are neighbors, not the ends of local
searches. Losses above their median count as the median, and so do infeasible ones. The first random architectures go on
until one is feasible. The settings were chosen on NAS-Bench-201, so results on it are optimistic.

Reference: 91.51 / 73.28 / 46.24 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Problem, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.acquisition import expected_improvement
from nasbench_strategies._models.encoding import standardized
from nasbench_strategies._models.forest import Forest
from nasbench_strategies._models.history import History, new_candidates


@declare(reproducible="platform")
def random_forest(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 20,
    num_trees: Annotated[int, Range(1)] = 10,
    min_leaf: Annotated[int, Range(1)] = 3,
    split_share: Annotated[float, Range(0, 1)] = 0.8,
    num_centers: Annotated[int, Range(1)] = 5,
    num_random: Annotated[int, Range(0)] = 100,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
) -> SearchGenerator:
    """Expected improvement under a random forest.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first forest.
        num_trees: Trees of the forest.
        min_leaf: Fewest results in a leaf.
        split_share: Chance of each possible split to be tried at a node.
        num_centers: Architectures whose neighbors are candidates.
        num_random: Random candidates.
        quantile: Losses above this quantile count as it.
    """
    space, history, generator = problem.space, History(), rng.numpy_generator()
    yield from history.start(space, rng, num_initial)
    while True:
        targets = standardized(history.losses, quantile)
        forest = Forest(
            space.choices(np.array(history.architectures)),
            targets,
            space.num_choices,
            generator,
            num_trees=num_trees,
            min_leaf=min_leaf,
            split_share=split_share,
        )
        centers = history.best(history.losses, num_centers)
        candidates = new_candidates(space, centers, num_random, history.seen, rng)
        mean, deviation = forest.predict(space.choices(candidates))
        improvements = expected_improvement(float(targets.min()), mean, deviation)
        history.add((yield int(candidates[improvements.argmax()])))
