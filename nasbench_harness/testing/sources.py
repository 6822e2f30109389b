"""Sources of other tasks for the trial of a strategy that needs them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.source_tasks import same_data
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.tables.registry import default_task_names


def sources_of(tasks: Sequence[str]) -> tuple[str, ...]:
    """For each task the first of its sources that holds the data of no other task, sorted."""
    chosen: set[str] = set()
    for task in tasks:
        others = (name for name in sources_for(task) if not any(name != one and same_data(name, one) for one in tasks))
        chosen.update(islice(others, 1))
    return tuple(sorted(chosen))


def sources_for(task: str) -> list[str]:
    """Other tasks of the same space that can be sources of a task: those of its table, or if it has none of others."""
    whole, at, without = task.partition("@")
    space, prefix = load_task(task).space.description(), f"{load_task(task).table.name}-"
    names = [f"{name}{at}{without}" for name in default_task_names() if name != whole]
    for of_table in (True, False):  # other tables are read only if this one has no source
        fitting = [name for name in names if name.startswith(prefix) == of_table]
        fitting = [name for name in fitting if _space_of(name) == space and not same_data(name, task)]
        if fitting:
            return fitting
    return []


def _space_of(task: str) -> dict[str, Any] | None:
    """Description of a task's space; None if a choice that is left out is none of its choices."""
    try:
        return load_task(task).space.description()
    except InvalidInputError:
        return None
