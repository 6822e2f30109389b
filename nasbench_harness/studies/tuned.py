"""Equal tuning: a study may demand that every strategy was tuned with the same budget, on other tasks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.source_tasks import same_data
from nasbench_harness.evaluation.task import open_named_task
from nasbench_harness.store.record import TuningRule
from nasbench_harness.store.tuning import Split, TuningRecord, read_tuning, tuning_path

_BUDGET = ("trials", "first_seeds", "budget", "study_seed")


def equal_tuning(
    records_in: str, specs: Sequence[ResolvedStrategy], tasks: Sequence[str], protocol: Protocol
) -> TuningRule:
    """The rule that all strategies of a study were tuned by.

    Args:
        records_in: Folder of the records that ``strategies tune`` wrote.
        specs: The strategies.
        tasks: Tasks of the study; every strategy must have been tuned without them, on the same other tasks.
        protocol: The study's protocol.

    Raises:
        InvalidInputError: A strategy has no record or one of another budget, protocol, tasks or version of its code, or
            other hyperparameters than it was tuned to, or some of them were not tuned but given; or a development
            task is not here, has another table now, or has the data of a task of the study.
    """
    records = [_record(Path(records_in), spec, tasks, protocol) for spec in specs]
    for record in records[1:]:
        for name in _BUDGET:
            ours, theirs = getattr(records[0], name), getattr(record, name)
            if ours != theirs:
                raise InvalidInputError(
                    f"tuning = equal: {records[0].strategy} was tuned with {name} {ours:,} and {record.strategy} with "
                    f"{theirs:,}: tune one of them again"
                )
    for task in tasks:
        first = _split(records[0], task).development
        for spec, record in zip(specs, records, strict=True):
            split = _split(record, task)
            if split.development != first:
                raise InvalidInputError(
                    f"tuning = equal: for {task}, {records[0].strategy} was tuned on {', '.join(first)} and "
                    f"{record.strategy} on {', '.join(split.development)}: tune one of them again"
                )
            _check_parameters(spec, split, task)
        for other in first:
            _check_table(other, records)
            if same := same_data(other, task):
                raise InvalidInputError(
                    f"tuning = equal: the strategies were tuned on {other}, which {same}: leave {task} out"
                )
    evaluations = max(split.evaluations for record in records for split in record.splits)
    trials = {
        spec.label: min(_split(record, task).trials for task in tasks)
        for spec, record in zip(specs, records, strict=True)
    }
    fewer = {label: number for label, number in trials.items() if number < records[0].trials}
    return TuningRule(records_in, records[0].trials, records[0].budget, evaluations, fewer)


def _record(folder: Path, spec: ResolvedStrategy, tasks: Sequence[str], protocol: Protocol) -> TuningRecord:
    path = tuning_path(folder, spec.reference)
    advice = f"nasbench-harness strategies tune {shlex.quote(spec.reference)}"
    if not path.is_file():
        raise InvalidInputError(f"tuning = equal: {spec.reference} has no record {path}: {advice}")
    record = read_tuning(path)
    if record.source_hash != spec.source_hash:
        raise InvalidInputError(f"tuning = equal: {spec.reference} has changed since it was tuned ({path}): {advice}")
    if record.fixed:
        raise InvalidInputError(
            f"tuning = equal: {', '.join(record.fixed)} of {spec.reference} had a given value and was not tuned "
            f"({path}): {advice}"
        )
    theirs, ours = record.rules, protocol
    different = [field.name for field in fields(Protocol) if getattr(theirs, field.name) != getattr(ours, field.name)]
    if different:
        raise InvalidInputError(
            f"tuning = equal: {spec.reference} was tuned under another protocol ({', '.join(different)}): {advice}"
        )
    for task in tasks:
        if record.split_of(task) is None:
            raise InvalidInputError(
                f"tuning = equal: {spec.reference} has no tuning that held {task} out ({path}): {advice}"
            )
    return record


def _split(record: TuningRecord, task: str) -> Split:
    split = record.split_of(task)
    if split is None:  # checked with the record
        raise InvalidInputError(f"tuning = equal: {record.strategy} has no tuning that held {task} out")
    return split


def _check_table(task: str, records: Sequence[TuningRecord]) -> None:
    """Refuse a development task whose table is not the one that the strategies were tuned on."""
    try:
        digest = open_named_task(task).table.digest
    except UnknownNameError as error:
        raise InvalidInputError(
            f"tuning = equal: the strategies were tuned on {task}, which is not here: import its table, so that its "
            "data can be compared"
        ) from error
    for record in records:
        if record.tables.get(task) != digest:
            raise InvalidInputError(
                f"tuning = equal: {record.strategy} was tuned on another version of {task} than the one here: tune it "
                "again, or import that version"
            )


def _check_parameters(spec: ResolvedStrategy, split: Split, task: str) -> None:
    """Refuse hyperparameters that the tuning did not choose."""
    ours, theirs = _written(spec.parameters), _written(split.parameters)
    if ours != theirs:
        name = next(key for key in sorted({**ours, **theirs}) if ours.get(key) != theirs.get(key))
        raise InvalidInputError(
            f"tuning = equal: {spec.label} has {name} {ours.get(name)!r}, and its tuning for {task} chose "
            f"{theirs.get(name)!r}: use that value, or one study for each task"
        )


def _written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as a record holds them."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
