"""Batches of a study: the runs that are still to be done, grouped so that they fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.ledger import expected_evaluations, visit_type
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.source_tasks import answers_version, source_digests
from nasbench_harness.evaluation.task import Task, open_task
from nasbench_harness.evaluation.trainings import BYTES_PER_SLOT
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.identity import identity_of
from nasbench_harness.store.record import TraceRecord
from nasbench_harness.store.seed_ranges import seed_ranges
from nasbench_harness.store.segments import SEEDS_PER_SEGMENT
from nasbench_harness.studies.replay import ReplayedTrace, TraceRows
from nasbench_harness.tables.proxies import later_digest

_MAX_VISIT_BYTES = 32 * 2**20
_MAX_ROWS = 2_000_000  # rows of one batch's trace, about 70 MB
_MAX_SEGMENT_ROWS = 20_000_000  # rows of one segment; a segment has fewer runs if these spend more


@dataclass(frozen=True)
class BatchPlan:
    """Runs that advance together.

    Attributes:
        spec: The strategy.
        task: The task.
        segments: First and last seed of each segment that they fill.
        sources: Name and digest of each source of the protocol.
    """

    spec: ResolvedStrategy
    task: Task
    segments: tuple[tuple[int, int], ...]
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def run_seeds(self) -> Ints:
        """Seed of each run, shape (num_runs,)."""
        return np.concatenate([np.arange(first, last + 1) for first, last in self.segments])


@dataclass(frozen=True)
class SentPlan:
    """A plan on its way to a worker, which opens the task and reads a trace's rows itself.

    It holds no array of a table, no value that runs are scored by, and no path of this machine.

    Attributes:
        strategy: The strategy, or the record of a trace whose rows are in the study's folder.
        task: Name of the task.
        digest: Digest of its table.
        segments: See BatchPlan.
        sources: See BatchPlan; the worker opens them, too, and reads no value that runs are scored by.
    """

    strategy: ResolvedStrategy | TraceRecord
    task: str
    digest: str
    segments: tuple[tuple[int, int], ...]
    sources: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, plan: BatchPlan) -> SentPlan:
        """The plan, ready to be sent."""
        spec = plan.spec
        strategy = spec.trace.record(spec.label) if isinstance(spec, ReplayedTrace) else spec
        return cls(strategy, plan.task.name, plan.task.table.digest, plan.segments, plan.sources)

    def opened(self, study: StudyFolder) -> BatchPlan:
        """The plan in the process that received it.

        Raises:
            HarnessError: The task is not here, its table differs from the study's, or the trace is missing.
        """
        spec = self.strategy
        if isinstance(spec, TraceRecord):
            spec = ReplayedTrace.of(spec, TraceRows.read(study.trace_path(spec.sha256), spec))
        for name, digest in self.sources:
            open_task(name, digest)
        return BatchPlan(spec, open_task(self.task, self.digest), self.segments, self.sources)


@dataclass(frozen=True)
class BatchResult:
    """Report of a batch.

    Attributes:
        label: The strategy.
        task: The task.
        num_runs: Runs of the batch.
        num_evaluations: Evaluations of the runs that were stored.
        seconds: Real seconds.
        failure: A line for each different error: strategy, task, seeds, message and log; empty if every run is stored.
        num_failed: Runs that were not stored.
    """

    label: str
    task: str
    num_runs: int
    num_evaluations: int = 0
    seconds: float = 0.0
    failure: str = ""
    num_failed: int = 0


def identity(spec: ResolvedStrategy, task: Task, rules: Rules) -> dict[str, Any]:
    """Identity of a strategy's runs on a task."""
    return identity_of(
        spec.reference,
        spec.parameters,
        task.name,
        task.table.digest,
        rules.protocol,
        rules.study_seed,
        data_digest(spec, rules),
        source_digests(task, rules.protocol),
        answers_version(task.under(rules.protocol)),
        later_digest(task.space),
    )


def data_digest(spec: ResolvedStrategy, rules: Rules) -> str:
    """Digest of the images that a strategy trains on; empty if it trains on none."""
    return rules.images.digest if rules.images is not None and spec.needs.training_data else ""


def plan_batches(
    spec: ResolvedStrategy, task: Task, ranges: Sequence[tuple[int, int]], protocol: Protocol
) -> list[BatchPlan]:
    """Group segments into batches whose visit counts and traces stay within their memory.

    A batch has at most ``max_runs`` of the strategy, and so have its segments. A batch of generators has at most 100
    runs: they take turns at every step, and the state of many of them does not fit into the processor's caches.
    """
    num_rows = expected_evaluations(task, protocol)
    max_runs = max(SEEDS_PER_SEGMENT, _MAX_ROWS // num_rows)
    max_runs = max(1, min(max_runs, _MAX_VISIT_BYTES // _visit_bytes(task, protocol), _MAX_SEGMENT_ROWS // num_rows))
    if max_runs < SEEDS_PER_SEGMENT:  # the parts of a segment are about equal
        num_parts = math.ceil(SEEDS_PER_SEGMENT / max_runs)
        max_runs = math.ceil(SEEDS_PER_SEGMENT / num_parts)
    if spec.is_generator:
        max_runs = min(max_runs, SEEDS_PER_SEGMENT)
    if spec.max_runs is not None:
        max_runs = min(max_runs, spec.max_runs)
    batches: list[list[tuple[int, int]]] = []
    num_runs = max_runs
    for start, end in ranges:
        for first in range(start, end + 1, max_runs):
            last = min(first + max_runs - 1, end)
            if num_runs + last - first + 1 > max_runs:
                batches.append([])
                num_runs = 0
            batches[-1].append((first, last))
            num_runs += last - first + 1
    sources = tuple(source_digests(task, protocol).items())
    return [BatchPlan(spec, task, tuple(segments), sources) for segments in batches]


def _visit_bytes(task: Task, protocol: Protocol) -> int:
    """Bytes of one run's visit counts."""
    view = task.under(protocol)
    bytes_per_slot = BYTES_PER_SLOT if len(view.fidelities) > 1 else np.dtype(visit_type(protocol)).itemsize
    if protocol.duplicates_by == "class":
        bytes_per_slot += np.dtype(np.int32).itemsize  # the first of each class
    return bytes_per_slot * task.space.num_architectures


def halves(seeds: Ints) -> list[tuple[tuple[int, int], ...]]:
    """Segments of the later and of the earlier half of the seeds."""
    middle = (len(seeds) + 1) // 2
    return [tuple(seed_ranges(half)) for half in (seeds[middle:].tolist(), seeds[:middle].tolist())]


def joined(reports: Sequence[BatchResult], plan: BatchPlan) -> BatchResult:
    """One report of a batch that ran in parts."""
    return BatchResult(
        plan.spec.label,
        plan.task.name,
        len(plan.run_seeds),
        sum(report.num_evaluations for report in reports),
        sum(report.seconds for report in reports),
        "\n".join(filter(None, (report.failure for report in reports))),
        sum(report.num_failed for report in reports),
    )
