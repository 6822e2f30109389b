"""From a request to the runs that are missing."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.limits import check_limit
from nasbench_harness.engine.needs import granted_problem
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.source_tasks import check_sources
from nasbench_harness.evaluation.task import check_task_name
from nasbench_harness.evaluation.training_data import ImageSource
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.store.folder import StudyFolder, check_links
from nasbench_harness.store.identity import study_id
from nasbench_harness.store.locks import Presence, updating
from nasbench_harness.store.merging import stored_record, updated_record
from nasbench_harness.store.record import (
    MAX_SEEDS,
    ImagesRecord,
    Quoted,
    ReportOptions,
    StrategyRecord,
    StudyRecord,
    check_once,
)
from nasbench_harness.store.study_file import StudyRequest
from nasbench_harness.studies.analyzing import check_test_curves
from nasbench_harness.studies.analyzing_in_workers import analyze_with_jobs
from nasbench_harness.studies.batches import BatchPlan, BatchResult
from nasbench_harness.studies.choosing import check_constructor, listed, strategy_refs, task_list
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.notices import changed_hyperparameters, feasible_shares, initial_only
from nasbench_harness.studies.outstanding import Outstanding, find_outstanding, write_record
from nasbench_harness.studies.references import resolve_all
from nasbench_harness.studies.study import Study, load_tasks, open_study
from nasbench_harness.studies.tuned import equal_tuning


@dataclass(frozen=True)
class RunOptions:
    """How a study is run; changes no result, only the runs that are done again.

    Attributes:
        jobs: Worker processes.
        run_timeout: Real seconds that a strategy may use for one run; None: any number.
        keep_stale: Whether runs of an older version of a strategy's code count.
        rerun: Labels whose runs are done again.

    Raises:
        InvalidInputError: A value is impossible.
    """

    jobs: int = 1
    run_timeout: float | None = None
    keep_stale: bool = False
    rerun: Iterable[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.jobs, int) or self.jobs < 1:
            raise InvalidInputError(f"jobs must be a whole number of at least 1, not {self.jobs!r}")
        if self.run_timeout is not None:
            check_limit(self.run_timeout)
        object.__setattr__(self, "rerun", tuple(listed("rerun", self.rerun)))


@dataclass(frozen=True)
class Plan:
    """Plan of a command.

    Attributes:
        study: The study.
        found: Missing runs of the study.
        before: The study file that lay in the folder when this was planned; empty when there was none.
        options: How it is run.
    """

    study: Study
    found: Outstanding
    before: bytes
    options: RunOptions
    _presences: list[Presence] = field(default_factory=list, compare=False)

    @property
    def batches(self) -> list[BatchPlan]:
        """Runs that are missing."""
        return self.found.batches

    @property
    def num_done(self) -> int:
        """Runs that are stored already."""
        return self.found.num_done

    @property
    def notices(self) -> list[str]:
        """Lines that the user should read, e.g. about stale runs."""
        return self.found.notices

    @property
    def num_runs(self) -> int:
        """Runs still to be done."""
        return sum(len(batch.run_seeds) for batch in self.batches)

    def begin(self) -> None:
        """Take the study over: write its record, move stale and damaged segments aside, remove abandoned files.

        From now on other commands see that this one works on the study.

        Raises:
            InvalidInputError: The folder cannot be written, or another command has made it another study.
        """
        study, folder = self.study, self.study.folder
        check_links(folder)
        with updating(folder.path):
            self._presences.append(Presence(folder.path))
            is_alone = self._presences[-1].is_alone and folder.study_text() == self.before
            write_record(study, is_alone)
            folder.remove_abandoned()
            for segment in self.found.superseded:
                folder.supersede(segment)
            for damage in self.found.damaged:
                folder.set_aside(damage)

    def end(self) -> None:
        """Other commands no longer see this one."""
        while self._presences:
            self._presences.pop().end()

    def not_stored(self) -> list[str]:
        """A line for each strategy and task with planned runs that are not stored; empty after success."""
        planned = {(batch.spec.label, batch.task.name) for batch in self.batches}
        return [
            f"{runs.label} on {runs.task.name}: seeds {_written(ranges)} were not stored"
            for runs in self.study.run_sets()
            if (runs.label, runs.task.name) in planned and (ranges := runs.missing())
        ]


def plan_study(
    request: StudyRequest,
    out: str | Path | None = None,
    options: RunOptions = RunOptions(),
) -> Plan:
    """Check a request, and find the runs that are still to be done; nothing is changed on disk.

    Args:
        request: The study.
        out: Folder of the study; None: ``nasbench-results/<study id>``.
        options: How it is run.

    Raises:
        HarnessError: Something is wrong with the input.
    """
    seeds, study_seed, protocol = request.num_seeds, request.study_seed, request.rules
    if not isinstance(seeds, int) or isinstance(seeds, bool) or not 1 <= seeds <= MAX_SEEDS:
        raise InvalidInputError(f"seeds must be a whole number in 1 … {MAX_SEEDS:,}, not {seeds!r}")
    if not isinstance(study_seed, int) or not 0 <= study_seed < 2**63:
        raise InvalidInputError(f"study_seed must be a whole number of at least 0, not {study_seed!r}")
    folder = StudyFolder(default_folder(protocol, study_seed) if out is None else Path(out))
    names = task_list(request.tasks, folder)
    for name in protocol.fidelity_by_task.keys() - set(names):
        check_task_name(name)  # it may belong to other tasks of the study file, but must not be misspelled
    specs = resolve_all(strategy_refs(request.strategies))
    loaded = load_tasks(folder, names, protocol)
    images = training_images(request)
    check_sources(loaded)
    tuning = None if request.tuning is None else equal_tuning(request.tuning.records, specs, names, protocol)
    for task in loaded:
        Ledger(task.task, protocol, study_seed, np.arange(1))
        for spec in specs:
            problem = granted_problem(spec, task, images, (), study_seed)
            check_constructor(spec, problem, task.name, study_seed)
    _check_quoted(request.quoted, loaded)
    record = StudyRecord(
        tuple(StrategyRecord(spec.label, spec.reference, spec.parameters) for spec in specs),
        tuple(names),
        seeds,
        protocol,
        study_seed,
        request.report,
        request.quoted,
        images=_images_record(images, specs),
        styles=request.styles,
        tuning=tuning,
    )
    before = folder.study_text()
    changed = changed_hyperparameters(stored_record(folder, record), record)
    record = updated_record(folder, record, is_alone=True)
    study = Study(folder, record, loaded, images)
    again = set(options.rerun)
    for label in sorted(again - set(study.labels)):
        raise UnknownNameError("label", label, study.labels, "rerun")
    _check_labels(request.report, study.labels)
    check_test_curves(request.report, loaded)
    found = find_outstanding(study, specs, options.keep_stale, again)
    found.notices += [
        f"the trace {trace.label} has none of the seeds 0 … {seeds - 1} on these tasks and is not compared"
        for trace in record.traces
        if trace.label not in study.labels and set(trace.tasks) & set(names)
    ]
    if found.batches:
        found.notices[:0] = [*changed, *initial_only(specs, protocol), *feasible_shares(loaded)]
    return Plan(study, found, before, options)


def training_images(request: StudyRequest) -> ImageSource | None:
    """Training data of a request; None if it names none.

    Raises:
        InvalidInputError: They are missing or damaged, or torch is.
    """
    if request.training_data is None and request.data_dir is None:
        if request.split is not None:
            raise InvalidInputError("--split names halves of training data: name the data with --data or --data-dir")
        return None
    from nasbench_harness.trainer.supernet import halved_images

    images: ImageSource = halved_images(request.training_data, request.data_dir, request.split)
    return images


def _images_record(images: ImageSource | None, specs: Sequence[ResolvedStrategy]) -> ImagesRecord | None:
    """Training data in the record of a study; None if no strategy trains on them."""
    trained = tuple(spec.label for spec in specs if spec.needs.training_data)
    return ImagesRecord(images.name, images.digest, trained) if images is not None and trained else None


def execute_plan(plan: Plan) -> Generator[BatchResult, None, None]:
    """Begin a plan and run its batches; yields a report of each as it ends.

    When the caller stops early, the workers are killed, and their temporary files are removed.
    """
    plan.begin()
    try:
        study, options = plan.study, plan.options
        rules = Rules(study.record.protocol, study.record.study_seed, study.images)
        with closing(execute(plan.batches, rules, study.path, options.jobs, options.run_timeout)) as reports:
            yield from reports
    finally:
        if plan.options.jobs > 1:
            plan.study.folder.remove_abandoned()


def write_report(study: Study, jobs: int = 1) -> tuple[Study, list[str]]:
    """Write the report of a study that was run; returns the study that it shows, and the names of its files.

    With several jobs, workers analyze the tasks if there are many resamples; the files have the same bytes.

    When other commands compared more in the same folder at the same time, and all of it is stored, it shows that, too.
    """
    while True:
        shown = _with_others(study)
        shown.analysis = analyze_with_jobs(shown, shown.record.report, jobs)
        names = shown.write_report()
        if shown is not study or _with_others(study) is study:
            return shown, names


def _with_others(study: Study) -> Study:
    """The study of the folder's record if it compares more than this study and is complete; else this one."""
    stored = stored_record(study.folder, study.record)
    if stored is None or stored == study.record or stored.joined(study.record) != stored:
        return study
    whole = open_study(study.folder.path)
    whole.folder = study.folder  # as it was named
    return study if whole.missing() else whole


def _written(ranges: Sequence[tuple[int, int]]) -> str:
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:4]]
    return ", ".join([*shown, "…"] if len(ranges) > 4 else shown)


def _check_labels(report: ReportOptions, labels: list[str]) -> None:
    """Options may name compared strategies only, and each of them once."""
    named = {"order": report.order, "highlight": report.highlight, "control": (report.control,)}
    for key, chosen in named.items():
        for label in chosen:
            if label is not None and label not in labels:
                raise UnknownNameError("label", label, labels, f"report.{key}")
    check_once(report.order, "report.order")
    check_once([label for group in report.groups.values() for label in group], "report.groups")


def _check_quoted(quoted: Sequence[Quoted], tasks: Sequence[TaskView]) -> None:
    """Every quoted number must have a column to stand in."""
    by_name = {task.name: task for task in tasks}
    places = [f"{row.method} ({row.source}) on {row.task} by {row.metric}" for row in quoted]
    check_once(places, "quoted")
    for row in quoted:
        if row.task not in by_name:
            raise UnknownNameError("task", row.task, by_name, f"quoted row {row.method}")
        task = by_name[row.task]
        shown = [view.metric.name for view in task.scores.values()]
        if row.metric not in shown:
            raise UnknownNameError("metric", row.metric, shown, f"quoted row {row.method}: reports on {row.task}")


def default_folder(protocol: Protocol, study_seed: int) -> Path:
    """Folder of a study that is given none."""
    return Path("nasbench-results") / study_id(protocol, study_seed)
