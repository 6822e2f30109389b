"""Runs of a method that ran elsewhere: they are replayed under a study's protocol and become part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError, RunsFailedError
from nasbench_harness.store.folder import Damage, describe_damage
from nasbench_harness.store.locks import updating
from nasbench_harness.store.record import StudyRecord, TraceRecord
from nasbench_harness.store.seed_ranges import missing_seeds
from nasbench_harness.store.study_file import read_record
from nasbench_harness.studies.batches import BatchPlan, plan_batches
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.references import check_label
from nasbench_harness.studies.replay import ReplayedTrace, check_rules, check_runs
from nasbench_harness.studies.run_sets import RunSet, count
from nasbench_harness.studies.trace_csv import read_trace

if TYPE_CHECKING:
    from nasbench_harness.studies.study import Study


def add_trace(study: Study, path: Path, label: str, task: str | None) -> tuple[TraceRecord, list[str]]:
    """Replay and store the runs of a file (see ``Study.add_trace``).

    Returns:
        The trace's record, and lines that the user should read.
    """
    check_label(label)
    if label in [entry.label for entry in study.record.strategies]:
        raise _label_is_taken(label)
    folder, record = study.folder, study.record
    rules = Rules(record.protocol, record.study_seed)
    trace, notices = read_trace(path, {entry.name: entry for entry in study.tasks}, task)
    check_rules(trace, record.protocol, record.study_seed, {entry.name: entry.task for entry in study.tasks})
    notices += check_runs(trace, record.protocol, record.num_seeds)
    entry = trace.record(label)
    _check_trace(entry, record)
    spec = ReplayedTrace.of(entry, trace)
    plans: list[BatchPlan] = []
    damaged: list[Damage] = []
    run_sets = [RunSet(folder, record, entry, found, trace) for found in study.tasks if found.name in entry.tasks]
    for runs in run_sets:
        segments, broken = runs.scan()
        damaged += broken
        seeds = trace.seeds(runs.task.name)
        # Whether every run reaches its budget is found by running it, also those outside the study's seeds.
        everyone = missing_seeds(segments, max(seeds) + 1, seeds)
        for plan in plan_batches(spec, runs.task.task, everyone, record.protocol):
            run_seeds(spec, runs.task.task, rules, plan.run_seeds)
        plans += plan_batches(spec, runs.task.task, runs.missing(segments), record.protocol)
    with updating(folder.path):
        folder.remove_abandoned()
        for damage in damaged:
            folder.set_aside(damage)
        with folder.writing(folder.trace_path(entry.sha256)) as temporary:
            trace.write(temporary)
    if damaged:
        notices.append(describe_damage(folder, damaged))
    failures = [report.failure for report in execute(plans, rules, folder.path, 1) if report.failure]
    if not failures:
        failures = [
            f"{label} on {runs.task.name}: {number} runs were not stored"
            for runs in run_sets
            if (number := count(runs.missing()))
        ]
    if failures:
        raise RunsFailedError(failures)
    with updating(folder.path):
        stored = read_record(folder.study_file)  # others may have added to it meanwhile
        _check_trace(entry, stored)
        if entry not in stored.traces:
            stored = replace(stored, traces=(*stored.traces, entry)).with_styles(stored)
            folder.write_text(folder.study_file, stored.to_toml())
    return entry, notices


def _check_trace(trace: TraceRecord, record: StudyRecord) -> None:
    """Refuse a trace whose label belongs to something else; the same trace again is no mistake."""
    if trace not in record.traces and trace.label in record.labels:
        raise _label_is_taken(trace.label)


def _label_is_taken(label: str) -> InvalidInputError:
    return InvalidInputError(
        f"the study has a strategy or trace {label!r} already: choose another --label; the rows of several "
        "tasks go into one file with a column task"
    )
