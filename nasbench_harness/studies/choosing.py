"""Strategies and tasks of a study, from the names that a user gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any, TypeVar

import numpy as np

from nasbench_harness.engine.needs import granted_problem
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import HarnessError, InvalidInputError, StrategyError
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import check_task_name, load_task
from nasbench_harness.evaluation.task_names import all_task_names
from nasbench_harness.evaluation.training_data import ImageSource
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import (
    StrategyRef,
)
from nasbench_harness.store.sources import check_task_exists
from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES, names_of, strategy_entry_points
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.tables.registry import default_task_names
from nasbench_harness.untrusted import first_line

Item = TypeVar("Item")


StrategyLike = str | StrategyRef | Callable[..., Any]


def strategy_refs(strategies: Iterable[StrategyLike] | None) -> list[StrategyRef]:
    """Strategies as they were given, as entries; the default ones if none are given.

    Raises:
        InvalidInputError: They are no list, or cannot be read.
    """
    if strategies is None:
        return [StrategyRef(name) for name in DEFAULT_STRATEGIES]
    return [
        parse_strategy(item) if isinstance(item, str) else item if isinstance(item, StrategyRef) else StrategyRef(item)
        for item in listed("strategies", strategies)
    ]


def listed(name: str, values: Iterable[Item]) -> Iterable[Item]:
    """The values, unless they are a text or a mapping.

    Raises:
        InvalidInputError: They are one of these.
    """
    if isinstance(values, str):
        raise InvalidInputError(f"{name} must be a list, not the text {values!r}")
    if isinstance(values, Mapping):
        hint = '; StrategyRef(my_search, "mine") gives a label' if name == "strategies" else ""
        raise InvalidInputError(f"{name} must be a list, not a dictionary{hint}")
    return values


def usable_strategies(
    families: Sequence[str] | None,
    tasks: Iterable[str] | None,
    protocol: Protocol,
    images: ImageSource | None = None,
) -> tuple[list[StrategyRef], list[str]]:
    """Installed strategies that can run on all of these tasks, and a line for each other one.

    Args:
        families: Their families; None: all.
        tasks: Names of tasks; None: the default ones.
        protocol: The protocol.
        images: Training data; None: there are none.

    Raises:
        UnknownNameError: There is no such family or task.
        InvalidInputError: None of the strategies can run.
    """
    views = [load_task(name).under(protocol) for name in task_list(tasks)]
    entries, left_out = [], []
    for name in strategy_entry_points() if families is None else names_of(families):
        try:
            spec = resolve(StrategyRef(name))
            for view in views:
                check_constructor(spec, granted_problem(spec, view, images), view.name)
        except HarnessError as error:
            left_out.append(f"left out: {error}")
        else:
            entries.append(StrategyRef(name))
    if not entries:
        raise InvalidInputError("\n".join(["none of these strategies can run on these tasks", *left_out]))
    return entries, left_out


def check_constructor(spec: ResolvedStrategy, problem: Problem, task: str, study_seed: int = 0) -> None:
    """Build a strategy once, so that one that cannot be built ends the command before any run.

    Raises:
        StrategyError: The constructor fails; names the place.
        HarnessError: A hyperparameter has no sensible value, or none for this task.
    """
    try:
        spec.make(problem, task, study_seed, np.arange(1))
    except InvalidInputError as error:
        raise InvalidInputError(f"strategy {spec.label}: {error}") from error
    except HarnessError:
        raise
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        raise StrategyError(
            f"strategy {spec.label} cannot be built for {task}: {type(error).__name__}: {first_line(error)} ({where})"
        ) from error


def task_list(tasks: Iterable[str] | None, folder: StudyFolder | None = None) -> list[str]:
    """Names of tasks, checked; those on tables of installed packages but tiny201 if none are given.

    Args:
        tasks: Their names.
        folder: A study that may know the source of a task's table.

    Raises:
        InvalidInputError: They are no list, none, or one is named twice.
        UnknownNameError: There is no such task.
        StoreError: The table of a task is not here, but was when the study ran.
    """
    names = default_task_names() if tasks is None else list(listed("tasks", tasks))
    if not names:
        raise InvalidInputError("no tasks given: name at least one")
    for name in names:
        if folder is not None:
            check_task_exists(folder, name, all_task_names())
        check_task_name(name)
        if names.count(name) > 1:
            raise InvalidInputError(f"task {name} is named twice")
    return names
