"""Optuna: a sampler of the package, TPE by default, over one categorical parameter for each decision.

Akiba, Sano, Yanase, Ohta and Koyama, "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019; TPE:
Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.

    create a study in memory with the sampler, seeded from the run's stream
    repeat: ask for a trial and suggest a choice for each decision
            evaluate the architecture and tell the trial its losses; one without a value fails

Deviations: none from the package's defaults. Under constraints, the package is told which trials are infeasible; the
sampler "random" ignores it. Trials that are no architecture fail; after 1,000 in a row a uniform
architecture is evaluated and not told. One trial is evaluated at a time, at the highest fidelity: several workers are
refused. The installed version is a hyperparameter, and so part of the identity.

Reference: 91.53 / 73.21 / 46.18 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

import numpy as np

from nasbench_harness import Needs, OneOf, Problem, RunStream, declare
from nasbench_strategies._models.libraries import MAX_IMPOSSIBLE, check_version, installed_version, seed_of

VERSION = installed_version("optuna")


@declare(needs=Needs(packages=("optuna",)), reproducible="platform")
def optuna_search(
    problem: Problem,
    rng: RunStream,
    *,
    sampler: Annotated[str, OneOf("tpe", "nsga-ii", "random")] = "tpe",
    version: str = VERSION,
) -> Generator[Any, Any, None]:
    """Ask and tell a study of Optuna.

    Args:
        problem: The search view.
        rng: The run's stream.
        sampler: Sampler of the package at its defaults.
        version: Version of the package; the installed one.
    """
    check_version("optuna", version)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {
        "tpe": optuna.samplers.TPESampler,
        "nsga-ii": optuna.samplers.NSGAIISampler,
        "random": optuna.samplers.RandomSampler,
    }
    directions = [optuna.study.StudyDirection.MINIMIZE] * len(problem.objectives)
    study = optuna.create_study(sampler=kinds[sampler](seed=seed_of(rng)), directions=directions)
    decisions = [(f"decision {k}", list(range(count))) for k, count in enumerate(problem.space.num_choices.tolist())]
    failed = optuna.trial.TrialState.FAIL
    num_impossible = 0
    while True:
        trial = study.ask()
        choices = [trial.suggest_categorical(name, values) for name, values in decisions]
        architecture = int(problem.space.from_choices(np.array([choices]))[0])
        if architecture < 0:
            study.tell(trial, state=failed)
            num_impossible += 1
            if num_impossible < MAX_IMPOSSIBLE:
                continue
            yield int(problem.space.sample(rng))
            num_impossible = 0
            continue
        num_impossible = 0
        evaluation = yield architecture
        if problem.constraints:
            trial.set_constraint("feasible", float(not evaluation.feasible))
        if np.isfinite(evaluation.values).all():
            study.tell(trial, list(evaluation.values))
        else:
            study.tell(trial, state=failed)
