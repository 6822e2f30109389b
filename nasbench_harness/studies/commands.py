"""Command lines that repeat what was done, as generated files and messages name them."""

from __future__ import annotations

import shlex

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.record import StrategyRecord, StudyRecord, to_toml
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
        f"{name}={to_toml(value)}" for name, value in strategy.parameters.items() if value is not None
    )
    text = strategy.reference + (f"({arguments})" if arguments else "")
    is_default = strategy.label == strategy.reference or not is_label(strategy.label)
    return text if is_default else f"{strategy.label}={text}"
