"""Lines of a plan about choices that often surprise: small budgets, changed defaults, tight constraints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.record import StudyRecord

# Hyperparameters that are the number of architectures that a strategy evaluates before it learns from results.
_INITIAL = ("population_size", "num_initial")


def initial_only(specs: Sequence[ResolvedStrategy], protocol: Protocol) -> Iterator[str]:
    """A line for each strategy whose initial architectures use up the budget, by its hyperparameters' names."""
    budget = protocol.evaluations
    if budget is None or protocol.duplicates != "charge":
        return
    for spec in specs:
        for name in _INITIAL:
            number = spec.parameters.get(name)
            if isinstance(number, int) and number >= budget:
                yield (
                    f"{spec.label} evaluates initial architectures only: {name} is {number:,}, and the budget has "
                    f"{budget:,} evaluation{'s' * (budget > 1)}"
                )


def changed_hyperparameters(stored: StudyRecord | None, record: StudyRecord) -> Iterator[str]:
    """A line for each strategy whose hyperparameters differ from those under the same label in the stored study."""
    known = {} if stored is None else {strategy.label: strategy for strategy in stored.strategies}
    for strategy in record.strategies:
        before = known.get(strategy.label, strategy)
        if before.reference != strategy.reference:
            yield f"{strategy.label} is {strategy.reference} now, and was {before.reference} in this study: runs again"
            continue
        pair = before.parameters, strategy.parameters
        # As text, since 1 and 1.0 are two runs.
        old, new = ({name: json.dumps(value) for name, value in each.items() if value is not None} for each in pair)
        names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        if names:
            here, there = (
                ", ".join(f"{name} {each.parameters.get(name, 'not set')}" for name in names)
                for each in (strategy, before)
            )
            yield f"{strategy.label} has {here} now, and had {there} in this study: runs again"


def feasible_shares(tasks: Sequence[TaskView]) -> Iterator[str]:
    """A line for each task of a table under constraints: how many architectures meet them."""
    for task in tasks:
        if task.constraints and task.task.trained is None:
            size = task.task.space.num_architectures
            count = int(np.isfinite(task.noiseless_losses).all(axis=1).sum())
            yield f"{task.name}: {count:,} of {size:,} architectures ({100 * count / size:.3g} %) meet the constraints"
