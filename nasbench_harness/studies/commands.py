"""Command lines that repeat a command, for generated files and messages."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from typing import Any

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.record import ReportOptions, StrategyRecord, StudyRecord
from nasbench_harness.store.study_file import DEFAULT_SEEDS, PAPER_RESAMPLES, PAPER_SEEDS
from nasbench_harness.store.styles import moved, style_numbers
from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES
from nasbench_harness.studies.references import is_label
from nasbench_harness.tables.registry import default_task_names


def rule_flags(record: StudyRecord, default_seeds: int) -> list[str]:
    """Flags for seeds and protocol if they differ from the defaults."""
    parts = []
    if record.num_seeds != default_seeds:
        parts += ["--seeds", str(record.num_seeds)]
    if record.study_seed:
        parts += ["--study-seed", str(record.study_seed)]
    defaults = vars(Protocol())
    if record.protocol.simulated_seconds is not None or record.protocol.epochs is not None:
        defaults = {**defaults, "evaluations": None}  # then no flag means no bound
    for name, value in vars(record.protocol).items():
        if value is not None and value != defaults[name]:
            text = _shortest(value) if isinstance(value, float) else str(value)
            text = ",".join(value) if isinstance(value, tuple) else text
            parts += [f"--{name.replace('_', '-')}", shlex.quote(text)]
    return parts


def _shortest(value: float) -> str:
    """A number that is read back as the same number."""
    text = f"{value:.15g}"
    return text if float(text) == value else repr(value)


def written(strategy: StrategyRecord) -> str:
    """A strategy as ``[label=]reference[(key=value, …)]``."""
    arguments = ", ".join(
        f"{name}={one_line_toml(value)}" for name, value in strategy.parameters.items() if value is not None
    )
    text = strategy.reference + (f"({arguments})" if arguments else "")
    is_default = strategy.label == strategy.reference or not is_label(strategy.label)
    return text if is_default else f"{strategy.label}={text}"


def one_line_toml(value: Any) -> str:
    """A JSON value as TOML on one line, as commands take it; files are written by tomli-w, which breaks lines."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {one_line_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(one_line_toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return json.dumps(value, ensure_ascii=False)


PACKAGED_DATA = ("animals16", "animals8", "digits8")  # training data that come with a package


def canonical_command(record: StudyRecord) -> str:
    """``nasbench-harness compare …`` with everything that decides a result and differs from the defaults."""
    parts = ["nasbench-harness", "compare"]
    has_history = dict(record.styles) != moved(style_numbers(record.labels))
    needs_file = has_history or record.quoted or record.protocol.fidelity_by_task or record.tuning
    is_paper = record.report == replace(ReportOptions(), resamples=PAPER_RESAMPLES)
    if needs_file or not (is_paper or record.report == ReportOptions()):
        return " ".join([*parts, "--config", "study.toml"])  # what only a study file can say
    references = [(entry.reference, entry.label) for entry in record.strategies]
    if references != [(name, name) for name in DEFAULT_STRATEGIES]:
        parts += ["--strategies", shlex.quote(",".join(map(written, record.strategies)))]
    if list(record.tasks) != default_task_names():
        parts += ["--tasks", shlex.quote(",".join(record.tasks))]
    if record.images is not None:
        is_packaged = record.images.name in PACKAGED_DATA
        parts += ["--data", record.images.name, *([] if is_packaged else ["--data-dir", "DIR"])]
    if is_paper:
        parts += ["--paper"]
    return " ".join([*parts, *rule_flags(record, PAPER_SEEDS if is_paper else DEFAULT_SEEDS)])
