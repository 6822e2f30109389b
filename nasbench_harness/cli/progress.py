"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nasbench_harness.api import Plan
    from nasbench_harness.engine.execution import BatchReport


@contextmanager
def progress_bar(plan: Plan) -> Iterator[Callable[[BatchReport], None]]:
    """Runs of a study, called with the report of each batch."""
    if not plan.batches:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda entry: click.echo(
            f"{entry.task}  {entry.label}: "
            + ("failed" if entry.failure else f"{entry.num_runs} runs, {entry.seconds:.2f} s"),
            err=True,
        )
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs", total=plan.num_runs)

        def advance(entry: BatchReport) -> None:
            bar.update(task, advance=entry.num_runs, description=f"{entry.task} {entry.label}")

        yield advance


@contextmanager
def counted(noun: str) -> Iterator[Callable[[int, int | None], None]]:
    """Report how many there are so far, and of how many: a bar on a terminal, else a line for every 1,000."""
    if not sys.stderr.isatty():

        def say(done: int, total: int | None) -> None:
            if done % 1_000 == 0:
                click.echo(f"{done:,}{f' of {total:,}' if total is not None else ''} {noun}", err=True)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def training_bar() -> Iterator[Callable[[int, int], None]]:
    """Finished trainings: a bar with the remaining time on a terminal, plain lines elsewhere (standard error)."""
    if not sys.stderr.isatty():
        yield lambda done, total: click.echo(f"{done} of {total} trainings", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("trainings", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
