"""The record of a study that is in a folder already, and the one that a command writes there."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import StudyRecord
from nasbench_harness.store.study_file import read_record


def stored_record(folder: StudyFolder, record: StudyRecord) -> StudyRecord | None:
    """The record of the study in a folder; None if there is none.

    Raises:
        InvalidInputError: It is damaged, or that of a study under another protocol or study seed.
    """
    text = folder.study_text()
    if not text:
        return None
    # Reading it with every check takes longer than all the rest of a command that has nothing to do.
    if text == record.to_toml().encode():
        return record
    stored = read_record(folder.study_file)
    theirs, ours = _rules_of(stored), _rules_of(record)
    different = [name for name in ours if theirs[name] != ours[name]]
    if different:
        there, here = (", ".join(f"{name} {rules[name]}" for name in different) for rules in (theirs, ours))
        raise InvalidInputError(
            f"{folder.shown} holds a study with {there}, but this command has {here}: a folder is one study, choose "
            "another --out"
        )
    return stored


def _rules_of(record: StudyRecord) -> dict[str, Any]:
    return {**asdict(record.protocol), "study seed": record.study_seed}


def _with_traces(folder: StudyFolder, record: StudyRecord, stored: StudyRecord) -> StudyRecord:
    for trace in stored.traces:
        if trace.label in [strategy.label for strategy in record.strategies]:
            raise InvalidInputError(
                f"{folder.shown} has a trace with the label {trace.label!r} already: give the strategy another label="
            )
    return replace(record, traces=stored.traces)


def updated_record(folder: StudyFolder, record: StudyRecord, is_alone: bool) -> StudyRecord:
    """The record that a command writes: its own, with the traces that were added to the folder.

    When other commands work on the study, it holds their strategies and tasks, too.

    Raises:
        InvalidInputError: The folder holds another study, or one label stands for two strategies or traces.
    """
    stored = stored_record(folder, record)
    if stored is None:
        return record.with_styles(None)
    if is_alone:
        return _with_traces(folder, record, stored).with_styles(stored)
    joined = stored.joined(record)
    # The last command's layout, unless it names a control under a label that only the other command gives.
    is_known = record.report.control in (None, *(strategy.label for strategy in joined.strategies))
    return replace(joined, report=record.report if is_known else stored.report)
