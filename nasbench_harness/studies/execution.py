"""Runs what a study still lacks: plans batches, runs them here or in worker processes, stores their blocks."""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, cast

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.lifting import STRATEGY_ERRORS, LiftedGenerators, as_exception
from nasbench_harness.engine.limits import check_limit
from nasbench_harness.engine.loop import Batch, StrategyFailed, play, run_batch
from nasbench_harness.engine.strategy import Strategy
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.engine.tiles import Tiles
from nasbench_harness.engine.trace import joined_rows
from nasbench_harness.errors import HarnessError, StrategyError
from nasbench_harness.evaluation.hashing import Words
from nasbench_harness.evaluation.ledger import expected_evaluations, visit_type
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, open_task
from nasbench_harness.store.blocks import CELL, write_block
from nasbench_harness.store.folder import StudyFolder, seed_ranges
from nasbench_harness.store.identity import git_state, identity_of, run_id, versions
from nasbench_harness.store.record import TraceRecord
from nasbench_harness.studies.needs import check_needs
from nasbench_harness.studies.references import Spec
from nasbench_harness.studies.replay import ReplaySpec, TraceRows
from nasbench_harness.untrusted import below
from nasbench_harness.workers import stop_workers, worker_pool

_MAX_VISIT_BYTES = 32 * 2**20
_MAX_ROWS = 2_000_000  # rows of one batch's trace, about 70 MB
_MAX_LINES = 5  # different errors of a batch that are printed; the log has all
_MAX_RANGES = 3  # ranges of seeds in a message
_MAX_DEATHS = 40  # of worker processes, until the search for the runs of a batch that kill them is given up
_NOT_COUNTED = [Status.PROGRESS, Status.DUPLICATE, Status.REJECTED]


@dataclass(frozen=True)
class Rules:
    """What all runs of a study share."""

    protocol: Protocol
    study_seed: int


@dataclass(frozen=True)
class BatchPlan:
    """Runs that advance together, and the blocks (first seed, last seed) they fill."""

    spec: Spec
    task: Task
    blocks: tuple[tuple[int, int], ...]

    @property
    def run_seeds(self) -> Ints:
        """Seed of each run, shape (num_runs,)."""
        return np.concatenate([np.arange(first, last + 1) for first, last in self.blocks])


@dataclass(frozen=True)
class SentPlan:
    """A plan on its way to a worker, which opens the task and reads a trace's rows itself.

    It holds no array of a table, no value that runs are scored by, and no path of this machine.

    Attributes:
        strategy: The strategy, or the record of a trace whose rows lie in the study's folder.
        task: Name of the task.
        digest: Digest of its table.
        blocks: See BatchPlan.
    """

    strategy: Spec | TraceRecord
    task: str
    digest: str
    blocks: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, plan: BatchPlan) -> SentPlan:
        """The plan, ready to be sent."""
        spec = plan.spec
        strategy = spec.trace.record(spec.label) if isinstance(spec, ReplaySpec) else spec
        return cls(strategy, plan.task.name, plan.task.table.digest, plan.blocks)

    def opened(self, study: StudyFolder) -> BatchPlan:
        """The plan where it has arrived.

        Raises:
            HarnessError: The task is not here, its table differs from the study's, or the trace is missing.
        """
        spec = self.strategy
        if isinstance(spec, TraceRecord):
            spec = ReplaySpec.of(spec, TraceRows.read(study.trace_path(spec.sha256), spec))
        return BatchPlan(spec, open_task(self.task, self.digest), self.blocks)


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch.

    Attributes:
        label: The strategy.
        task: The task.
        num_runs: Runs of the batch.
        num_evaluations: Evaluations of the runs that were stored.
        seconds: Real seconds.
        failure: A line for each different error: strategy, task, seeds, message and log; empty if every run is stored.
        num_failed: Runs that were not stored.
    """

    label: str
    task: str
    num_runs: int
    num_evaluations: int = 0
    seconds: float = 0.0
    failure: str = ""
    num_failed: int = 0


def identity(spec: Spec, task: Task, rules: Rules) -> dict[str, Any]:
    """Identity of a strategy's runs on a task."""
    return identity_of(spec.reference, spec.parameters, task.name, task.table.digest, rules.protocol, rules.study_seed)


def make_strategy(spec: Spec, problem: Problem, task: str, rules: Rules, run_seeds: Ints) -> Strategy:
    """Build a strategy for these runs: a lockstep class as it is or in tiles, a generator function lifted.

    Raises:
        InvalidInputError: A hyperparameter has no sensible value.
        StrategyError: The constructor called ``sys.exit``.
    """
    if isinstance(spec, ReplaySpec):
        return spec.make(task, run_seeds)
    keys = stream_keys(rules.study_seed, spec.reference, task, run_seeds)
    if spec.is_generator:
        return LiftedGenerators(problem, keys, spec.target, dict(spec.parameters))

    def make(tile_keys: Words) -> Strategy:
        view = problem if tile is None else problem.of_group()
        try:
            strategy: Strategy = spec.target(view, RunStreams(tile_keys), **spec.parameters)
        except SystemExit as error:  # it would end the command with the strategy's exit code
            raise as_exception(spec.label, error) from error
        return strategy

    tile = spec.target.tile  # type: ignore[attr-defined]  # a Strategy class, checked when it was resolved
    return make(keys) if tile is None else Tiles(make, tile, keys, run_seeds)


def run_seeds(spec: Spec, task: Task, rules: Rules, seeds: Ints) -> Batch:
    """Run these seeds of a strategy on a task and return their trace; nothing is stored.

    Raises:
        StrategyError: The strategy broke its contract; its other exceptions are raised as they are.
    """
    view = task.under(rules.protocol)
    check_needs(spec, view)
    problem = view.problem()
    make = partial(make_strategy, spec, problem, task.name, rules, seeds)
    with _prints_to_stderr():
        return run_batch(make, task, rules.protocol, rules.study_seed, seeds)


@dataclass(frozen=True)
class Part:
    """Runs that were played together.

    Attributes:
        seeds: Their seeds, shape (num_runs,).
        batch: What they did; None if the only run failed.
        failures: Error of each run that failed, by its seed.
        lookups: How many values of each free metric each run read, shape (num_runs,).
    """

    seeds: Ints
    batch: Batch | None
    failures: dict[int, Exception]
    lookups: dict[str, Ints] = field(default_factory=dict)


def run_parts(spec: Spec, task: Task, rules: Rules, seeds: Ints, run_timeout: float | None = None) -> list[Part]:
    """Run these seeds like ``run_seeds``; runs that fail are listed, and the others go on.

    A lockstep class that raises does not say which run it stumbled over. Its runs are then played again in halves,
    and the halves that fail in halves again: a run's trace does not depend on the runs beside it.

    Args:
        spec: The strategy.
        task: The task.
        rules: Protocol and study seed.
        seeds: Seed of each run, shape (num_runs,).
        run_timeout: Real seconds that the strategy may use for one run; None: any number.
    """
    view = task.under(rules.protocol)
    check_needs(spec, view)
    problem = view.problem()
    try:
        with _prints_to_stderr():
            strategy = _made(spec, problem, task.name, rules, seeds)
            batch = play(strategy, task, rules.protocol, rules.study_seed, seeds, run_timeout)
    except StrategyFailed as failed:
        if len(seeds) == 1:
            return [Part(seeds, None, {int(seeds[0]): cast(Exception, failed.__cause__)})]
        middle = (len(seeds) + 1) // 2
        return [
            part
            for half in (seeds[:middle], seeds[middle:])
            for part in run_parts(spec, task, rules, half, run_timeout)
        ]
    failures = {int(seeds[run]): error for run, error in batch.failures.items()}
    for seed in seeds[batch.is_empty].tolist():
        error = StrategyError(f"{strategy.name}: the run ended without an evaluation or a recommendation")
        failures.setdefault(seed, error)
    lookups = strategy.lookup_counts() if isinstance(strategy, Tiles) else problem.lookup_counts(len(seeds))
    return [Part(seeds, batch, failures, lookups)]


def _made(spec: Spec, problem: Problem, task: str, rules: Rules, seeds: Ints) -> Strategy:
    """``make_strategy``; errors of the constructor count as the strategy's, ``sys.exit`` included.

    Raises:
        StrategyFailed: The constructor raised.
    """
    try:
        return make_strategy(spec, problem, task, rules, seeds)
    except STRATEGY_ERRORS as error:
        raise StrategyFailed from as_exception(spec.label, error)


@contextmanager
def _prints_to_stderr() -> Iterator[None]:
    """Send a strategy's prints to standard error: standard output holds the results of a command."""
    with redirect_stdout(sys.stderr):
        yield


def plan_batches(spec: Spec, task: Task, ranges: Sequence[tuple[int, int]], protocol: Protocol) -> list[BatchPlan]:
    """Group blocks into batches whose visit counts and traces stay within their memory.

    A batch has at most ``max_runs`` of the strategy, and so have its blocks. A batch of generators has at most 100
    runs: they take turns at every step, and the state of many of them does not fit into the processor's caches.
    """
    bytes_per_run = task.space.num_architectures * np.dtype(visit_type(protocol)).itemsize
    max_runs = max(CELL, min(_MAX_VISIT_BYTES // bytes_per_run, _MAX_ROWS // expected_evaluations(task, protocol)))
    if spec.is_generator:
        max_runs = CELL
    if spec.max_runs is not None:
        max_runs = min(max_runs, spec.max_runs)
    batches: list[list[tuple[int, int]]] = []
    num_runs = max_runs
    for start, end in ranges:
        for first in range(start, end + 1, max_runs):
            last = min(first + max_runs - 1, end)
            if num_runs + last - first + 1 > max_runs:
                batches.append([])
                num_runs = 0
            batches[-1].append((first, last))
            num_runs += last - first + 1
    return [BatchPlan(spec, task, tuple(blocks)) for blocks in batches]


def execute(
    plans: Sequence[BatchPlan], rules: Rules, folder: Path, jobs: int, run_timeout: float | None = None
) -> Generator[BatchReport, None, None]:
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
        run_here = partial(_run_and_store, rules=rules, folder=where, git=git, run_timeout=run_timeout)
        yield from map(run_here, plans)
        return
    run = partial(_run_sent, rules=rules, folder=where, git=git, run_timeout=run_timeout)
    yield from _execute_in_workers(plans, run, partial(_lost, rules=rules, folder=where), jobs)


def _execute_in_workers(
    plans: Sequence[BatchPlan],
    run: Callable[[SentPlan], BatchReport],
    lost: Callable[[BatchPlan, Mapping[int, Exception]], BatchReport],
    jobs: int,
) -> Iterator[BatchReport]:
    """At most ``jobs`` + 1 plans are handed out at a time, so that there is no queue to wait for at the end."""
    from loky.process_executor import BrokenProcessPool

    num_workers = min(jobs, len(plans))
    waiting = deque(enumerate(plans))
    pending: dict[Future[BatchReport], int] = {}
    done: dict[int, BatchReport] = {}
    next_report = 0

    def submit(plan: BatchPlan, num_workers: int) -> Future[BatchReport]:
        try:
            submitted: Future[BatchReport] = worker_pool(num_workers).submit(run, SentPlan.of(plan))
            return submitted
        except BrokenProcessPool as error:  # a worker died this moment
            broken: Future[BatchReport] = Future()
            broken.set_exception(error)
            return broken

    def run_alone(plan: BatchPlan) -> BatchReport:
        """Run a plan in one worker; if that dies, its halves, to find the runs that kill it."""
        parts, reports, num_deaths = [plan], [], 0
        killers: dict[int, Exception] = {}
        while parts:
            part = parts.pop()
            try:
                reports.append(submit(part, 1).result())
            except BrokenProcessPool as error:
                num_deaths += 1
                seeds = part.run_seeds
                if len(seeds) == 1 or num_deaths >= _MAX_DEATHS:
                    killers |= dict.fromkeys(seeds.tolist(), cast(Exception, error))
                else:
                    parts += [replace(part, blocks=half) for half in _halves(seeds)]
        return _joined([*reports, *([lost(plan, killers)] if killers else [])], plan)

    try:
        while waiting or pending:
            while waiting and len(pending) <= num_workers:
                position, plan = waiting.popleft()
                pending[submit(plan, num_workers)] = position
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


def _run_sent(sent: SentPlan, rules: Rules, folder: Path, git: str, run_timeout: float | None) -> BatchReport:
    """Open and run a plan in a worker."""
    return _run_and_store(sent.opened(StudyFolder(folder)), rules, folder, git, run_timeout)


def _run_and_store(plan: BatchPlan, rules: Rules, folder: Path, git: str, run_timeout: float | None) -> BatchReport:
    study = StudyFolder(folder)
    seeds = plan.run_seeds
    wall, cpu = perf_counter(), process_time()
    try:
        parts = run_parts(plan.spec, plan.task, rules, seeds, run_timeout)
        failures = {seed: error for part in parts for seed, error in part.failures.items()}
        num_evaluations = _store(plan, rules, study, parts, git)
    except Exception as error:
        return _lost(plan, dict.fromkeys(seeds.tolist(), error), rules, folder)
    num_failed, seconds = len(failures), perf_counter() - wall
    if num_failed < len(seeds):
        timing = {
            "strategy": plan.spec.label,
            "task": plan.task.name,
            "seeds": [int(seeds[0]), int(seeds[-1])],
            "evaluations": num_evaluations,
            "wall_s": seconds,
            "cpu_s": process_time() - cpu,
            "strategy_s": sum(part.batch.strategy_seconds for part in parts if part.batch is not None),
        }
        study.write_json(below(study.path / "timings", f"{_name(plan, rules)}.json"), timing)
    failure = _write_failures(plan, rules, study, failures) if failures else ""
    return BatchReport(plan.spec.label, plan.task.name, len(seeds), num_evaluations, seconds, failure, num_failed)


def _lost(plan: BatchPlan, failures: Mapping[int, Exception], rules: Rules, folder: Path) -> BatchReport:
    """Runs of which nothing was stored."""
    failure = _write_failures(plan, rules, StudyFolder(folder), failures)
    num_failed = len(failures)
    return BatchReport(plan.spec.label, plan.task.name, num_failed, failure=failure, num_failed=num_failed)


def _halves(seeds: Ints) -> list[tuple[tuple[int, int], ...]]:
    """Blocks of the later and of the earlier half of the seeds."""
    middle = (len(seeds) + 1) // 2
    return [tuple(seed_ranges(half)) for half in (seeds[middle:].tolist(), seeds[:middle].tolist())]


def _joined(reports: Sequence[BatchReport], plan: BatchPlan) -> BatchReport:
    """One report of a batch that ran in parts."""
    return BatchReport(
        plan.spec.label,
        plan.task.name,
        len(plan.run_seeds),
        sum(report.num_evaluations for report in reports),
        sum(report.seconds for report in reports),
        "\n".join(filter(None, (report.failure for report in reports))),
        sum(report.num_failed for report in reports),
    )


def _write_failures(plan: BatchPlan, rules: Rules, study: StudyFolder, failures: Mapping[int, Exception]) -> str:
    """Log every different error with its seeds; returns a line for each."""
    log = below(study.path / "failures", f"{_name(plan, rules)}.log")
    groups: dict[str, list[int]] = {}
    for seed, error in failures.items():
        # Our own messages are written for users; anything else needs its type to be understood.
        message = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        groups.setdefault(message.strip().partition("\n")[0], []).append(seed)
    lines: list[str] = []
    text = ""
    for message, seeds in groups.items():
        where = f"{plan.spec.label} on {plan.task.name}, {_seeds(seeds)}"
        text += f"{where}\n{''.join(traceback.format_exception(failures[seeds[0]]))}\n"
        if len(lines) < _MAX_LINES:
            lines.append(f"{where}: {message} (log: {log})")
    if len(groups) > len(lines):
        lines.append(f"{plan.spec.label} on {plan.task.name}: {len(groups) - len(lines)} other errors (log: {log})")
    study.write_text(log, text)
    return "\n".join(lines)


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds in words: ranges, the first few of many."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and ranges[-1][1] == seed - 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:_MAX_RANGES]]
    more = ", …" if len(ranges) > _MAX_RANGES else ""
    count = f" ({len(seeds):,} runs)" if len(ranges) > 1 else ""
    return f"seed {shown[0]}" if len(seeds) == 1 else f"seeds {', '.join(shown)}{more}{count}"


def _name(plan: BatchPlan, rules: Rules) -> str:
    """Name of a batch's timing and log."""
    runs = run_id(identity(plan.spec, plan.task, rules))
    return f"{plan.task.name}--{runs}--{plan.blocks[0][0]}-{plan.blocks[-1][1]}"


def _store(plan: BatchPlan, rules: Rules, study: StudyFolder, parts: Sequence[Part], git: str) -> int:
    """Write the blocks of the runs that did not fail; returns their number of evaluations."""
    runs_identity = identity(plan.spec, plan.task, rules)
    record = {
        "run_id": run_id(runs_identity),
        "identity": runs_identity,
        "code": plan.spec.code,
        "versions": versions(),
        "git": git,
    }
    places = {  # where each run that did not fail lies: its part, its trace, and its position there
        seed: (part, part.batch.trace, position)
        for part in parts
        if part.batch is not None
        for position, seed in enumerate(part.seeds.tolist())
        if seed not in part.failures
    }
    num_evaluations = 0
    for start, end in plan.blocks:
        for first, last in seed_ranges(seed for seed in range(start, end + 1) if seed in places):
            runs = [places[seed] for seed in range(first, last + 1)]
            columns = joined_rows([(trace, position) for _, trace, position in runs])
            columns = {"seed": columns.pop("run") + np.int32(first), **columns}
            lookups = _lookups([(part, position) for part, _, position in runs])
            write_block(study.block_path(runs_identity, first, last), columns, {**record, **lookups})
            num_evaluations += int(np.isin(columns["status"], _NOT_COUNTED, invert=True).sum())
    return num_evaluations


def _lookups(runs: Sequence[tuple[Part, int]]) -> dict[str, Any]:
    """Entry of a block's footer: values of each free metric that each of its runs read; none if none was read."""
    names = sorted({name for part, _ in runs for name in part.lookups})
    none = np.zeros(max(position for _, position in runs) + 1, dtype=np.int64)
    counts = {name: [int(part.lookups.get(name, none)[position]) for part, position in runs] for name in names}
    counts = {name: of_runs for name, of_runs in counts.items() if any(of_runs)}
    return {"lookups": counts} if counts else {}
