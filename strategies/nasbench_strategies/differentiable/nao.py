"""Neural architecture optimization: architectures move along the gradient of a learned predictor.

Luo, Tian, Qin, Chen and Liu, "Neural Architecture Optimization", NeurIPS 2018 (NAO).

    evaluate ``num_initial`` random architectures
    repeat: train ``num_networks`` new perceptrons on all results
            take the gradient g of the predicted loss at the best ``num_parents`` architectures x, as indicators
            move each along the ray x − t · g to the first architecture that was not evaluated
            evaluate the ``batch_size`` of these with the smallest predictions

Deviations: the paper encodes architectures by a recurrent network and decodes points by another one. Here the predictor
is the mean of several networks that read the choices, and each decision takes its largest entry. In the authors'
program one step t grows for all parents until there are enough new architectures, and a parent may give several; all
of them are evaluated. Here each ray has a step of its own and gives at most one, and only the best by prediction are
evaluated. If no ray has one, a random architecture is evaluated. In a list of architectures and in a nearly used-up
space few rays have one, so almost every evaluation needs a new predictor. Losses are clipped at their median.
Infeasible losses count as the median and are worse than all feasible ones among parents. The first random
architectures go on until one is feasible. The settings of the networks are those of ``bananas``, which were chosen on
NAS-Bench-201, so results on it are optimistic.

Reference: 91.53 / 73.31 / 46.27 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Floats, Ints, Problem, Range, RunStream, SearchGenerator, SearchSpace, declare
from nasbench_strategies._models.encoding import standardized
from nasbench_strategies._models.history import History
from nasbench_strategies._models.perceptrons import Perceptrons


@declare(reproducible="platform")
def nao(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 20,
    batch_size: Annotated[int, Range(1)] = 10,
    num_networks: Annotated[int, Range(1)] = 5,
    width: Annotated[int, Range(1)] = 32,
    num_updates: Annotated[int, Range(1)] = 150,
    learning_rate: Annotated[float, Range(0)] = 0.02,
    num_parents: Annotated[int, Range(1)] = 50,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
) -> SearchGenerator:
    """Descent from the best architectures along the gradient of the predicted loss.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first predictor.
        batch_size: Evaluations between two predictors.
        num_networks: Networks of the predictor, whose mean it is.
        width: Units of each hidden layer.
        num_updates: Updates of each network.
        learning_rate: Learning rate of the first update.
        num_parents: Architectures that move.
        quantile: Losses above this quantile count as it.
    """
    space, history = problem.space, History()
    yield from history.start(space, rng, num_initial)
    while True:
        features = space.one_hot(np.array(history.architectures)).astype(float)
        networks = Perceptrons(features.shape[1], num_networks, width, rng)
        networks.train(features, standardized(history.losses, quantile), num_updates, learning_rate)
        parents = history.best(history.losses, num_parents)
        slopes = networks.slopes(space.one_hot(parents).astype(float)).mean(axis=0)
        found = first_on_rays(space, parents, slopes, history.seen)
        if not len(found):
            history.add((yield space.sample(rng)))
            continue
        predictions = networks.predict(space.one_hot(found).astype(float)).mean(axis=0)
        for architecture in found[np.argsort(predictions, kind="stable")[:batch_size]].tolist():
            history.add((yield architecture))


def first_on_rays(space: SearchSpace, starts: Ints, slopes: Floats, seen: list[int]) -> Ints:
    """The first new architecture on the ray from each start against its gradient, ascending and different, shape (n,).

    A decision leaves its choice, whose entry is 1, once t · (the choice's slope − the lowest slope) exceeds 1. So the
    decisions change one after the other, the one with the largest difference first, each to its lowest slope.

    Args:
        space: The search space.
        starts: Architectures, shape (num_starts,).
        slopes: Gradient by the indicators of the choices, shape (num_starts, number of all choices).
        seen: Architectures that are passed over.
    """
    taken = space.choices(starts)
    ends = np.cumsum(space.num_choices)
    by_decision = np.split(slopes, ends[:-1], axis=1)
    lowest = np.stack([part.argmin(axis=1) for part in by_decision], axis=1)
    gains = np.stack([np.take_along_axis(part, taken[:, [at]], 1)[:, 0] for at, part in enumerate(by_decision)], axis=1)
    gains -= np.stack([part.min(axis=1) for part in by_decision], axis=1)
    places = np.argsort(np.argsort(-gains, axis=1, kind="stable"), axis=1, kind="stable")
    has_changed = (places[:, None, :] <= np.arange(space.num_decisions)[:, None]) & (gains[:, None, :] > 0)
    passed = np.where(has_changed, lowest[:, None, :], taken[:, None, :])
    architectures = space.from_choices(passed.reshape(-1, space.num_decisions)).reshape(passed.shape[:2])
    is_new = (architectures >= 0) & ~np.isin(architectures, seen)
    rays = np.flatnonzero(is_new.any(axis=1))
    return np.unique(architectures[rays, is_new[rays].argmax(axis=1)])
