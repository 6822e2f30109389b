"""Strategies that are not scored on a task, as some of their runs ended without any result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nasbench_harness.arrays import Ints
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.seed_ranges import seeds_text


@dataclass(frozen=True)
class Unscored:
    """Runs of a strategy on a task that have nothing to return: no evaluation ended with a value within the budget.

    The others alone say nothing fair about the strategy, so it is not scored on the task.

    Attributes:
        label: The strategy.
        task: Name of the task.
        seeds: Seeds of the runs without a result.
        num_runs: Runs of the strategy on the task.
    """

    label: str
    task: str
    seeds: Ints
    num_runs: int

    @property
    def note(self) -> str:
        """A line for the foot of a table."""
        return f"{self.task}: {self.label} is not scored, as {self._count} without a result."

    @property
    def _count(self) -> str:
        return f"{len(self.seeds):,} of {self.num_runs:,} runs ended"

    def line(self, protocol: Protocol) -> str:
        """A line for the terminal: the seeds, and the remedy."""
        has_late = protocol.overrun == "discard" and (protocol.simulated_seconds, protocol.epochs) != (None, None)
        late = ", let the last evaluation count (overrun=count)" if has_late else ""
        seeds = seeds_text(self.seeds.tolist())
        return (
            f"{self.label} on {self.task}, {seeds}: {self._count} without a result, so the strategy is not scored "
            f"there: raise the budget{late}, or leave the strategy out"
        )


def unscored_lines(unscored: Iterable[Unscored], protocol: Protocol) -> list[str]:
    """A line for each strategy and task that are not scored.

    Args:
        unscored: The strategies.
        protocol: Rules of the study.
    """
    return [entry.line(protocol) for entry in unscored]
