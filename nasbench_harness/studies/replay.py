"""Traces from elsewhere: proposals of another program's runs, proposed again under a study's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.strategy import Proposals, Results, Strategy
from nasbench_harness.errors import InvalidInputError, StoreError
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task
from nasbench_harness.store.record import MIN_SEEDS, TraceRecord
from nasbench_harness.store.segments import read_columns, read_record, write_segment
from nasbench_harness.untrusted import one_line

_COLUMNS = {
    "task": np.int16,
    "seed": np.int64,
    "architecture": np.int32,
    "fidelity": np.int16,
    "extra_cost_s": np.float64,
}
_LONGEST_RULES = 1_000  # characters in a message
_RECOMMENDED = {"recommended": np.int32}  # only in traces that recommend


@dataclass(frozen=True)
class RunRows:
    """Proposals of a trace's runs on one task, run after run.

    Attributes:
        seeds: Seed of each run, ascending, shape (num_runs,).
        first: First row of each run, then the number of rows, shape (num_runs + 1,).
        architectures: Shape (num_rows,); −1 if the search only spent time.
        fidelities: Index on the task's fidelity axis, shape (num_rows,).
        extra_cost_s: Seconds that the search itself spent before the row, shape (num_rows,).
        recommended: Architecture that the run would return after the row, −1 for its incumbent, shape (num_rows,);
            None if the trace recommends nothing.
    """

    seeds: Ints
    first: Ints
    architectures: Ints
    fidelities: Ints
    extra_cost_s: Floats
    recommended: Ints | None = None

    @classmethod
    def from_rows(
        cls,
        seeds: Ints,
        architectures: Ints,
        fidelities: Ints,
        extra_cost_s: Floats,
        recommended: Ints | None = None,
    ) -> RunRows:
        """Rows in the order of their steps, in which runs may be mixed; all shapes (num_rows,)."""
        order = np.argsort(seeds, kind="stable")
        distinct, counts = np.unique(seeds, return_counts=True)
        first = np.concatenate([[0], np.cumsum(counts)])
        ordered = None if recommended is None else recommended[order]
        return cls(distinct, first, architectures[order], fidelities[order], extra_cost_s[order] + 0.0, ordered)

    @property
    def num_proposals(self) -> Ints:
        """Rows of each run that propose an architecture, shape (num_runs,)."""
        counts: Ints = np.add.reduceat(self.architectures >= 0, self.first[:-1], dtype=np.int64)
        return counts


@dataclass(frozen=True)
class TraceRows:
    """A trace from elsewhere.

    Attributes:
        tasks: Its rows by task.
        source: Its name in messages, e.g. the file that it was read from.
        rules: Rules that the runs on a task were recorded under, by task (see ``rules_of``); only of recordings.
    """

    tasks: Mapping[str, RunRows]
    source: str
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def recommends(self) -> bool:
        """Whether the runs name their choice."""
        return any(rows.recommended is not None for rows in self.tasks.values())

    @cached_property
    def sha256(self) -> str:
        """Hash of the rows, however they were written: as indices, keys or strings, in whatever order of runs."""
        digest = sha256(" ".join(sorted(self.tasks)).encode())
        for name, column in self._columns().items():
            digest.update(f" {name} ".encode() + column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def seeds(self, task: str) -> list[int]:
        """Seeds of its runs on a task, ascending."""
        seeds: list[int] = self.tasks[task].seeds.tolist()
        return seeds

    def record(self, label: str) -> TraceRecord:
        """How a study names the trace."""
        return TraceRecord(label, self.sha256, tuple(self.tasks))

    def write(self, path: Path) -> None:
        """Store the rows, whole or not at all."""
        extra = {"recommends": True} if self.recommends else {}
        write_segment(path, self._columns(), {"trace": self.sha256, "tasks": sorted(self.tasks), **extra})

    @classmethod
    def read(cls, path: Path, record: TraceRecord) -> TraceRows:
        """Read stored rows.

        Raises:
            StoreError: The file is missing, truncated, or holds other rows.
        """
        advice = f"add the trace {record.label!r} again under another label, or take its table out of study.toml"
        if not path.is_file():
            raise StoreError(f"{path} is missing: {advice}")
        footer = read_record(path)
        columns = read_columns(path, (*_COLUMNS, *(_RECOMMENDED if footer.get("recommends") else ())))
        tasks, rows = footer.get("tasks", []), {}
        for position, task in enumerate(tasks):
            of_task = {name: column[columns["task"] == position] for name, column in columns.items()}
            del of_task["task"]
            rows[task] = RunRows.from_rows(
                of_task["seed"],
                of_task["architecture"],
                of_task["fidelity"],
                of_task["extra_cost_s"],
                of_task.get("recommended"),
            )
        trace = cls(rows, str(path))
        if not tasks or trace.sha256 != record.sha256:
            raise StoreError(f"{path} does not hold the rows of the trace {record.label!r}: {advice}")
        return trace

    def _columns(self) -> dict[str, AnyArray]:
        parts: list[tuple[AnyArray, ...]] = []
        for position, task in enumerate(sorted(self.tasks)):
            rows = self.tasks[task]
            seeds = np.repeat(rows.seeds, np.diff(rows.first))
            part = (np.full(len(seeds), position), seeds, rows.architectures, rows.fidelities, rows.extra_cost_s)
            own = np.full(len(seeds), -1) if rows.recommended is None else rows.recommended
            parts.append((*part, own) if self.recommends else part)
        dtypes = {**_COLUMNS, **(_RECOMMENDED if self.recommends else {})}
        return {
            name: np.concatenate(columns).astype(dtype)
            for (name, dtype), columns in zip(dtypes.items(), zip(*parts, strict=True), strict=True)
        }


class Replay(Strategy):
    """Repeats the proposals of a trace's runs, whatever comes back.

    Args:
        rows: The trace on the task.
        run_seeds: Seed of each run of the batch, shape (num_runs,); the trace has all of them.
        source: Name of the trace in messages.
        task: The task.
    """

    def __init__(self, rows: RunRows, run_seeds: Ints, source: str, task: str) -> None:
        positions = np.searchsorted(rows.seeds, run_seeds)
        self._rows, self._run_seeds, self._where = rows, run_seeds, f"{source}: {{}} on task {task}"
        self._first, self._end = rows.first[positions], rows.first[positions + 1]
        self._next = self._first.copy()
        self._has_extra = bool(rows.extra_cost_s.any())

    def ask(self, idle: Bools) -> Proposals:
        """The next row of every idle run.

        Raises:
            InvalidInputError: A run has budget left but no rows.
        """
        if (idle & (self._next >= self._end)).any():
            self._refuse(np.flatnonzero(idle & (self._next >= self._end)))
        rows = np.where(idle, self._next, 0)
        self._next += idle
        extra_cost_s = np.where(idle, self._rows.extra_cost_s[rows], 0.0) if self._has_extra else None
        return Proposals(np.where(idle, self._rows.architectures[rows], -1), self._rows.fidelities[rows], extra_cost_s)

    def tell(self, results: Results) -> None:
        """Results do not change the proposals."""

    def _refuse(self, runs: Ints) -> None:
        where = self._where.format(f"seed {self._run_seeds[runs[0]]}")
        others = f" ({len(runs)} runs end there)" if len(runs) > 1 else ""
        num_rows = int((self._end - self._first)[runs[0]])
        raise InvalidInputError(
            f"{where} ends after {num_rows:,} rows, but its budget is not spent{others}: a trace must be as long as "
            "the study's budget (rows beyond it are ignored); give it more rows, or compare under a smaller budget"
        )


class RecommendingReplay(Replay):
    """A replay whose runs return what the trace recommends after its last row that was played."""

    def recommend(self) -> Ints | None:
        """Recommendation of each run after its last row, −1 for the incumbent; shape (num_runs,)."""
        if self._rows.recommended is None:
            return None
        return np.where(self._next > self._first, self._rows.recommended[np.maximum(self._next - 1, 0)], -1)


@dataclass(frozen=True)
class ReplayedTrace(ResolvedStrategy):
    """A trace ready to run in a strategy's place."""

    trace: TraceRows

    @classmethod
    def of(cls, record: TraceRecord, trace: TraceRows) -> ReplayedTrace:
        """The trace under its label; its code is its rows."""
        return cls(record.label, record.reference, record.parameters, Replay, trace.sha256, trace)

    def make(self, problem: Problem, task: str, study_seed: int, run_seeds: Ints) -> Replay:  # noqa: ARG002 - base
        """The strategy for these runs on a task, shape (num_runs,)."""
        replay = RecommendingReplay if self.trace.recommends else Replay
        return replay(self.trace.tasks[task], run_seeds, self.trace.source, task)


def rules_of(protocol: Protocol, study_seed: int, task: Task) -> str:
    """Text of all that decides what a run on a task sees: the table, too, but not the selection after the run.

    >>> from nasbench_harness.evaluation.task import load_task
    >>> rules_of(Protocol(evaluations=20, noise="mean"), 7, load_task("nb201-cifar10")).rpartition(" ")[0]
    'study_seed 7, protocol {"evaluations": 20, "noise": "mean"}, table'
    """
    own = protocol.of_task(task.name)
    default = task.table.metrics(task.dataset, "search")[0].metric.name
    objectives = () if own.objectives == (default,) else own.objectives
    seen = replace(own, objectives=objectives, selection="own")
    return f"study_seed {study_seed}, protocol {seen.identity()}, table {task.table.digest[:8]}"


def check_rules(trace: TraceRows, protocol: Protocol, study_seed: int, tasks: Mapping[str, Task]) -> None:
    """Refuse recorded runs that saw other values than the study's runs see.

    Raises:
        InvalidInputError: Runs were recorded under another protocol, study seed or table; the message names both.
    """
    for task, found in trace.rules.items():
        own = rules_of(protocol, study_seed, tasks[task])
        for rules in found:
            if rules != own:
                raise InvalidInputError(
                    f"{trace.source}: its runs on {task} were recorded under {one_line(rules, _LONGEST_RULES)}, and "
                    f"the study has {own}: record them under the study's rules, or compare them in a study with theirs"
                )


def check_runs(trace: TraceRows, protocol: Protocol, num_seeds: int) -> list[str]:
    """Refuse traces that cannot be compared; returns lines that the user should read.

    Args:
        trace: The trace.
        protocol: The study's rules.
        num_seeds: Seeds of the study.

    Raises:
        InvalidInputError: The runs have several workers or labels, a task has too few of the study's seeds, or runs
            that should be equally long are not.
    """
    if protocol.workers > 1:
        raise InvalidInputError(
            f"{trace.source}: a trace has one evaluation under way, and the study's runs have {protocol.workers} "
            "workers: compare it in a study with one"
        )
    if protocol.instances != "same":
        raise InvalidInputError(
            f"{trace.source}: the study relabels the choices in each run, and a trace from elsewhere was made without "
            "labels: compare it in a study without instances=relabel"
        )
    notices = []
    for task, rows in trace.tasks.items():
        num_inside = int((rows.seeds < num_seeds).sum())
        if num_inside < MIN_SEEDS:
            raise InvalidInputError(
                f"{trace.source}, column seed: {num_inside} of its {len(rows.seeds)} seeds on {task} are in the "
                f"study's 0 … {num_seeds - 1}, but at least {MIN_SEEDS} must: number the runs from 0, or run more seeds"
            )
        if num_inside < len(rows.seeds):
            notices.append(
                f"{len(rows.seeds) - num_inside} of {len(rows.seeds)} seeds on {task} are outside the study's "
                f"0 … {num_seeds - 1} and are not compared"
            )
        # Under other rules, runs that spend the same budget differ in their number of proposals.
        is_counted = protocol.duplicates == "charge" and protocol.simulated_seconds is None and protocol.epochs is None
        lengths = rows.num_proposals
        if is_counted and lengths.min() < lengths.max():
            shortest, longest = rows.seeds[lengths.argmin()], rows.seeds[lengths.argmax()]
            raise InvalidInputError(
                f"{trace.source}: on {task} seed {shortest} has {lengths.min()} rows, but seed {longest} has "
                f"{lengths.max()}: every run needs the same number; has one stopped early?"
            )
    return notices
