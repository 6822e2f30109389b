"""A study on disk: what is stored, what is missing, and what it says."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.resolved import Spec
from nasbench_harness.errors import InvalidInputError, RunsFailedError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import all_task_names, load_task
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.files import remove_abandoned
from nasbench_harness.store.folder import Block, Damage, StudyFolder, file_name, missing_seeds
from nasbench_harness.store.identity import identity_of
from nasbench_harness.store.locks import updating
from nasbench_harness.store.merging import updated_record
from nasbench_harness.store.record import StrategyRecord, StudyRecord, TraceRecord, check_width
from nasbench_harness.store.sources import check_digest, check_task_exists, note_tables
from nasbench_harness.store.study_file import read_record
from nasbench_harness.studies.batches import BatchPlan, plan_batches
from nasbench_harness.studies.commands import canonical_command
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.references import check_label
from nasbench_harness.studies.replay import ReplaySpec, TraceRows, check_runs
from nasbench_harness.studies.trace_csv import read_trace, write_trace
from nasbench_harness.tables.registry import load_table, split_task_name, task_names
from nasbench_harness.untrusted import below

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_harness.analysis.results import Analysis
    from nasbench_harness.report.model import ReportTable
    from nasbench_harness.report.sections.anytime import Axis
    from nasbench_harness.verification.running import Trainer
    from nasbench_harness.verification.verify import Preparation, VerifyOptions


@dataclass
class Outstanding:
    """What a study still lacks.

    Attributes:
        batches: Runs to be done.
        num_done: Number of runs that are stored.
        notices: Lines that the user should read.
        superseded: Blocks of another version of a strategy's code.
        damaged: Files among the blocks that are damaged or misplaced.
    """

    batches: list[BatchPlan] = field(default_factory=list)
    num_done: int = 0
    notices: list[str] = field(default_factory=list)
    superseded: list[Block] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)


class Study:
    """A study on disk: strategies × tasks × seeds under one protocol."""

    def __init__(self, folder: StudyFolder, record: StudyRecord, tasks: Sequence[TaskView]) -> None:
        self.folder, self.record = folder, record
        self._tasks = list(tasks)
        self._rows: dict[str, TraceRows] = {}  # rows of the traces, by sha256

    @property
    def rules(self) -> Rules:
        """Protocol and study seed."""
        return Rules(self.record.protocol, self.record.study_seed)

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.folder.path

    def frame(self) -> pd.DataFrame:
        """One row per run: strategy, task, seed, final architecture, its noiseless value, regret (or loss)."""
        from nasbench_harness.analysis.frames import runs_frame

        stored = (
            (strategy.label, task, runs)
            for position, strategy in enumerate(self._entrants)
            for task in self._tasks
            if (runs := self._read(position, task)) is not None
        )
        return runs_frame(stored)

    def table(self, task: str | None = None) -> ReportTable:
        """The main table with all tasks, or one task's table in detail.

        Raises:
            UnknownNameError: The study has no such task.
        """
        from nasbench_harness.report.sections.main import main_table
        from nasbench_harness.report.sections.task import task_table

        if task is None:
            return main_table(self.analysis)
        entries = {entry.task.name: entry for entry in self.analysis.tasks}
        if task not in entries:
            raise UnknownNameError("task", task, entries, "this study")
        return task_table(self.analysis, entries[task])

    def sentences(self, compare: tuple[str, str] | None = None, margin: float | None = None) -> list[str]:
        """Sentences for the text of a paper: who is better than whom, on which tasks, by how much.

        Args:
            compare: Two labels, to be compared on every task; default: all pairs over the tasks.
            margin: With ``compare``: difference in the unit of regret within which equivalence is tested.

        Raises:
            UnknownNameError: The study has no such label.
        """
        from nasbench_harness.report.sections.sentences import pair_sentences, study_sentences

        if compare is None:
            return study_sentences(self.analysis)
        return pair_sentences(self.analysis, *compare, margin)

    def figure(self, axis: Axis = "evaluations") -> Figure:
        """Regret at every moment, one panel per task; ``axis`` is ``evaluations`` or ``seconds`` (simulated)."""
        from nasbench_harness.report.sections.anytime import anytime_figure

        return anytime_figure(self.analysis, axis)

    def write_report(
        self, formats: Sequence[str] | None = None, columns: Sequence[str] = (), width: str | None = None
    ) -> list[str]:
        """Write the report's files to ``<folder>/report``; returns their names.

        Args:
            formats: Some of ``markdown``, ``latex``, ``csv``, ``json``, ``pdf`` and ``png``; default all but ``png``.
            columns: Columns of the paper table, e.g. ``nb201-*:val,test``; default: those of the study file.
            width: Width of LaTeX tables; default: that of the study file.

        Raises:
            InvalidInputError: Columns match no task, or there is no such width.
        """
        from nasbench_harness.report.files import DEFAULT_FORMATS, write_report

        options = self.record.report
        options = replace(options, columns=tuple(columns) or options.columns, width=width or options.width)
        check_width(options.width)
        with updating(self.folder.path):
            remove_abandoned(self.folder.path)
        analysis = replace(self.analysis, options=options)
        return write_report(self.folder, analysis, self.command, tuple(formats or DEFAULT_FORMATS))

    @cached_property
    def analysis(self) -> Analysis:
        """Every number of the report."""
        from nasbench_harness.analysis.study import analyze

        labels = self.labels
        record = self.record
        return analyze(
            labels,
            self._tasks,
            self._read,
            record.protocol,
            record.study_seed,
            record.num_seeds,
            record.report.resamples,
            replayed=self.replayed,
            options=record.report,
            quoted=record.quoted,
        )

    def prepare_verification(
        self,
        task: str | None = None,
        strategies: Iterable[str] | None = None,
        options: VerifyOptions | None = None,
        trainer: Trainer | None = None,
    ) -> Preparation:
        """Plan the verification of what the study found (see ``verify``); nothing is trained yet."""
        from nasbench_harness.analysis.runs import observed_losses
        from nasbench_harness.verification.verify import VerifyOptions, mean_observed, prepare

        labels = self.labels
        chosen = labels if strategies is None else list(strategies)
        for label in chosen:
            if label not in labels:
                raise UnknownNameError("strategy", label, labels, "this study")
        if not chosen:
            raise InvalidInputError("no strategies given: name at least one, or leave --strategies out")
        found = self._trainable(task)
        finals: list[Ints] = []
        losses: dict[int, tuple[float, int]] = {}
        for position, entrant in enumerate(self._entrants):
            runs = self._read(position, found) if entrant.label in chosen else None
            if runs is None:
                continue
            finals.append(runs.final)
            for name, (total, count) in observed_losses(self._blocks(entrant, found), found).items():
                before = losses.get(name, (0.0, 0))
                losses[name] = (before[0] + total, before[1] + count)
        options = options or VerifyOptions()
        chosen_labels = "" if strategies is None else f" --strategies {shlex.quote(','.join(chosen))}"
        command = f"{self.command}; nasbench-harness verify DIR --task {found.name}{chosen_labels}{options.flags()}"
        return prepare(
            found.task,
            np.concatenate(finals),
            mean_observed(losses),
            self.folder,
            self.record.study_seed,
            command,
            options,
            trainer,
        )

    def check_verification(self, options: VerifyOptions) -> None:
        """Refuse a verification of which it is known before any run that it cannot be done.

        Raises:
            InvalidInputError: No task can be verified, no verdict could be reached, or torch or data are missing.
        """
        from nasbench_harness.verification.verify import check

        if not self.verifiable:
            raise self._nothing_to_verify()
        by_name = {task.name: task for task in self._tasks}
        check(by_name[self.verifiable[0]].task, options)

    def _nothing_to_verify(self) -> InvalidInputError:
        names = ", ".join(task.name for task in self._tasks)
        return InvalidInputError(
            f"no task of this study can be verified ({names}): verify needs a table of NAS-Bench-201 cells or of "
            "NATS-Bench widths"
        )

    @property
    def verifiable(self) -> list[str]:
        """Tasks that ``verify`` can train."""
        return [task.name for task in self._tasks if _can_be_verified(task)]

    @property
    def verify_command(self) -> str:
        """The command that verifies the first task that can be trained; empty where there is none."""
        if not self.verifiable:
            return ""
        return f"nasbench-harness verify {shlex.quote(str(self.folder.shown))} --task {self.verifiable[0]}"

    def _trainable(self, name: str | None) -> TaskView:
        """The task to verify: the named one, or the only one that can be trained."""
        by_name = {task.name: task for task in self._tasks}
        if name is not None:
            if name not in by_name:
                raise UnknownNameError("task", name, by_name, "this study")
            if not by_name[name].scores["val"].has_optimum:
                raise InvalidInputError(f"task {name} is trained already, there is no table's answer to verify")
            return by_name[name]
        if not self.verifiable:
            raise self._nothing_to_verify()
        if len(self.verifiable) > 1:
            names = ", ".join(self.verifiable)
            raise InvalidInputError(f"name the task to verify with --task: trainable in this study are {names}")
        return by_name[self.verifiable[0]]

    def plan(self, specs: Sequence[Spec], keep_stale: bool, rerun: Container[str]) -> Outstanding:
        """What is still to be run; nothing is changed on disk.

        Args:
            specs: The strategies of the record, in its order.
            keep_stale: Count runs of an older version of a strategy's code.
            rerun: Labels whose runs are done again.
        """
        found = Outstanding()
        everyone = [*specs, *(ReplaySpec.of(trace, self._trace(trace)) for trace in self._traces)]
        # Task by task, so that a reader sees whole tasks finish.
        for task in self._tasks:
            for spec, entrant in zip(everyone, self._entrants, strict=True):
                if task not in self._tasks_of(entrant):
                    continue
                blocks, damaged = self.folder.scan(self._identity(entrant, task))
                stale = (
                    blocks if spec.label in rerun else [] if keep_stale else self.folder.stale_blocks(blocks, spec.code)
                )
                found.superseded += stale
                found.damaged += damaged
                if stale:
                    why = "asked for" if spec.label in rerun else "its code changed"
                    found.notices.append(
                        f"{spec.label} on {task.name}: runs again ({why}); old runs lie in superseded/"
                    )
                kept = [block for block in blocks if block not in stale]
                ranges = self._missing_ranges(kept, entrant, task)
                found.num_done += len(self._seeds(entrant, task)) - _count(ranges)
                found.batches += plan_batches(spec, task.task, ranges, self.record.protocol)
        if found.damaged:
            found.notices.append(_described(self.folder, found.damaged) + " damaged/; their seeds run again")
        return found

    @property
    def labels(self) -> list[str]:
        """Of strategies and traces, in the order of the record."""
        return [entrant.label for entrant in self._entrants]

    @property
    def command(self) -> str:
        """The command line that repeats this study, without what changes no result."""
        return canonical_command(self.record)

    @property
    def replayed(self) -> tuple[str, ...]:
        """Labels that are traces from elsewhere; in ``analysis`` they come after the strategies."""
        return tuple(trace.label for trace in self._traces)

    @property
    def num_runs(self) -> int:
        """Runs that the whole study has."""
        return sum(len(self._seeds(entrant, task)) for entrant in self._entrants for task in self._tasks_of(entrant))

    def places(self) -> list[tuple[str, Path, Sequence[int]]]:
        """(task, folder of the runs, their seeds) of every strategy on every task; nothing is read."""
        return [
            (task.name, self.folder.runs_folder(self._identity(entrant, task)), self._seeds(entrant, task))
            for entrant in self._entrants
            for task in self._tasks_of(entrant)
        ]

    def missing(self) -> list[tuple[str, str, int]]:
        """(strategy, task, number of runs) still missing."""
        return [(label, task, _count(ranges)) for label, task, ranges in self.missing_ranges()]

    def missing_ranges(self) -> list[tuple[str, str, list[tuple[int, int]]]]:
        """(strategy, task, ranges of seeds) still missing; runs in damaged blocks are missing, too."""
        found = []
        for entrant in self._entrants:
            for task in self._tasks_of(entrant):
                ranges = self._missing_ranges(self._blocks(entrant, task), entrant, task)
                if ranges:
                    found.append((entrant.label, task.name, ranges))
        return found

    def damaged(self) -> list[Damage]:
        """Files among the study's blocks that are damaged or misplaced."""
        places = [(entrant, task) for entrant in self._entrants for task in self._tasks_of(entrant)]
        return [damage for entrant, task in places for damage in self.folder.scan(self._identity(entrant, task))[1]]

    def check_complete(self, label: str | None = None, task: str | None = None) -> None:
        """Refuse what needs all runs, or all of one strategy or task.

        Raises:
            InvalidInputError: Runs are missing.
        """
        for lacking, where, count in self.missing():
            if label in (None, lacking) and task in (None, where):
                damaged = self.damaged()
                why = f"; damaged: {self.folder.show(damaged[0].path)} {damaged[0].reason}" if damaged else ""
                raise InvalidInputError(
                    f"{self.folder.shown} is not complete ({lacking} on {where} lacks {count} of "
                    f"{self.record.num_seeds} runs{why}): repeat the command that runs it"
                )

    def write_record(self, is_alone: bool) -> None:
        """Make this the study that the folder reports; call it inside ``updating``.

        Traces that were added meanwhile stay. When other commands work on the study, theirs stays, too.

        Raises:
            InvalidInputError: The folder holds another study, or another command uses one of the labels.
        """
        record = updated_record(self.folder, self.record, is_alone)
        note_tables(self.folder, [(task.name, task.table) for task in self._tasks])
        self.folder.write_text(self.folder.study_file, record.to_toml())

    def add_trace(self, path: str | Path, label: str, task: str | None = None) -> list[str]:
        """Replay the runs of a method that ran elsewhere under the study's protocol, and compare them from now on.

        Args:
            path: CSV with the columns seed; architecture, key or index; optional step, fidelity, extra_cost_s, task.
            label: Its name in reports.
            task: The task of all rows; may be left out where the study has one task or the file a column ``task``.

        Returns:
            Lines that the user should read, e.g. about seeds that are not compared.

        Raises:
            HarnessError: Something is wrong with the label or the file; nothing was stored.
            RunsFailedError: The runs cannot be stored.
        """
        check_label(label)
        if label in [entry.label for entry in self.record.strategies]:
            raise self._label_is_taken(label)
        record, rules = self.record, Rules(self.record.protocol, self.record.study_seed)
        trace, notices = read_trace(Path(path), {entry.name: entry for entry in self._tasks}, task)
        notices += check_runs(trace, record.protocol, record.num_seeds)
        entry = trace.record(label)
        self._check_trace(entry, record)
        spec = ReplaySpec.of(entry, trace)
        plans: list[BatchPlan] = []
        damaged: list[Damage] = []
        for covered in self._tasks_of(entry):
            blocks, torn = self.folder.scan(self._identity(entry, covered))
            damaged += torn
            seeds = trace.seeds(covered.name)
            # Whether every run reaches its budget is found by running it, also those outside the study's seeds.
            for plan in plan_batches(spec, covered.task, missing_seeds(blocks, max(seeds) + 1, seeds), record.protocol):
                run_seeds(spec, covered.task, rules, plan.run_seeds)
            inside = [seed for seed in seeds if seed < record.num_seeds]
            plans += plan_batches(spec, covered.task, missing_seeds(blocks, record.num_seeds, inside), record.protocol)
        self._rows[entry.sha256] = trace
        with updating(self.folder.path):
            remove_abandoned(self.folder.path)
            for damage in damaged:
                self.folder.set_aside(damage)
            trace.write(self.folder.trace_path(entry.sha256))
        if damaged:
            notices.append(_described(self.folder, damaged) + " damaged/; their seeds run again")
        failures = [report.failure for report in execute(plans, rules, self.path, 1) if report.failure]
        if not failures:
            failures = [
                f"{label} on {covered.name}: {count} runs were not stored"
                for covered in self._tasks_of(entry)
                if (count := _count(self._missing_ranges(self._blocks(entry, covered), entry, covered)))
            ]
        if failures:
            raise RunsFailedError(failures)
        with updating(self.folder.path):
            stored = read_record(self.folder.study_file)  # others may have added to it meanwhile
            self._check_trace(entry, stored)
            if entry not in stored.traces:
                stored = replace(stored, traces=(*stored.traces, entry))
                self.folder.write_text(self.folder.study_file, stored.to_toml())
        if entry not in record.traces:
            self.record = replace(record, traces=(*record.traces, entry))
        self.__dict__.pop("analysis", None)
        return notices

    def _check_trace(self, trace: TraceRecord, record: StudyRecord) -> None:
        """Refuse a trace whose label belongs to something else; the same trace again is no mistake."""
        if trace not in record.traces and trace.label in record.labels:
            raise self._label_is_taken(trace.label)

    def _label_is_taken(self, label: str) -> InvalidInputError:
        return InvalidInputError(
            f"the study has a strategy or trace {label!r} already: choose another --label; the rows of several "
            "tasks go into one file with a column task"
        )

    def export(
        self, trace: str | None = None, formats: Sequence[str] = ("parquet",), task: str | None = None
    ) -> list[Path]:
        """Write every row of the study's runs to ``<folder>/export``; returns the files.

        Args:
            trace: Write only this strategy's proposals, as a CSV that ``add_trace`` reads.
            formats: Of the table of all rows: ``parquet``, ``csv`` or both.
            task: Only this task's rows.

        Raises:
            UnknownNameError: The study has no such strategy or task, or there is no such format.
            InvalidInputError: Runs are missing.
        """
        from nasbench_harness.studies.export import StoredRuns, proposals, write_runs

        for name in formats:
            if name not in ("parquet", "csv"):
                raise UnknownNameError("format", name, ("parquet", "csv"))
        with updating(self.folder.path):
            remove_abandoned(self.folder.path)
        labels = self.labels
        if trace is not None and trace not in labels:
            raise UnknownNameError("strategy", trace, labels, "this study")
        tasks = {entry.name: entry for entry in self._tasks}
        if task is not None and task not in tasks:
            raise UnknownNameError("task", task, tasks, "this study")
        self.check_complete(trace, task)
        stored = [
            StoredRuns(
                entrant.label, entrant in self._traces, entry, self._blocks(entrant, entry), self.record.num_seeds
            )
            for entrant in self._entrants
            if trace in (None, entrant.label)
            for entry in self._tasks_of(entrant)
            if task in (None, entry.name)
        ]
        if not stored:
            raise InvalidInputError(f"the trace {trace!r} has no rows on {task}")
        if trace is not None:
            rows = TraceRows({entry.task.name: proposals(entry.cells()) for entry in stored}, trace)
            path = below(self.folder.export_folder, f"trace-{file_name(trace)}.csv")
            self.folder.write_text(path, write_trace(tasks, rows))
            return [path]
        files = [below(self.folder.export_folder, f"{task or 'runs'}.{name}") for name in formats]
        for path, name in zip(files, formats, strict=True):
            with self.folder.writing(path) as temporary:
                write_runs(stored, temporary, name, {"command": self.command, "study": self.record.to_toml()})
        return files

    @property
    def _traces(self) -> tuple[TraceRecord, ...]:
        """Traces that cover at least one of the study's tasks."""
        return tuple(trace for trace in self.record.traces if set(trace.tasks) & set(self.record.tasks))

    @property
    def _entrants(self) -> tuple[StrategyRecord | TraceRecord, ...]:
        """Strategies, then traces: what reports compare, in their order."""
        return (*self.record.strategies, *self._traces)

    def _tasks_of(self, entrant: StrategyRecord | TraceRecord) -> list[TaskView]:
        return [task for task in self._tasks if isinstance(entrant, StrategyRecord) or task.name in entrant.tasks]

    def _trace(self, record: TraceRecord) -> TraceRows:
        if record.sha256 not in self._rows:
            self._rows[record.sha256] = TraceRows.read(self.folder.trace_path(record.sha256), record)
        return self._rows[record.sha256]

    def _seeds(self, entrant: StrategyRecord | TraceRecord, task: TaskView) -> Sequence[int]:
        """Seeds of the study's runs: a trace has only its own."""
        if isinstance(entrant, StrategyRecord):
            return range(self.record.num_seeds)
        return [seed for seed in self._trace(entrant).seeds(task.name) if seed < self.record.num_seeds]

    def _missing_ranges(
        self, blocks: Iterable[Block], entrant: StrategyRecord | TraceRecord, task: TaskView
    ) -> list[tuple[int, int]]:
        return missing_seeds(blocks, self.record.num_seeds, self._seeds(entrant, task))

    def _blocks(self, entrant: StrategyRecord | TraceRecord, task: TaskView) -> list[Block]:
        return self.folder.blocks(self._identity(entrant, task))

    def _identity(self, entrant: StrategyRecord | TraceRecord, task: TaskView) -> dict[str, Any]:
        record = self.record
        return identity_of(
            entrant.reference, entrant.parameters, task.name, task.table.digest, record.protocol, record.study_seed
        )

    def _read(self, position: int, task: TaskView) -> Any:
        """Runs of a strategy or trace on a task; None where a trace does not cover it."""
        from nasbench_harness.analysis.runs import read_runs

        entrant = self._entrants[position]
        if task not in self._tasks_of(entrant):
            return None
        return read_runs(self._blocks(entrant, task), task, np.array(self._seeds(entrant, task)))


def open_study(path: str | Path) -> Study:
    """The study that was last run in a folder.

    Raises:
        InvalidInputError: The folder holds no study, or its record is damaged.
        StoreError: A table that its runs were made with is not here.
    """
    folder = StudyFolder(Path(path))
    if not folder.study_file.is_file():
        raise InvalidInputError(f"{path} holds no study (no study.toml): name the folder that compare or run printed")
    record = read_record(folder.study_file)
    return Study(folder, record, load_tasks(folder, record.tasks, record.protocol))


def load_tasks(folder: StudyFolder, names: Sequence[str], protocol: Protocol) -> list[TaskView]:
    """The tasks of a study under its protocol; their tables must be those that its stored runs were made with.

    Raises:
        UnknownNameError: There is no such task.
        StoreError: A table is missing here, or it has another digest.
    """
    known = all_task_names()
    for name in names:
        check_task_exists(folder, name, known)
    tasks = []
    for name in names:
        try:
            tasks.append(load_task(name).under(protocol))
        except InvalidInputError:  # perhaps it is another table, which lacks what the study needs
            whole = name.partition("@")[0]
            if whole in task_names():
                check_digest(folder, name, load_table(split_task_name(whole)[0]))
            raise
        check_digest(folder, name, tasks[-1].table)
    return tasks


def _count(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _described(folder: StudyFolder, damaged: Sequence[Damage]) -> str:
    others = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    first = damaged[0]
    return f"damaged block{'s' * (len(damaged) > 1)}: {folder.show(first.path)} {first.reason}{others}; moved to"


def _can_be_verified(task: TaskView) -> bool:
    """Whether its answers come from a table and its architectures can be trained."""
    from nasbench_harness.verification.trainable import can_be_trained

    return task.scores["val"].has_optimum and can_be_trained(task.task)
