"""From what was asked for to what is still to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_harness.engine.execution import BatchPlan, BatchReport, Rules, execute, make_strategy
from nasbench_harness.engine.references import Entry, parse_entry, resolve_all, strategy_entry_points
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task, check_task_name, load_task
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.identity import study_id
from nasbench_harness.store.record import (
    Quoted,
    ReportOptions,
    StrategyRecord,
    StudyFile,
    StudyRecord,
    read_study_file,
)
from nasbench_harness.study import Study
from nasbench_harness.tables.registry import embedded_task_names

_MAX_SEEDS = 1_000_000

StrategyLike = str | Entry | Callable[..., Any]


@dataclass(frozen=True)
class Plan:
    """What a command is about to do.

    Attributes:
        study: The study.
        batches: What is still to be run.
        num_done: Runs that are stored already.
        notices: Lines that the user should read, e.g. about stale runs.
        jobs: Worker processes.
    """

    study: Study
    batches: tuple[BatchPlan, ...]
    num_done: int
    notices: tuple[str, ...]
    jobs: int = 1

    @property
    def num_runs(self) -> int:
        """Runs still to be done."""
        return sum(len(batch.run_seeds) for batch in self.batches)


def plan_study(
    strategies: Iterable[StrategyLike] | None,
    tasks: Iterable[str] | None,
    seeds: int,
    out: str | Path | None,
    rules: Rules,
    *,
    jobs: int = 1,
    keep_stale: bool = False,
    rerun: Iterable[str] = (),
    report: ReportOptions = ReportOptions(),  # noqa: B008 - immutable
    quoted: tuple[Quoted, ...] = (),
) -> Plan:
    """Check everything, write the study file, and find what is still to be run.

    Raises:
        HarnessError: Something is wrong with the input; nothing was changed on disk.
    """
    if not isinstance(seeds, int) or isinstance(seeds, bool) or not 1 <= seeds <= _MAX_SEEDS:
        raise InvalidInputError(f"seeds must be a whole number in 1 … {_MAX_SEEDS:,}, not {seeds!r}")
    if not isinstance(rules.study_seed, int) or not 0 <= rules.study_seed < 2**63:
        raise InvalidInputError(f"study_seed must be a whole number of at least 0, not {rules.study_seed!r}")
    if not isinstance(jobs, int) or jobs < 1:
        raise InvalidInputError(f"jobs must be a whole number of at least 1, not {jobs!r}")
    names = task_list(tasks)
    specs = resolve_all(entries_of(strategies))
    loaded = [load_task(name, rules.protocol.fidelity) for name in names]
    for task in loaded:  # what can be refused is refused before anything is written
        Ledger(task, rules.protocol, rules.study_seed, np.arange(1))
        problem = task.problem(rules.protocol)
        for spec in specs:
            make_strategy(spec, problem, task.name, rules, np.arange(1))
    _check_quoted(quoted, loaded)
    folder = StudyFolder(_default_folder(rules) if out is None else Path(out))
    record = StudyRecord(
        tuple(StrategyRecord(spec.label, spec.reference, spec.parameters) for spec in specs),
        tuple(names),
        seeds,
        rules.protocol,
        rules.study_seed,
        report,
        quoted,
    )
    record, notices = _keep_traces(folder, record)
    study = Study(folder, record, loaded)
    again = set(rerun)
    for label in sorted(again - set(study.labels)):
        raise UnknownNameError("label", label, study.labels, "rerun")
    _check_labels(report, study.labels)
    batches, num_done, superseded = study.plan(specs, keep_stale, again)
    folder.write_text(folder.study_file, record.to_toml())
    return Plan(study, tuple(batches), num_done, (*notices, *superseded), jobs)


def execute_plan(plan: Plan, rules: Rules) -> Iterable[BatchReport]:
    """Run a plan's batches; yields a report of each as it ends."""
    return execute(plan.batches, rules, plan.study.path, plan.jobs)


def entries_of(strategies: Iterable[StrategyLike] | None) -> list[Entry]:
    """Strategies as they were given, as entries; all registered ones where none are given.

    Raises:
        InvalidInputError: They are no list, or cannot be read.
    """
    if strategies is None:
        return [Entry(name) for name in strategy_entry_points()]
    if isinstance(strategies, str):
        raise InvalidInputError(f"strategies must be a list, not the text {strategies!r}")
    return [
        parse_entry(item) if isinstance(item, str) else item if isinstance(item, Entry) else Entry(item)
        for item in strategies
    ]


def task_list(tasks: Iterable[str] | None) -> list[str]:
    """Names of tasks, checked; those on tables of installed packages where none are given.

    Raises:
        InvalidInputError: They are no list, none, or one is named twice.
        UnknownNameError: There is no such task.
    """
    if isinstance(tasks, str):
        raise InvalidInputError(f"tasks must be a list, not the text {tasks!r}")
    names = embedded_task_names() if tasks is None else list(tasks)
    if not names:
        raise InvalidInputError("no tasks given: name at least one")
    for name in names:
        check_task_name(name)
        if names.count(name) > 1:
            raise InvalidInputError(f"task {name} is named twice")
    return names


def _keep_traces(folder: StudyFolder, record: StudyRecord) -> tuple[StudyRecord, list[str]]:
    """The record with the traces that were added to the folder under the same rules, and a line about the others."""
    path = folder.study_file
    # Most studies have no traces: reading their file would only cost time.
    file = read_study_file(path) if path.is_file() and b"traces" in path.read_bytes() else StudyFile()
    if not file.traces:
        return record, []
    names = ", ".join(trace.label for trace in file.traces)
    rules = (Protocol.from_mapping(file.protocol, str(path)), file.study_seed or 0)
    if rules != (record.protocol, record.study_seed):
        return record, [f"traces were added under another protocol or study seed and are left out: {names}"]
    labels = [strategy.label for strategy in record.strategies]
    for trace in file.traces:
        if trace.label in labels:
            raise InvalidInputError(
                f"{folder.path} has a trace with the label {trace.label!r} already: give the strategy another label="
            )
    return replace(record, traces=file.traces), []


def _check_labels(report: ReportOptions, labels: list[str]) -> None:
    """Options may name only what is compared."""
    for key in ("order", "highlight"):
        for label in getattr(report, key):
            if label not in labels:
                raise UnknownNameError("label", label, labels, f"report.{key}")


def _check_quoted(quoted: Sequence[Quoted], tasks: Sequence[Task]) -> None:
    """Every quoted number must have a column to stand in."""
    by_name = {task.name: task for task in tasks}
    for row in quoted:
        if row.task not in by_name:
            raise UnknownNameError("task", row.task, by_name, f"quoted row {row.method}")
        task = by_name[row.task]
        shown = [view.metric.name for view in (task.report, task.test) if view is not None]
        if row.metric not in shown:
            raise UnknownNameError("metric", row.metric, shown, f"quoted row {row.method}: reports on {row.task}")


def _default_folder(rules: Rules) -> Path:
    return Path("nasbench-results") / study_id(rules.protocol, rules.study_seed)
