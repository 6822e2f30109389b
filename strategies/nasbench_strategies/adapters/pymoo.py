"""pymoo: an algorithm of the package over one integer for each decision, asked and told.

Blank and Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 2020; NSGA-II: Deb, Pratap, Agarwal and
Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation
2002.

    set the algorithm up with integer sampling, crossover and mutation, seeded from the run's stream
    repeat: ask for a population, evaluate its members one after another, and tell it their losses

Deviations: populations of 20, as 150 evaluations are few; integers come from rounded real operators, as the package
documents. A member without a value, an infeasible one, or one that is no architecture, counts as worse than every other
member. After 1,000 members in a row that are no architecture a uniform one is evaluated and not told. If the package
finds no new child, as in a space that is used up, the other architectures of the run are uniform. One member is
evaluated at a time, at the highest fidelity: several workers are refused. The installed version is a hyperparameter,
and so part of the identity.

Reference: 91.46 / 72.98 / 46.20 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

import numpy as np

from nasbench_harness import Needs, OneOf, Problem, Range, RunStream, declare
from nasbench_strategies._models.libraries import (
    MAX_IMPOSSIBLE,
    check_version,
    finite_losses,
    installed_version,
    seed_of,
)

VERSION = installed_version("pymoo")


@declare(needs=Needs(packages=("pymoo",)), reproducible="platform")
def pymoo_search(
    problem: Problem,
    rng: RunStream,
    *,
    algorithm: Annotated[str, OneOf("ga", "de", "nsga-ii")] = "ga",
    population_size: Annotated[int, Range(4)] = 20,
    version: str = VERSION,
) -> Generator[Any, Any, None]:
    """Ask and tell an algorithm of pymoo.

    Args:
        problem: The search view.
        rng: The run's stream.
        algorithm: Algorithm of the package; only "nsga-ii" searches for several objectives.
        population_size: Members of a population.
        version: Version of the package; the installed one.
    """
    check_version("pymoo", version)
    search = _algorithm(algorithm, population_size)
    num_objectives = len(problem.objectives) if algorithm == "nsga-ii" else 1  # the others know the first only
    search.setup(_decisions(problem, num_objectives), seed=seed_of(rng), verbose=False)
    num_impossible = 0
    while (members := search.ask()) is not None:
        told = []
        for architecture in problem.space.from_choices(members.get("X").astype(np.int64)).tolist():
            evaluation = None
            if architecture >= 0:
                evaluation = yield architecture
            elif num_impossible == MAX_IMPOSSIBLE:
                yield int(problem.space.sample(rng))
            num_impossible = 0 if architecture >= 0 or num_impossible == MAX_IMPOSSIBLE else num_impossible + 1
            told.append(finite_losses(evaluation, len(problem.objectives)))
        members.set("F", np.array(told)[:, :num_objectives])
        search.tell(infills=members)
    while True:  # the package found no child that is new
        yield int(problem.space.sample(rng))


def _decisions(problem: Problem, num_objectives: int) -> Any:
    from pymoo.core.problem import Problem as Space

    highest = problem.space.num_choices - 1
    return Space(n_var=len(highest), n_obj=num_objectives, xl=np.zeros(len(highest)), xu=highest, vtype=int)


def _algorithm(name: str, population_size: int) -> Any:
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    options: dict[str, Any] = {
        "pop_size": population_size,
        "sampling": IntegerRandomSampling(),
        "termination": NoTermination(),
    }
    if name == "de":
        from pymoo.algorithms.soo.nonconvex.de import DE

        return DE(repair=RoundingRepair(), **options)
    options["crossover"] = SBX(vtype=float, repair=RoundingRepair())
    options["mutation"] = PM(vtype=float, repair=RoundingRepair())
    if name == "ga":
        from pymoo.algorithms.soo.nonconvex.ga import GA

        return GA(eliminate_duplicates=True, **options)
    from pymoo.algorithms.moo.nsga2 import NSGA2

    return NSGA2(eliminate_duplicates=True, **options)
