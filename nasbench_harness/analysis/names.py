"""Names and units of the compared quantity."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.results import TaskAnalysis


def distance_name(entries: Sequence[TaskAnalysis]) -> str:
    """``regret``, ``loss`` if no optimum is known, or both for mixed tasks."""
    return " or ".join(sorted({entry.val.view.distance for entry in entries}, reverse=True))


def choice_name(entries: Sequence[TaskAnalysis]) -> str:
    """The thing that a run returns: ``choice``, or ``returned set`` under two objectives."""
    return "returned set" if any(entry.val.view.is_of_sets for entry in entries) else "choice"


def distance_meaning(entries: Sequence[TaskAnalysis]) -> str:
    """The two ends of ``distance_name`` in words."""
    if any(entry.val.view.is_of_sets for entry in entries):
        return "100 − hypervolume of the returned set, in % of the true front's"
    feasible = "feasible " if any(entry.task.constraints for entry in entries) else ""
    return f"distance of the final choice to the best {feasible}mean of the table"


def finals_name(entries: Sequence[TaskAnalysis]) -> str:
    """``distance_name`` of final choices."""
    return {"regret": "final regrets", "loss": "final losses"}.get(distance_name(entries), "final regrets or losses")
