"""Tunes the hyperparameters of a strategy on development tasks, and compares the result on tasks held out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.needs import granted_problem
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.source_tasks import check_sources, same_data
from nasbench_harness.evaluation.task import Task, check_task_name, load_task
from nasbench_harness.journal import LineJournal
from nasbench_harness.statistics import mean_difference
from nasbench_harness.store.record import MAX_SEEDS, StrategyRef
from nasbench_harness.store.tuning import HeldOutResult, Split, TuningRecord, tuning_path, write_tuning
from nasbench_harness.studies.references import resolve
from nasbench_harness.tuning.halving import Leg, Schedule, first_seeds_within, race
from nasbench_harness.tuning.playing import Piece, Played, Player
from nasbench_harness.tuning.sampling import configurations, describe_ranges, tunable

FIRST_SEEDS = 10  # without a budget
TUNING_SEED = MAX_SEEDS  # no study has the seeds of tuning
_MOST_TRIALS = 10_000
# Of a journal's lines: 1 left out reads of sources, and evaluations before a failure; 2 the size of a step of regret.
_COUNTS = 3
_PROTOCOL = Protocol()


@dataclass(frozen=True)
class TuningPlan:
    """A tuning, checked.

    Attributes:
        spec: The strategy.
        fixed: Hyperparameters that keep their value.
        splits: (development tasks, tasks held out) of each split.
        trials: Settings that a split may try.
        first_seeds: Runs of each on each task in the first rung.
        budget: Evaluations that a split may use.
        seeds: Runs on the tasks held out.
        rules: Protocol and seed.
        tasks: All tasks by name.
        command: The command line, for the record.
    """

    spec: ResolvedStrategy
    fixed: frozenset[str]
    splits: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    trials: int
    first_seeds: int
    budget: int
    seeds: int
    rules: Rules
    tasks: Mapping[str, Task]
    command: str


def plan_tuning(
    strategy: StrategyRef,
    on: Sequence[str],
    held_out: Sequence[str] = (),
    *,
    trials: int,
    budget: int | None = None,
    seeds: int = 200,
    study_seed: int = 0,
    protocol: Protocol = _PROTOCOL,
    command: str = "",
) -> TuningPlan:
    """Check a tuning; nothing is run or written.

    Args:
        strategy: The strategy; hyperparameters that it names keep their value.
        on: Development tasks. Without ``held_out`` each of them is held out once, and the others are tuned on.
        held_out: Tasks that are held out; none: leave one task out.
        trials: Settings that a split may try; the strategy as it is given is the first.
        budget: Evaluations that a split may use; None: as many as ten runs of each setting in the first rung need.
        seeds: Runs on the tasks held out.
        study_seed: Seed of draws and runs.
        protocol: The protocol; it needs a budget of evaluations.
        command: The command line, for the record.

    Raises:
        HarnessError: Something is wrong with the input.
    """
    for noun, value, low, high in (("trials", trials, 1, _MOST_TRIALS), ("seeds", seeds, 2, MAX_SEEDS)):
        if not low <= value <= high:
            raise InvalidInputError(f"{noun} must be a whole number in {low} … {high:,}, not {value}")
    if not 0 <= study_seed < 2**63:
        raise InvalidInputError(f"study_seed must be a whole number of at least 0, not {study_seed}")
    names = [*on, *held_out]
    for name in names:
        check_task_name(name)
        if names.count(name) > 1:
            raise InvalidInputError(f"task {name} is named twice: a task is tuned on or held out")
    if not on or (len(on) < 2 and not held_out):
        raise InvalidInputError("leaving one task out needs two tasks or more: name more with --on, or --held-out")
    if protocol.evaluations is None:
        raise InvalidInputError("tuning counts evaluations: give the protocol a budget of evaluations")
    splits = (
        ((tuple(on), tuple(held_out)),)
        if held_out
        else tuple((tuple(name for name in on if name != left), (left,)) for left in on)
    )
    spec = resolve(strategy)
    rules = Rules(protocol, study_seed)
    tasks = {name: load_task(name) for name in names}
    leaking = {name for _, left in splits for name in left} & set(protocol.sources)
    if leaking:
        raise InvalidInputError(f"source {min(leaking)} is held out: tuning would read its values; leave it out")
    check_sources(task.under(protocol) for task in tasks.values())
    for task in tasks.values():
        view = task.under(protocol)
        if task.trained is not None or not view.scores["val"].has_optimum:
            raise InvalidInputError(f"task {task.name} has no table: its optimum is unknown, and tuning needs it")
        granted_problem(spec, view, None, (), study_seed)
    for development, left in splits:
        for one, other in product(development, left):
            if same := same_data(one, other):
                raise InvalidInputError(f"task {one} {same}: tuning on it would see {other}; leave one of them out")
    num_tasks = len(splits[0][0])
    if budget is None:
        first_seeds = FIRST_SEEDS
        budget = Schedule.of(trials, first_seeds).num_runs * num_tasks * protocol.evaluations
    else:
        first_seeds = first_seeds_within(trials, num_tasks, protocol.evaluations, budget)
    fixed = frozenset(strategy.parameters)
    return TuningPlan(spec, fixed, splits, trials, first_seeds, budget, seeds, rules, tasks, command)


def check_records(plans: Sequence[TuningPlan]) -> None:
    """Refuse tunings of one command that are none, or that would write the same record.

    Raises:
        InvalidInputError: There is none, or a strategy is named twice.
    """
    if not plans:
        raise InvalidInputError("no strategies given: name at least one")
    names = [tuning_path(Path(), plan.spec.reference) for plan in plans]
    for plan, name in zip(plans, names, strict=True):
        if names.count(name) > 1:
            raise InvalidInputError(
                f"two of these tunings would write {name} (one is of {plan.spec.reference}): name a strategy once"
            )


def tune(
    plan: TuningPlan, folder: Path, jobs: int = 1, on_runs: Callable[[int, int | None], None] | None = None
) -> TuningRecord:
    """Run a tuning and write its record; finished runs are kept in a journal beside it.

    Args:
        plan: The tuning.
        folder: Folder of the record.
        jobs: Worker processes; record and journal have the same bytes for any number.
        on_runs: Called with (runs done, None) after each piece.

    Raises:
        InvalidInputError: The folder cannot be written, or its journal belongs to other settings.
        HarnessError: The strategy as it is given cannot be run.
    """
    spec, rules = plan.spec, plan.rules
    settings = configurations(spec, plan.trials, rules.study_seed, plan.fixed)
    path = tuning_path(folder, spec.reference)
    identity = {
        "strategy": spec.reference,
        "source_hash": spec.source_hash,
        "protocol": rules.protocol.identity(),
        "study_seed": rules.study_seed,
        "counts": _COUNTS,
    }
    with LineJournal(path.with_suffix(".jsonl"), identity) as journal:
        player = Player(spec, plan.tasks, rules, journal, jobs, on_runs)
        splits = tuple(_split(plan, player, settings, *split) for split in plan.splits)
        evaluations = player.evaluations_from(TUNING_SEED)
        record = TuningRecord(
            strategy=spec.reference,
            source_hash=spec.source_hash,
            trials=plan.trials,
            first_seeds=plan.first_seeds,
            budget=plan.budget,
            evaluations=evaluations,
            study_seed=rules.study_seed,
            protocol=_given(rules.protocol.fields_to_store()),
            ranges=describe_ranges(spec, plan.fixed),
            tables={name: task.table.digest for name, task in plan.tasks.items()},
            splits=splits,
            command=plan.command,
            harness=version("nasbench-harness"),
            fixed=tuple(name for name in tunable(spec) if name in plan.fixed),
        )
        write_tuning(folder, record)
    return record


def _split(
    plan: TuningPlan,
    player: Player,
    settings: Sequence[Mapping[str, Any]],
    development: tuple[str, ...],
    held_out: tuple[str, ...],
) -> Split:
    """Tune on some tasks, and compare on others."""
    num_runs = 0
    spent: list[Played] = []
    failed: dict[int, str] = {}

    def scores(legs: Sequence[Leg]) -> Iterator[float]:
        nonlocal num_runs
        wanted = [Piece(settings[one], task, TUNING_SEED + first, TUNING_SEED + end) for one, task, first, end in legs]
        with closing(player.play(wanted)) as outcomes:
            for (number, task, first, end), played in zip(legs, outcomes, strict=True):
                if played.failure and number == 0:
                    raise HarnessError(f"{plan.spec.label} on {task}: {played.failure}")
                if played.failure:
                    failed.setdefault(number, f"{_shown(settings[number])} on {task}: {played.failure}")
                num_runs += end - first
                spent.append(played)
                yield player.score(played, task)

    # Fewer settings than trials (a small range) get the same runs as if all trials were used.
    best, _ = race(Schedule.of(len(settings), plan.first_seeds), development, scores)
    pieces = [Piece(setting, task, 0, plan.seeds) for task in held_out for setting in (settings[0], settings[best])]
    with closing(player.play(pieces)) as outcomes:
        results = tuple(_compare(plan, task, next(outcomes), next(outcomes)) for task in held_out)
    parameters = _given({**plan.spec.parameters, **settings[best]})
    source_evaluations = sum(played.source_evaluations for played in spent)
    source_seconds = sum(played.source_seconds for played in spent)
    return Split(
        development,
        held_out,
        len(settings),
        num_runs,
        sum(played.evaluations for played in spent),
        parameters,
        results,
        source_evaluations,
        source_seconds if source_evaluations and not math.isnan(source_seconds) else None,
        tuple(failed.values()),
    )


def _shown(setting: Mapping[str, Any]) -> str:
    """Hyperparameters of a setting as part of a line."""
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in setting.items())


def _compare(plan: TuningPlan, task: str, untuned: Played, tuned: Played) -> HeldOutResult:
    """Regrets of the strategy as it is given and as it was tuned."""
    for played in (untuned, tuned):
        if played.failure:
            raise HarnessError(f"{plan.spec.label} on {task}: {played.failure}")
    before, after = untuned.regrets, tuned.regrets
    low, high = change_interval(before, after)
    unit = plan.tasks[task].under(plan.rules.protocol).scores["val"].metric.difference_unit
    means = float(before.mean()), float(after.mean())
    return HeldOutResult(task, plan.seeds, unit, *means, float((after - before).mean()), low, high)


def change_interval(before: Floats, after: Floats) -> tuple[float, float]:
    """95 % interval (Welch) of the mean of ``after`` minus that of ``before``, two samples that are independent.

    A common seed makes no pair of two settings. A setting that stays has the very same runs, and no change.

    Args:
        before: Regrets before tuning, shape (num_runs,).
        after: Regrets after tuning, same shape.

    >>> change_interval(np.array([0.1, 0.3]), np.array([0.1, 0.3]))
    (0.0, 0.0)
    """
    return (0.0, 0.0) if np.array_equal(before, after) else mean_difference(after, before)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: a value that is None is as good as left out."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value is not None
    }
