"""Names of tasks: all that exist, and lists of them as users write them."""

from __future__ import annotations

from nasbench_harness.tables.registry import task_names, trained_task_names
from nasbench_harness.tables.restricted import MARK


def all_task_names() -> list[str]:
    """Every task: those on tables, then those that train on demand."""
    return [*task_names(), *trained_task_names()]


def split_task_names(text: str) -> list[str]:
    """Names of tasks with commas between them; a part that is no task belongs to the ``@without=`` before it."""
    names: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if names and MARK in names[-1] and part.partition("@")[0] not in all_task_names():
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names
