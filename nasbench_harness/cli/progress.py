"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from nasbench_harness.cli.base import say

if TYPE_CHECKING:
    from nasbench_harness.api import Plan
    from nasbench_harness.studies.batches import BatchResult

_SECONDS_BETWEEN_LINES = 10


@contextmanager
def progress_bar(plan: Plan) -> Iterator[Callable[[BatchResult], None]]:
    """Runs of a study, called with the report of each batch; trainings in this process are shown, too."""
    if not plan.batches:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        last = -math.inf

        def count(name: str, number: int) -> None:
            nonlocal last
            if monotonic() - last >= _SECONDS_BETWEEN_LINES:
                last = monotonic()
                say(f"{name}: {number:,} architectures trained")

        with _learning(plan, count):
            yield lambda entry: say(
                f"{entry.task}  {entry.label}: "
                + (f"{entry.num_failed} of " if entry.failure else "")
                + f"{entry.num_runs} runs{' failed' if entry.failure else ''}, {entry.seconds:.2f} s"
            )
        return
    with _bar("runs", plan.num_runs) as update:

        def advance(entry: BatchResult) -> None:
            update(advance=entry.num_runs, description=f"{entry.task} {entry.label}")

        def show(name: str, number: int) -> None:
            update(description=f"{name}: {number:,} architectures trained")

        with _learning(plan, show):
            yield advance


@contextmanager
def _learning(plan: Plan, say: Callable[[str, int], None]) -> Iterator[None]:
    """Have oracles that learn answers on demand tell how many they have learned; only those of this process can."""
    tasks = {batch.task for batch in plan.batches} if plan.options.jobs == 1 else set()
    oracles = {task.name: task.trained.oracle for task in tasks if task.trained is not None}
    for name, oracle in oracles.items():
        oracle.on_learned = partial(say, name)
    try:
        yield
    finally:
        for oracle in oracles.values():
            oracle.on_learned = None


@contextmanager
def counted(noun: str, every: int = 1_000) -> Iterator[Callable[[int, int | None], None]]:
    """Report how many there are so far, and of how many: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():

        def count(done: int, total: int | None) -> None:
            if done % every == 0:
                say(f"{done:,}{f' of {total:,}' if total is not None else ''} {noun}")

        yield count
        return
    with _bar(noun) as update:
        yield lambda done, total: update(completed=done, total=total)


@contextmanager
def training_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Finished trainings and their purpose: a bar with the remaining time on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield lambda done, total, noun: say(f"{done} of {total} {noun}")
        return
    with _bar("trainings") as update:
        yield lambda done, total, noun: update(completed=done, total=total, description=noun)


@contextmanager
def _bar(description: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on a terminal; yields a function that changes it, with the arguments of rich's ``Progress.update``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield partial(bar.update, bar.add_task(description, total=total))
