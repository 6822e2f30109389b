"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from nasbench_harness.cli.base import say
from nasbench_harness.words import plural

if TYPE_CHECKING:
    from nasbench_harness.api import Plan
    from nasbench_harness.studies.batches import BatchResult

_SECONDS_BETWEEN_LINES = 10
_PATIENCE_S = 15.0  # until a batch counts as slow


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
                + f"{plural(entry.num_runs, 'run')}{' failed' if entry.failure else ''}, {entry.seconds:.2f} s"
            )
        return
    with _bar("runs", plan.num_runs) as (update, print_line), _slow_batches(plan, print_line) as next_batch:

        def advance(entry: BatchResult) -> None:
            update(advance=entry.num_runs, description=f"{entry.task} {entry.label}")
            next_batch()

        def show(name: str, number: int) -> None:
            update(description=f"{name}: {number:,} architectures trained")

        with _learning(plan, show):
            yield advance


@contextmanager
def _slow_batches(plan: Plan, print_line: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Name a batch that takes long, once for each strategy and task; call the result when the next batch begins."""
    batches, position, start = plan.batches, 0, monotonic()
    ended, named = threading.Event(), set()

    def next_batch() -> None:
        nonlocal position, start
        position, start = position + 1, monotonic()

    def watch() -> None:
        while not ended.wait(min(1.0, _PATIENCE_S)):
            if position < len(batches) and monotonic() - start >= _PATIENCE_S:
                batch = batches[position]
                pair = (batch.spec.label, batch.task.name)
                if pair not in named and batch.task.trained is None:
                    named.add(pair)
                    seeds = batch.run_seeds
                    print_line(
                        f"{pair[0]} on {pair[1]}: seeds {seeds[0]}-{seeds[-1]} have run for {_PATIENCE_S:g} s; "
                        "--run-timeout SECONDS ends a run that takes longer"
                    )

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield next_batch
    finally:
        ended.set()
        watcher.join()


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
    with _bar(noun) as (update, _):
        yield lambda done, total: update(completed=done, total=total)


@contextmanager
def training_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Finished trainings and their purpose: a bar with the remaining time on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield lambda done, total, noun: say(f"{done} of {total} {noun}")
        return
    with _bar("trainings") as (update, _):
        yield lambda done, total, noun: update(completed=done, total=total, description=noun)


@contextmanager
def _bar(description: str, total: int | None = None) -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """A bar on a terminal; yields rich's ``Progress.update`` for it, and a function that prints a line above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        print_line = partial(bar.console.print, markup=False, highlight=False)
        yield partial(bar.update, bar.add_task(description, total=total)), print_line
