"""Runs what a study still lacks: plans batches, runs them here or in worker processes, stores their blocks."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.loop import Batch, run_batch
from nasbench_harness.engine.references import Spec
from nasbench_harness.engine.replay import ReplaySpec
from nasbench_harness.engine.strategy import Needs, Strategy
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.engine.tiles import Tiles
from nasbench_harness.errors import HarnessError, InvalidInputError, StrategyError
from nasbench_harness.evaluation.hashing import Words
from nasbench_harness.evaluation.ledger import expected_evaluations, visit_type
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task
from nasbench_harness.store.blocks import CELL, write_block
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.identity import git_state, identity_of, run_id, versions

_MAX_VISIT_BYTES = 32 * 2**20
_MAX_ROWS = 2_000_000  # rows of one batch's trace, about 70 MB


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
class BatchReport:
    """What became of a batch."""

    label: str
    task: str
    num_runs: int
    num_evaluations: int = 0
    seconds: float = 0.0
    failure: str = ""


def identity(spec: Spec, task: Task, rules: Rules) -> dict[str, Any]:
    """Identity of a strategy's runs on a task."""
    return identity_of(spec.reference, spec.parameters, task.name, task.table.digest, rules.protocol, rules.study_seed)


def make_strategy(spec: Spec, problem: Problem, task: str, rules: Rules, run_seeds: Ints) -> Strategy:
    """Build a strategy for these runs: a lockstep class as it is or in tiles, a generator function lifted.

    Raises:
        InvalidInputError: The task lacks what the strategy needs, or a hyperparameter has no sensible value.
    """
    if isinstance(spec, ReplaySpec):
        return spec.make(task, run_seeds)
    keys = stream_keys(rules.study_seed, spec.reference, task, run_seeds)
    if spec.is_generator:
        return LiftedGenerators(problem, keys, spec.target, dict(spec.parameters))
    check_needs(spec, problem)

    def make(tile_keys: Words) -> Strategy:
        strategy: Strategy = spec.target(problem, RunStreams(tile_keys), **spec.parameters)
        return strategy

    tile = spec.target.tile  # type: ignore[attr-defined]  # a Strategy class, checked when it was resolved
    return make(keys) if tile is None else Tiles(make, tile, keys, run_seeds)


def check_needs(spec: Spec, problem: Problem) -> None:
    """Refuse a strategy where a problem cannot give what it declares to need.

    Raises:
        InvalidInputError: Names what is missing.
    """
    needs: Needs = spec.target.needs  # type: ignore[attr-defined]  # as above
    if needs.num_objectives > len(problem.objectives):
        raise InvalidInputError(
            f"strategy {spec.label} needs {needs.num_objectives} objectives, the task has {len(problem.objectives)}"
        )
    for need in ("fidelities", "sources", "torch", "training_data"):
        if getattr(needs, need):
            raise InvalidInputError(
                f"strategy {spec.label} needs {need.replace('_', ' ')}, which the task does not offer"
            )


def run_seeds(spec: Spec, task: Task, rules: Rules, seeds: Ints) -> Batch:
    """Run these seeds of a strategy on a task and return their trace; nothing is stored."""
    problem = task.problem(rules.protocol)
    make = partial(make_strategy, spec, problem, task.name, rules, seeds)
    return run_batch(make, task, rules.protocol, rules.study_seed, seeds)


def plan_batches(spec: Spec, task: Task, ranges: Sequence[tuple[int, int]], protocol: Protocol) -> list[BatchPlan]:
    """Group blocks into batches whose visit counts and traces stay within their memory."""
    bytes_per_run = task.space.num_architectures * np.dtype(visit_type(protocol)).itemsize
    max_runs = max(CELL, min(_MAX_VISIT_BYTES // bytes_per_run, _MAX_ROWS // expected_evaluations(task, protocol)))
    batches: list[list[tuple[int, int]]] = []
    num_runs = max_runs
    for first, last in ranges:
        if num_runs + last - first + 1 > max_runs:
            batches.append([])
            num_runs = 0
        batches[-1].append((first, last))
        num_runs += last - first + 1
    return [BatchPlan(spec, task, tuple(blocks)) for blocks in batches]


def execute(plans: Sequence[BatchPlan], rules: Rules, folder: Path, jobs: int) -> Iterator[BatchReport]:
    """Run batches in this process, or in ``jobs`` worker processes; reports come in the order of the plans.

    A batch that fails is recorded under ``failures/`` with its traceback; the others go on.
    """
    git = git_state()
    if jobs == 1 or len(plans) <= 1:
        for plan in plans:
            yield _run_and_store(plan, rules, folder, git)
        return
    yield from _execute_in_workers(plans, rules, folder, git, jobs)


def _execute_in_workers(
    plans: Sequence[BatchPlan], rules: Rules, folder: Path, git: str, jobs: int
) -> Iterator[BatchReport]:
    from loky import get_reusable_executor
    from loky.process_executor import BrokenProcessPool

    def submit(plan: BatchPlan, workers: int) -> Future[BatchReport]:
        # Workers that were started from another folder would not find the user's modules.
        executor = get_reusable_executor(workers, initializer=_use_path, initargs=(list(sys.path),))
        try:
            submitted: Future[BatchReport] = executor.submit(_run_and_store, plan, rules, folder, git)
            return submitted
        except BrokenProcessPool as error:  # a worker died this moment
            lost: Future[BatchReport] = Future()
            lost.set_exception(error)
            return lost

    def report(plan: BatchPlan, submitted: Future[BatchReport]) -> BatchReport:
        with suppress(BrokenProcessPool):
            return submitted.result()
        # A worker that dies takes the others' batches with it: one at a time, only the culprit's fails.
        wait(futures)
        try:
            return submit(plan, 1).result()
        except BrokenProcessPool as error:
            return _failed(plan, rules, folder, error)

    futures = [submit(plan, min(jobs, len(plans))) for plan in plans]
    for plan, submitted in zip(plans, futures, strict=True):
        yield report(plan, submitted)


def _use_path(path: list[str]) -> None:
    sys.path[:] = path


def _run_and_store(plan: BatchPlan, rules: Rules, folder: Path, git: str) -> BatchReport:
    study = StudyFolder(folder)
    first, last = plan.blocks[0][0], plan.blocks[-1][1]
    wall, cpu = perf_counter(), process_time()
    try:
        batch = run_seeds(plan.spec, plan.task, rules, plan.run_seeds)
        if batch.num_empty:
            raise StrategyError(
                f"{batch.num_empty} of {len(plan.run_seeds)} runs ended without an evaluation or a recommendation"
            )
        _store(plan, rules, study, batch, git)
    except Exception as error:
        return _failed(plan, rules, folder, error)
    seconds = perf_counter() - wall
    timing = {
        "strategy": plan.spec.label,
        "task": plan.task.name,
        "seeds": [first, last],
        "evaluations": batch.num_evaluations,
        "wall_s": seconds,
        "cpu_s": process_time() - cpu,
        "strategy_s": batch.strategy_seconds,
    }
    study.write_json(study.path / "timings" / f"{_name(plan, rules)}.json", timing)
    return BatchReport(plan.spec.label, plan.task.name, len(plan.run_seeds), batch.num_evaluations, seconds)


def _failed(plan: BatchPlan, rules: Rules, folder: Path, error: Exception) -> BatchReport:
    study = StudyFolder(folder)
    log = study.path / "failures" / f"{_name(plan, rules)}.log"
    study.write_text(log, f"strategy {plan.spec.label}\n{''.join(traceback.format_exception(error))}")
    # Our own messages are written for users; anything else needs its type to be understood.
    message = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    first_line = message.strip().partition("\n")[0]
    seeds = f"seeds {plan.blocks[0][0]}-{plan.blocks[-1][1]}"
    failure = f"{plan.spec.label} on {plan.task.name}, {seeds}: {first_line} (log: {log})"
    return BatchReport(plan.spec.label, plan.task.name, len(plan.run_seeds), failure=failure)


def _name(plan: BatchPlan, rules: Rules) -> str:
    """Name of a batch's timing and log."""
    runs = run_id(identity(plan.spec, plan.task, rules))
    return f"{plan.task.name}--{runs}--{plan.blocks[0][0]}-{plan.blocks[-1][1]}"


def _store(plan: BatchPlan, rules: Rules, study: StudyFolder, batch: Batch, git: str) -> None:
    runs_identity = identity(plan.spec, plan.task, rules)
    record = {
        "run_id": run_id(runs_identity),
        "identity": runs_identity,
        "code": plan.spec.code,
        "versions": versions(),
        "git": git,
    }
    offset = 0
    for first, last in plan.blocks:
        columns: dict[str, AnyArray] = batch.trace.rows(slice(offset, offset + last - first + 1))
        columns = {"seed": columns.pop("run") + np.int32(first), **columns}
        write_block(study.block_path(runs_identity, first, last), columns, record)
        offset += last - first + 1
