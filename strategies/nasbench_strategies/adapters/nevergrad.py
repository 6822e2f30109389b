"""Nevergrad: an optimizer of the package over one integer for each decision, asked and told.

Bennet, Doerr, Moreau, Rapin, Teytaud and Teytaud, "Nevergrad: Black-Box Optimization Platform", SIGEVOlution 2021.

    create the optimizer for an array of integers, seeded from the run's stream
    repeat: ask for a point, evaluate the architecture, tell its losses

Deviations: choices are rounded numbers, as the package's own choices take several times longer to propose. A point
without a value, an infeasible one, or one that is no architecture, counts as worse than every other point. With
several objectives it is not told, as it would spoil the reference point of the package. Until one is feasible and has a
value, uniform points are suggested to the package. After 1,000 points in a row that are no architecture a uniform one
is evaluated and not told. One point is evaluated at a time, at the highest fidelity: several workers are refused. The
installed version is a hyperparameter, and so part of the identity.

Reference: 91.48 / 72.85 / 46.14 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Annotated, Any

import numpy as np

from nasbench_harness import Needs, OneOf, Problem, RunStream, declare
from nasbench_strategies._models.libraries import (
    MAX_IMPOSSIBLE,
    WORST,
    check_version,
    finite_losses,
    installed_version,
    seed_of,
)

VERSION = installed_version("nevergrad")


@declare(needs=Needs(packages=("nevergrad",)), reproducible="platform")
def nevergrad_search(
    problem: Problem,
    rng: RunStream,
    *,
    optimizer: Annotated[
        str,
        OneOf("DiscreteOnePlusOne", "DoubleFastGADiscreteOnePlusOne", "PortfolioDiscreteOnePlusOne", "TwoPointsDE"),
    ] = "DiscreteOnePlusOne",
    version: str = VERSION,
) -> Generator[Any, Any, None]:
    """Ask and tell an optimizer of Nevergrad.

    Args:
        problem: The search view.
        rng: The run's stream.
        optimizer: Name in the package's registry.
        version: Version of the package; the installed one.
    """
    check_version("nevergrad", version)
    import nevergrad

    highest = problem.space.num_choices - 1
    parametrization = nevergrad.p.Array(init=highest / 2)
    # Before the bounds, which would draw a seed from NumPy's global generator.
    parametrization.random_state = np.random.RandomState(seed_of(rng))
    with warnings.catch_warnings():  # about decisions of two choices
        warnings.simplefilter("ignore", nevergrad.errors.NevergradRuntimeWarning)
        parametrization.set_bounds(-0.49 + 0 * highest, highest + 0.49)
    parametrization.set_integer_casting()
    budget = problem.budget.evaluations
    search = nevergrad.optimizers.registry[optimizer](parametrization=parametrization, budget=budget, num_workers=1)
    num_impossible, has_any = 0, False
    while True:
        point = search.ask()
        architecture = int(problem.space.from_choices(point.value[None].astype(np.int64))[0])
        evaluation = None
        if architecture >= 0:
            evaluation = yield architecture
        elif num_impossible == MAX_IMPOSSIBLE:
            yield int(problem.space.sample(rng))
        num_impossible = 0 if architecture >= 0 or num_impossible == MAX_IMPOSSIBLE else num_impossible + 1
        told = finite_losses(evaluation, len(problem.objectives))
        has_any |= told[0] < WORST
        if len(told) == 1:
            search.tell(point, told[0])
        elif told[0] < WORST:  # otherwise it would be the reference point of the hypervolume
            with warnings.catch_warnings():  # about its own value for a point that is worse in each objective
                warnings.simplefilter("ignore", nevergrad.errors.BadLossWarning)
                search.tell(point, told)
        if not has_any:  # the package would stay near its first point
            search.suggest(problem.space.choices(np.array([problem.space.sample(rng)]))[0].astype(np.float64))
