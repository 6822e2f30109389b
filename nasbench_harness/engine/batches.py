"""Runs of one strategy on one task that advance together; nothing is stored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.lifting import NOT_OF_STRATEGIES, as_exception
from nasbench_harness.engine.loop import StrategyFailed, play, run_batch
from nasbench_harness.engine.needs import granted_problem
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.strategy import Strategy
from nasbench_harness.engine.tiles import Tiles
from nasbench_harness.engine.trace import Batch
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.run_files import RunFiles
from nasbench_harness.evaluation.sources import SourceReads
from nasbench_harness.evaluation.task import Task
from nasbench_harness.evaluation.training_data import ImageSource


@dataclass(frozen=True)
class Rules:
    """Rules that all runs of a study share.

    Attributes:
        protocol: The protocol.
        study_seed: Seed of the whole study.
        images: Training data for strategies that need them; None: there are none.
    """

    protocol: Protocol
    study_seed: int
    images: ImageSource | None = None


def run_seeds(spec: ResolvedStrategy, task: Task, rules: Rules, seeds: Ints) -> Batch:
    """Run these seeds of a strategy on a task and return their trace; nothing is stored.

    Raises:
        StrategyError: The strategy broke its contract; its other exceptions are raised as they are.
    """
    view = task.under(rules.protocol)
    problem = granted_problem(spec, view, rules.images, (), rules.study_seed, seeds)
    make = partial(spec.make, problem, task.name, rules.study_seed, seeds)
    with _prints_to_stderr():
        return run_batch(make, task, rules.protocol, rules.study_seed, seeds, problem.sources.reads)


@dataclass(frozen=True)
class Part:
    """Runs that were played together.

    Attributes:
        seeds: Their seeds, shape (num_runs,).
        batch: Their rows; None if the strategy failed, and nobody knows in which of them.
        failures: Error of each run that failed, by its seed; without ``batch`` the first one stands for all.
        num_evaluations: Evaluations that were charged to all of them, failed ones included.
        lookups: How many values of each free metric each run read, shape (num_runs,).
        sources: Counts of the evaluations of sources that the runs read; None: the strategy reads none.
    """

    seeds: Ints
    batch: Batch | None
    failures: dict[int, Exception]
    num_evaluations: int
    lookups: dict[str, Ints] = field(default_factory=dict)
    sources: SourceReads | None = None


def run_parts(
    spec: ResolvedStrategy,
    task: Task,
    rules: Rules,
    seeds: Ints,
    run_timeout: float | None = None,
    files: Callable[[int], RunFiles] | None = None,
) -> list[Part]:
    """Run these seeds like ``run_seeds``; runs that fail are listed, and the others go on.

    A lockstep class that raises does not say which run it stumbled over. Its runs are then played again in halves,
    and the halves that fail in halves again: a run's trace does not depend on the runs beside it.

    Args:
        spec: The strategy.
        task: The task.
        rules: Protocol and study seed.
        seeds: Seed of each run, shape (num_runs,).
        run_timeout: Real seconds that the strategy may use for one run; None: any number.
        files: Gives the files of the run with a seed; None: runs keep none.
    """
    part = run_together(spec, task, rules, seeds, run_timeout, files)
    if part.batch is not None or len(seeds) == 1:
        return [part]
    middle = (len(seeds) + 1) // 2
    return [
        part
        for half in (seeds[:middle], seeds[middle:])
        for part in run_parts(spec, task, rules, half, run_timeout, files)
    ]


def run_together(
    spec: ResolvedStrategy,
    task: Task,
    rules: Rules,
    seeds: Ints,
    run_timeout: float | None = None,
    files: Callable[[int], RunFiles] | None = None,
) -> Part:
    """Run these seeds once (arguments: see ``run_parts``); after an error of a lockstep class there is no batch."""
    of_runs = [] if files is None else [files(seed) for seed in seeds.tolist()]
    problem = granted_problem(spec, task.under(rules.protocol), rules.images, of_runs, rules.study_seed, seeds)
    reads = problem.sources.reads
    try:
        with _prints_to_stderr():
            strategy = _made(spec, problem, task.name, rules, seeds)
            batch = play(strategy, task, rules.protocol, rules.study_seed, seeds, run_timeout, reads)
    except StrategyFailed as failed:
        error = cast(Exception, failed.__cause__)
        return Part(seeds, None, {int(seeds[0]): error}, failed.num_evaluations, sources=reads)
    failures = {int(seeds[run]): error for run, error in batch.failures.items()}
    for seed in seeds[batch.is_empty].tolist():
        empty = StrategyError(f"{strategy.name}: the run ended without an evaluation or a recommendation")
        failures.setdefault(seed, empty)
    lookups = strategy.lookup_counts() if isinstance(strategy, Tiles) else problem.lookup_counts(len(seeds))
    return Part(seeds, batch, failures, batch.num_evaluations, lookups, reads)


def _made(spec: ResolvedStrategy, problem: Problem, task: str, rules: Rules, seeds: Ints) -> Strategy:
    """``ResolvedStrategy.make``; errors of the constructor count as the strategy's, ``sys.exit`` included.

    Raises:
        StrategyFailed: The constructor raised.
    """
    try:
        return spec.make(problem, task, rules.study_seed, seeds)
    except NOT_OF_STRATEGIES:
        raise
    except BaseException as error:
        raise StrategyFailed from as_exception(spec.label, error)


@contextmanager
def _prints_to_stderr() -> Iterator[None]:
    """Send a strategy's prints to standard error: standard output holds the results of a command."""
    with redirect_stdout(sys.stderr):
        yield
