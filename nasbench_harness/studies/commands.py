"""Command lines that repeat what was done, as generated files and messages name them."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.record import StrategyRecord, StudyRecord
from nasbench_harness.studies.references import is_label


def rule_flags(record: StudyRecord, default_seeds: int) -> list[str]:
    """Flags for seeds and protocol where they differ from the defaults."""
    parts = []
    if record.num_seeds != default_seeds:
        parts += ["--seeds", str(record.num_seeds)]
    if record.study_seed:
        parts += ["--study-seed", str(record.study_seed)]
    defaults = Protocol()
    for name, value in vars(record.protocol).items():
        if value is not None and value != getattr(defaults, name):
            parts += [
                f"--{name.replace('_', '-')}",
                shlex.quote(f"{value:.15g}" if isinstance(value, float) else str(value)),
            ]
    return parts


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
