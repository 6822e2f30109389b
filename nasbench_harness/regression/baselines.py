"""Baselines of accepted runs: made from a strategy, found again beside the strategy as it is now."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task
from nasbench_harness.regression.traces import TRACE_SEEDS, grid_regrets, traced
from nasbench_harness.statistics import count_grid_values
from nasbench_harness.store.baselines import Baseline, TaskBaseline, baseline_path, read_baseline, write_baseline
from nasbench_harness.store.record import StrategyRecord, StrategyRef, StudyRecord
from nasbench_harness.studies.commands import rule_flags, written
from nasbench_harness.studies.references import resolve

BASELINE_SEEDS = 3_000


@dataclass(frozen=True)
class Subject:
    """A strategy as it is now, beside its baseline."""

    spec: ResolvedStrategy
    given: Mapping[str, Any]
    baseline: Baseline
    path: Path


def save_baseline(
    spec: ResolvedStrategy,
    given: Mapping[str, Any],
    tasks: Sequence[Task],
    rules: Rules,
    folder: Path,
    num_seeds: int = BASELINE_SEEDS,
) -> Path:
    """Run a strategy and write its baseline; an older baseline in its file is replaced.

    Args:
        spec: The strategy.
        given: Hyperparameters that were given; the others follow the code's defaults from now on.
        tasks: The file will hold exactly these.
        rules: Protocol and study seed.
        folder: Folder of the baselines.
        num_seeds: Runs on each task.

    Raises:
        InvalidInputError: Fewer seeds than the trace needs, a study seed below 0, or the folder cannot be written.
        StrategyError: The strategy broke its contract, or a run returned nothing.
    """
    if num_seeds < TRACE_SEEDS:
        raise InvalidInputError(f"a baseline needs at least {TRACE_SEEDS} seeds, not {num_seeds}")
    if rules.study_seed < 0:
        raise InvalidInputError(f"study_seed must be a whole number of at least 0, not {rules.study_seed}")
    baseline = Baseline(
        label=spec.label,
        reference=spec.reference,
        given=dict(given),
        parameters=dict(spec.parameters),
        protocol=protocol_fields(rules.protocol),
        study_seed=rules.study_seed,
        tasks={task.name: _accepted(spec, task, rules, num_seeds) for task in tasks},
        platform=this_platform(),
        harness=version("nasbench-harness"),
        command=save_command(spec, given, [task.name for task in tasks], rules, num_seeds),
    )
    return write_baseline(folder, baseline)


def find_subjects(folder: Path) -> list[Subject]:
    """Every baseline of a folder with its strategy as it is now.

    Raises:
        InvalidInputError: There is no baseline, or one is damaged, or its strategy is gone.
    """
    if folder.is_file():
        raise InvalidInputError(f"{folder} is a file: name the folder of the baselines, and choose with --strategies")
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise InvalidInputError(
            f"{folder} holds no baselines: go to the folder that has them, or save one: nasbench-harness baseline save "
            f"--strategies NAME --tasks TASK --out {shlex.quote(str(folder))}"
        )
    subjects = []
    for path in paths:
        baseline = read_baseline(path)
        try:
            spec = resolve(StrategyRef(baseline.reference, None, baseline.given))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path} is an orphan ({error}): delete it, or save it again") from error
        subjects.append(Subject(replace(spec, label=baseline.label), baseline.given, baseline, path))
    return subjects


def subject_of(spec: ResolvedStrategy, given: Mapping[str, Any], folder: Path) -> Subject:
    """A strategy with the baseline of its label.

    Args:
        spec: The strategy.
        given: Hyperparameters that were given.
        folder: Folder of the baselines.

    Raises:
        InvalidInputError: There is none (the message names the command that makes one), or it is damaged.
    """
    path = baseline_path(folder, spec.label)
    if not path.is_file():
        command = save_command(spec, given, (), Rules(Protocol(), 0), BASELINE_SEEDS)
        raise InvalidInputError(f"there is no baseline {path}; to make it: {command} --out {shlex.quote(str(folder))}")
    return Subject(spec, given, read_baseline(path), path)


def save_command(
    spec: ResolvedStrategy, given: Mapping[str, Any], tasks: Sequence[str], rules: Rules, num_seeds: int
) -> str:
    """``nasbench-harness baseline save …`` of one strategy, without the folder; no tasks: the default, all."""
    strategy = StrategyRecord(spec.label, spec.reference, given)
    record = StudyRecord((strategy,), tuple(tasks), num_seeds, rules.protocol, rules.study_seed)
    parts = ["nasbench-harness", "baseline", "save", "--strategies", shlex.quote(written(strategy))]
    if tasks:
        parts += ["--tasks", ",".join(tasks)]
    return " ".join([*parts, *rule_flags(record, BASELINE_SEEDS)])


def protocol_fields(protocol: Protocol) -> dict[str, Any]:
    """The evaluations, and every field that differs from its default."""
    defaults = vars(Protocol())
    changed = {name: value for name, value in vars(protocol).items() if value != defaults[name]}
    return {"evaluations": protocol.evaluations, **changed}


def _accepted(spec: ResolvedStrategy, task: Task, rules: Rules, num_seeds: int) -> TaskBaseline:
    trace, first = traced(spec, task, rules)
    report = task.under(rules.protocol).scores["val"]
    counts = count_grid_values(np.concatenate([first, grid_regrets(spec, task, rules, TRACE_SEEDS, num_seeds)]))
    return TaskBaseline(
        task.table.digest, report.metric.name, report.metric.difference_unit, report.resolution, trace, counts
    )


def this_platform() -> dict[str, str]:
    """Versions and machine on which the trace of a strategy may depend if it is reproducible on one platform only."""
    return {
        "machine": platform.machine(),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "system": platform.system(),
    }
