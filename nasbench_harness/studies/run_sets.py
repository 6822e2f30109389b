"""The runs of one strategy or trace on one task: those that are stored, and those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.evaluation.source_tasks import answers_version, source_digests
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.folder import Damage, Segment, StudyFolder
from nasbench_harness.store.identity import identity_of
from nasbench_harness.store.notes import notes_path
from nasbench_harness.store.record import StrategyRecord, StudyRecord, TraceRecord
from nasbench_harness.store.seed_ranges import missing_seeds
from nasbench_harness.store.segments import read_record
from nasbench_harness.studies.replay import TraceRows
from nasbench_harness.tables.proxies import later_digest

if TYPE_CHECKING:
    from nasbench_harness.analysis.runs import Runs

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class RunSet:
    """The runs of one strategy or trace on one task of a study.

    Attributes:
        folder: Folder of the study.
        record: Record of the study.
        entrant: The strategy, or the trace.
        task: The task.
        trace: Rows of the trace; None for a strategy.
    """

    folder: StudyFolder
    record: StudyRecord
    entrant: StrategyRecord | TraceRecord
    task: TaskView
    trace: TraceRows | None = None

    @property
    def label(self) -> str:
        """Label of the strategy or trace."""
        return self.entrant.label

    @cached_property
    def seeds(self) -> Sequence[int]:
        """Seeds of the runs in ascending order: a trace has only its own."""
        if self.trace is None:
            return range(self.record.num_seeds)
        return [seed for seed in self.trace.seeds(self.task.name) if seed < self.record.num_seeds]

    @property
    def identity(self) -> dict[str, Any]:
        """Identity of the runs."""
        entrant, task, record = self.entrant, self.task, self.record
        return identity_of(
            entrant.reference,
            entrant.parameters,
            task.name,
            task.table.digest,
            record.protocol,
            record.study_seed,
            record.data_of(entrant.label),
            source_digests(task.task, record.protocol),
            answers_version(self.task),
            later_digest(self.task.space),
        )

    @property
    def path(self) -> Path:
        """Folder of the runs."""
        return self.folder.runs_folder(self.identity)

    def notes_path(self, seed: int) -> Path:
        """File of the notes that the strategy kept of a run."""
        return notes_path(self.folder, self.task.name, self.identity, seed)

    def scan(self) -> tuple[list[Segment], list[Damage]]:
        """The stored segments, and the files among them that are damaged or misplaced."""
        return self.folder.scan(self.identity)

    def segments(self) -> list[Segment]:
        """The stored segments."""
        return self.folder.segments(self.identity)

    def missing(self, segments: Iterable[Segment] | None = None) -> Ranges:
        """Ranges of the seeds that are missing; runs in damaged segments are missing, too.

        Args:
            segments: Segments that count; None: all that are stored.
        """
        return missing_seeds(self.segments() if segments is None else segments, self.record.num_seeds, self.seeds)

    def code(self) -> str:
        """Hash of the code that produced the first segment of runs; empty if nothing is stored."""
        segments = self.segments()
        return str(read_record(segments[0].path).get("code") or "") if segments else ""

    def read(self) -> Runs:
        """The stored runs.

        Raises:
            StoreError: A segment is damaged.
        """
        from nasbench_harness.analysis.runs import read_runs

        return read_runs(self.segments(), self.task, np.array(self.seeds))


def count(ranges: Iterable[tuple[int, int]]) -> int:
    """Number of seeds in ranges."""
    return sum(last - first + 1 for first, last in ranges)
