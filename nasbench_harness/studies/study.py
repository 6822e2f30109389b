"""A study on disk: its record, its folder, and the runs that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.evaluation.task_names import all_task_names
from nasbench_harness.evaluation.training_data import ImageSource
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.folder import Damage, StudyFolder
from nasbench_harness.store.record import ReportOptions, StudyRecord, TraceRecord, check_curves
from nasbench_harness.store.sources import check_digest, check_task_exists
from nasbench_harness.store.study_file import read_record
from nasbench_harness.studies.analyzing import analyze_study
from nasbench_harness.studies.commands import canonical_command
from nasbench_harness.studies.replay import TraceRows
from nasbench_harness.studies.run_sets import RunSet, count
from nasbench_harness.tables.registry import load_table, split_task_name, task_names
from nasbench_harness.words import plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_harness.analysis.results import Analysis, Axis
    from nasbench_harness.report.sections.figures import Kind
    from nasbench_harness.report.shown import ShownTable


class Study:
    """A study on disk: strategies × tasks × seeds under one protocol.

    Attributes:
        folder: Folder of the study.
        record: Strategies, tasks, seeds and rules.
        tasks: The tasks under the protocol.
    """

    def __init__(
        self,
        folder: StudyFolder,
        record: StudyRecord,
        tasks: Sequence[TaskView],
        images: ImageSource | None = None,
    ) -> None:
        self.folder, self.record, self.images = folder, record, images
        self.tasks = list(tasks)
        self._rows: dict[str, TraceRows] = {}  # rows of the traces, by sha256
        self._other: Analysis | None = None  # with curves by the other one of validation and test

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.folder.path

    @property
    def labels(self) -> list[str]:
        """Labels of strategies and traces, in the order of the record."""
        return [*(entry.label for entry in self.record.strategies), *self.replayed]

    @property
    def replayed(self) -> tuple[str, ...]:
        """Labels of the traces from elsewhere that are compared; they come after the strategies."""
        return tuple(trace.label for trace in self.record.traces if self._tasks_of(trace))

    @property
    def command(self) -> str:
        """The command line that repeats this study, without options that change no result."""
        return canonical_command(self.record)

    @property
    def num_runs(self) -> int:
        """Number of runs of the whole study."""
        return sum(len(runs.seeds) for runs in self.run_sets())

    def run_sets(self, label: str | None = None, task: str | None = None) -> list[RunSet]:
        """The runs of every strategy on every task, strategy by strategy; a trace has its own tasks only.

        Args:
            label: Label of the strategy or trace; None: all.
            task: Name of the task; None: all.
        """
        return [runs for runs in self._run_sets(task) if label in (None, runs.label)]

    def _run_sets(self, task: str | None) -> Iterator[RunSet]:
        chosen = [found for found in self.tasks if task in (None, found.name)]
        yield from (
            RunSet(self.folder, self.record, entry, found) for entry in self.record.strategies for found in chosen
        )
        for trace in self.record.traces:
            for found in chosen:
                if found.name in self._tasks_of(trace):
                    yield RunSet(self.folder, self.record, trace, found, self._trace(trace))

    def missing(self) -> list[tuple[str, str, int]]:
        """(strategy, task, number of runs) of the runs that are missing; those in damaged segments are, too."""
        found = [(runs.label, runs.task.name, count(runs.missing())) for runs in self.run_sets()]
        return [(label, task, number) for label, task, number in found if number]

    def check_complete(self, label: str | None = None, task: str | None = None) -> None:
        """Refuse a study with missing runs, or with missing runs of one strategy or task.

        Raises:
            InvalidInputError: Runs are missing.
        """
        for incomplete, where, number in self.missing():
            if label in (None, incomplete) and task in (None, where):
                damaged = damaged_files(self)
                why = f"; damaged: {self.folder.show(damaged[0].path)} {damaged[0].reason}" if damaged else ""
                raise InvalidInputError(
                    f"{self.folder.shown} is not complete ({incomplete} on {where} does not have {number} of "
                    f"{self.record.num_seeds} runs{why}): repeat the command that runs it"
                )

    @cached_property
    def analysis(self) -> Analysis:
        """Every number of the report."""
        return analyze_study(self, self.record.report)

    def _analysis_with(self, options: ReportOptions) -> Analysis:
        """Every number of the report with another layout; its order and estimand are those of the study file."""
        if ("test" in options.curves) == ("test" in self.record.report.curves):
            return replace(self.analysis, options=options)
        if self._other is None:
            self._other = analyze_study(self, options)
        return replace(self._other, options=options)

    def frame(self) -> pd.DataFrame:
        """One row per run: label, task, seed, spending, choice (index and key), noiseless values and regrets."""
        from nasbench_harness.analysis.frames import runs_frame

        return runs_frame((runs.label, runs.task, runs.read()) for runs in self.run_sets())

    def table(self, task: str | None = None) -> ShownTable:
        """The main table with all tasks, or one task's table in detail.

        Raises:
            UnknownNameError: The study has no such task.
        """
        from nasbench_harness.report.shown import table_of

        return table_of(self.analysis, task)

    def sentences(self, compare: tuple[str, str] | None = None, margin: float | None = None) -> list[str]:
        """Sentences for the text of a paper: who is better than whom, on which tasks, by how much.

        Args:
            compare: Two labels, to be compared on every task; default: all pairs over the tasks.
            margin: With ``compare``: difference in the unit of regret within which equivalence is tested.

        Raises:
            UnknownNameError: The study has no such label.
        """
        from nasbench_harness.report.sections.sentences import pair_sentences, study_sentences

        return pair_sentences(self.analysis, *compare, margin) if compare else study_sentences(self.analysis)

    def figure(
        self,
        kind: Kind = "anytime",
        axis: Axis = "evaluations",
        tasks: Sequence[str] | None = None,
        strategies: Sequence[str] | None = None,
        ax: Axes | None = None,
        width: str | float | None = None,
        curves: Sequence[str] | None = None,
    ) -> Figure:
        """One figure, with a panel for each task.

        Args:
            kind: ``anytime``: regret over time; ``ecdf``: share of targets reached; ``heatmap``: A12 of every pair;
                ``forest``: differences of means with intervals and the margin; ``critical-difference``: mean ranks
                over at least six tasks; ``front``: sets of runs beside the true front, for two objectives.
            axis: Axis of ``anytime``: ``evaluations``, ``seconds`` (simulated) or ``epochs``.
            tasks: Names of the tasks; None: all.
            strategies: Labels; None: all. No style, line or interval depends on the choice; mean ranks do.
            ax: Axes of Matplotlib to draw into, for a single task.
            width: Inches, or a name such as ``ieee-column``; None: the text of a single-column paper.
            curves: Words on ``anytime``: ``test`` for the test metric, ``value`` for the metric in place of the regret,
                ``linear`` for linear axes; None: those of the study file.

        Raises:
            InvalidInputError: There is no such kind, axis, task or label, or one pair of axes is to hold several tasks.
        """
        from nasbench_harness.report.sections.figures import figure_of

        options = self.record.report if curves is None else replace(self.record.report, curves=tuple(curves))
        check_curves(options.curves)
        return figure_of(self._analysis_with(options), kind, axis, tasks, strategies, ax, width)

    def write_report(
        self,
        formats: Sequence[str] | None = None,
        columns: Sequence[str] = (),
        width: str | None = None,
        figures: Sequence[Kind] = (),
        curves: Sequence[str] = (),
    ) -> list[str]:
        """Write the report's files to ``<folder>/report``; returns their names.

        Args:
            formats: Some of ``html``, ``markdown``, ``latex``, ``csv``, ``json``, ``pdf`` and ``png``; default all but
                ``png``.
            columns: Columns of the paper table, e.g. ``nb201-*:val,test``; default: those of the study file.
            width: Width of LaTeX tables; default: that of the study file.
            figures: Kinds of figures beside ``anytime``; default: those of the study file.
            curves: Words on ``anytime`` (see ``figure``); default: those of the study file.

        Raises:
            InvalidInputError: Columns match no task, or there is no such width.
        """
        from nasbench_harness.studies.reporting import write_study_report

        return write_study_report(self, formats, columns, width, figures, curves)

    def export(
        self, trace: str | None = None, formats: Sequence[str] = ("parquet",), task: str | None = None
    ) -> list[Path]:
        """Write every row of the runs to ``<folder>/export``; returns the files.

        Args:
            trace: Label whose proposals alone are written, as a CSV that ``add_trace`` reads.
            formats: Formats of the table of all rows: ``parquet``, ``csv`` or both.
            task: Name of the task whose rows alone are written.

        Raises:
            UnknownNameError: The study has no such strategy or task, or there is no such format.
            InvalidInputError: Runs are missing.
        """
        from nasbench_harness.studies.export import export_runs

        return export_runs(self, trace, formats, task)

    def add_trace(self, path: str | Path, label: str, task: str | None = None) -> list[str]:
        """Replay the runs of a method that ran elsewhere under the study's protocol, and compare them from now on.

        Args:
            path: CSV with the columns seed; architecture, key or index; optional step, fidelity, extra_cost_s,
                recommended, task.
            label: Label in reports.
            task: Task of all rows; None: the study has one task, or the file has a column ``task``.

        Returns:
            Lines that the user should read, e.g. about seeds that are not compared.

        Raises:
            HarnessError: Something is wrong with the label or the file; nothing was stored.
            RunsFailedError: The runs cannot be stored.
        """
        from nasbench_harness.studies.traces import add_trace

        trace, notices = add_trace(self, Path(path), label, task)
        if trace not in self.record.traces:
            self.record = replace(self.record, traces=(*self.record.traces, trace)).with_styles(self.record)
        self.__dict__.pop("analysis", None)
        self._other = None
        return notices

    def __repr__(self) -> str:
        return f"Study({str(self.folder.shown)!r})"

    def _repr_html_(self) -> str:
        """The main table, or the number of missing runs, for notebooks."""
        missing = sum(number for _, _, number in self.missing())
        if missing:
            return f"<p>{missing:,} of {plural(self.num_runs, 'run')} missing.</p>"
        return self.table()._repr_html_()

    def _tasks_of(self, trace: TraceRecord) -> list[str]:
        """Tasks of the study on which a trace has one of its seeds."""
        names = [name for name in trace.tasks if name in self.record.tasks]
        return [name for name in names if self._trace(trace).seeds(name)[0] < self.record.num_seeds]

    def _trace(self, record: TraceRecord) -> TraceRows:
        if record.sha256 not in self._rows:
            self._rows[record.sha256] = TraceRows.read(self.folder.trace_path(record.sha256), record)
        return self._rows[record.sha256]


def damaged_files(study: Study) -> list[Damage]:
    """Files among the study's segments that are damaged or misplaced."""
    return [damage for runs in study.run_sets() for damage in runs.scan()[1]]


def open_study(path: str | Path) -> Study:
    """The study that was last run in a folder.

    Raises:
        InvalidInputError: The folder holds no study, or its record is damaged.
        StoreError: A table that its runs were made with is not here.

    Example: ``open_study("my-study").table()`` is the table of the study that ``compare --out my-study`` finished.
    """
    folder = StudyFolder(Path(path))
    if not Path(path).exists():
        raise InvalidInputError(f"{path} does not exist: name the folder that compare or run printed")
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
        except InvalidInputError:  # perhaps it is another table, which does not have what the study needs
            whole = name.partition("@")[0]
            if whole in task_names():
                check_digest(folder, name, load_table(split_task_name(whole)[0]))
            raise
        check_digest(folder, name, tasks[-1].table)
    return tasks
