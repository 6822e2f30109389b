"""Tree-structured Parzen estimator: sample from the good results' choices, and keep the one that bad results lack.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.

    evaluate ``num_initial`` random architectures
    repeat: split the results into the best ``good_fraction`` and the others
            estimate the chance of each choice of each decision in both groups
            draw ``num_candidates`` architectures from the estimate of the good group
            evaluate the new one with the largest ratio of its chances, good to others

Deviations: the decisions are independent and have no tree. The good group is a fixed share of the results. In a
list of architectures, each decision is drawn among the choices that continue one of them. Architectures that were
evaluated before are left out. Infeasible results are worse than all feasible ones, and the first random architectures
go on until one is feasible. The settings were chosen on NAS-Bench-201, so results on it are optimistic.

Reference: 91.48 / 73.26 / 46.24 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Floats, Ints, Problem, Range, RunStream, SearchGenerator, SearchSpace, declare
from nasbench_strategies._models.existing import draw_existing
from nasbench_strategies._models.history import History


@declare(reproducible="platform")
def tpe(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 20,
    good_fraction: Annotated[float, Range(0, 1)] = 0.15,
    num_candidates: Annotated[int, Range(1)] = 24,
    prior_weight: Annotated[float, Range(0.001)] = 1.0,
) -> SearchGenerator:
    """Sample architectures from the choices of good results.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first estimate.
        good_fraction: Share of the results that are good.
        num_candidates: Draws from the estimate for each evaluation.
        prior_weight: Results that a uniform choice counts as.
    """
    space, history = problem.space, History()
    yield from history.start(space, rng, num_initial)
    while True:
        choices = space.choices(np.array(history.architectures))[np.argsort(history.losses, kind="stable")]
        num_good = min(max(int(np.ceil(good_fraction * len(choices))), 1), len(choices) - 1)
        good = chances(choices[:num_good], space.num_choices, prior_weight)
        others = chances(choices[num_good:], space.num_choices, prior_weight)
        candidates = draw(space, good, num_candidates, rng)
        ratios = np.log(good / others)[np.arange(space.num_decisions), candidates].sum(axis=1)
        found = space.from_choices(candidates)
        is_new = (found >= 0) & ~np.isin(found, history.seen)
        best = int(found[np.where(is_new, ratios, -np.inf).argmax()])
        history.add((yield best if is_new.any() else space.sample(rng)))


def chances(choices: Ints, num_choices: Ints, prior_weight: float) -> Floats:
    """Smoothed frequency of every choice, (num_decisions, most choices); 1 beyond a decision's own choices.

    Args:
        choices: Choices taken by the architectures of a group, shape (n, num_decisions).
        num_choices: Number of choices of each decision, shape (num_decisions,).
        prior_weight: Architectures that the uniform distribution counts as.
    """
    counts = (choices[:, :, None] == np.arange(num_choices.max())).sum(axis=0)
    smoothed = (counts + prior_weight / num_choices[:, None]) / (len(choices) + prior_weight)
    found: Floats = np.where(np.arange(num_choices.max()) < num_choices[:, None], smoothed, 1.0)
    return found


def draw(space: SearchSpace, chance: Floats, size: int, rng: RunStream) -> Ints:
    """Choices drawn for each decision by its chances, shape (size, num_decisions)."""
    thresholds = rng.uniform(size * len(chance)).reshape(size, len(chance))
    if space.is_sparse:
        return draw_existing(space, np.broadcast_to(chance, (size, *chance.shape)), thresholds)
    limits = np.minimum(chance.cumsum(axis=1), 1.0)
    limits[limits > 1 - 1e-9] = np.inf  # the last choice takes the rounding
    taken: Ints = (limits <= thresholds[:, :, None]).sum(axis=2)
    return taken
