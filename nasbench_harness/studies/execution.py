"""Executes the batches of a study in this process or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.limits import check_limit
from nasbench_harness.errors import HarnessError
from nasbench_harness.store.identity import git_state
from nasbench_harness.studies.batches import BatchPlan, BatchResult, SentPlan, halves, joined
from nasbench_harness.studies.storing import record_lost, run_and_store, run_sent
from nasbench_harness.workers import stop_workers, submit

_MAX_DEATHS = 40  # of worker processes, until the search for the runs of a batch that kill them is given up


def execute(
    plans: Sequence[BatchPlan], rules: Rules, folder: Path, jobs: int, run_timeout: float | None = None
) -> Generator[BatchResult, None, None]:
    """Run batches in this process, or in ``jobs`` worker processes; reports come in the order of the plans.

    Runs that fail are recorded under ``failures/`` with their tracebacks; the others go on. When the caller stops
    early, by an exception or because it asks for no more reports, the workers are killed.

    Args:
        plans: The batches.
        rules: Protocol and study seed.
        folder: The study's folder.
        jobs: Worker processes; 1: none, this process does the work.
        run_timeout: Real seconds that a strategy may use for one run; None: any number.
    """
    git = git_state()
    if run_timeout is not None:
        check_limit(run_timeout)
    where = folder.absolute()
    if jobs == 1 or len(plans) <= 1:
        run_here = partial(run_and_store, rules=rules, folder=where, git=git, run_timeout=run_timeout)
        yield from map(run_here, plans)
        return
    run = partial(run_sent, rules=rules, folder=where, git=git, run_timeout=run_timeout)
    yield from _execute_in_workers(plans, run, partial(record_lost, rules=rules, folder=where), jobs)


def _execute_in_workers(
    plans: Sequence[BatchPlan],
    run: Callable[[SentPlan], BatchResult],
    lost: Callable[[BatchPlan, Mapping[int, Exception]], BatchResult],
    jobs: int,
) -> Iterator[BatchResult]:
    """At most ``jobs`` + 1 plans are handed out at a time, so that there is no queue to wait for at the end."""
    from loky.process_executor import BrokenProcessPool

    num_workers = min(jobs, len(plans))
    waiting = deque(enumerate(plans))
    pending: dict[Future[BatchResult], int] = {}
    done: dict[int, BatchResult] = {}
    next_report = 0

    def run_alone(plan: BatchPlan) -> BatchResult:
        """Run a plan in one worker; if that dies, its halves, to find the runs that kill it."""
        parts, reports, num_deaths = [plan], [], 0
        killers: dict[int, Exception] = {}
        while parts:
            part = parts.pop()
            try:
                reports.append(submit(1, run, SentPlan.of(part)).result())
            except BrokenProcessPool as error:
                num_deaths += 1
                seeds = part.run_seeds
                if len(seeds) == 1 or num_deaths >= _MAX_DEATHS:
                    killers |= dict.fromkeys(seeds.tolist(), cast(Exception, error))
                else:
                    parts += [replace(part, segments=half) for half in halves(seeds)]
        return joined([*reports, *([lost(plan, killers)] if killers else [])], plan)

    try:
        while waiting or pending:
            while waiting and len(pending) <= num_workers:
                position, plan = waiting.popleft()
                pending[submit(num_workers, run, SentPlan.of(plan))] = position
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            if any(isinstance(future.exception(), BrokenProcessPool) for future in finished):
                # A worker that dies takes the others' batches with it: one at a time, only the culprit's fails.
                finished, _ = wait(pending)
            for future in sorted(finished, key=pending.__getitem__):
                position = pending.pop(future)
                error, plan = future.exception(), plans[position]
                if isinstance(error, BrokenProcessPool):
                    done[position] = run_alone(plan)
                elif isinstance(error, HarnessError):  # the worker could not open the plan
                    done[position] = lost(plan, dict.fromkeys(plan.run_seeds.tolist(), error))
                else:
                    done[position] = future.result()
            while next_report in done:
                yield done.pop(next_report)
                next_report += 1
    except BaseException:
        stop_workers()
        raise
