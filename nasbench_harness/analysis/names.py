"""Names and units of the compared quantity."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.results import TaskAnalysis


def distance_name(entries: Sequence[TaskAnalysis]) -> str:
    """``regret``, ``loss`` if no optimum is known, or both for mixed tasks."""
    return " or ".join(sorted({entry.val.view.distance for entry in entries}, reverse=True))


def finals_name(entries: Sequence[TaskAnalysis]) -> str:
    """``distance_name`` of final choices."""
    return {"regret": "final regrets", "loss": "final losses"}.get(distance_name(entries), "final regrets or losses")
