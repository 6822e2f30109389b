"""Requests of studies: their attributes, and their form as a study file (TOML) that people write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.record import (
    Estimand,
    ImagesRecord,
    Quoted,
    ReportOptions,
    StrategyRecord,
    StrategyRef,
    StudyRecord,
    TraceRecord,
    TuningRule,
)
from nasbench_harness.untrusted import fault_of_text, first_mistake, read_toml

DEFAULT_SEEDS = 200
PAPER_SEEDS = 500
PAPER_RESAMPLES = 10_000
_MAX_BYTES = 2**24  # of a study file
_ESTIMAND_OF_CELLS: Mapping[str, Estimand] = {"std": "mean", "interval": "interval"}  # the option's former name


@dataclass(frozen=True)
class StudyRequest:
    """A study as it is asked for: the content of a study file, of a command line or of a call.

    Attributes:
        strategies: Strategies as they are written; None: the default ones.
        tasks: Names of the tasks; None: the default ones.
        seeds: Runs of each strategy on each task; None: 200.
        study_seed: Seed of the whole study.
        protocol: Fields of Protocol that are given.
        report: Layout of the report.
        quoted: Rows from papers.
        traces: Traces that the study file names.
        source: Name of the request in messages.
        images: Training data that the study file names.
        styles: Numbers of styles that labels keep.
        tuning: Equal tuning that is demanded.
        data: Name of the training data; None: those of the study file, or what ``data_dir`` holds.
        data_dir: Folder or file of training data that no package brings.
        split: File with the official halves of the training data.

    Example:
        >>> StudyRequest(seeds=20).updated(seeds=None, protocol={"noise": "mean"}).num_seeds
        20
    """

    strategies: tuple[StrategyRef, ...] | None = None
    tasks: tuple[str, ...] | None = None
    seeds: int | None = None
    study_seed: int = 0
    protocol: Mapping[str, Any] = field(default_factory=dict)
    report: ReportOptions = field(default_factory=ReportOptions)
    quoted: tuple[Quoted, ...] = ()
    traces: tuple[TraceRecord, ...] = ()
    source: str = "the arguments"
    images: ImagesRecord | None = None
    styles: Mapping[str, int] = field(default_factory=dict)
    tuning: TuningRule | None = None
    data: str | None = None
    data_dir: Path | None = None
    split: Path | None = None

    @property
    def training_data(self) -> str | None:
        """Name of the training data, if one is given."""
        if self.data is None and self.data_dir is None and self.images is not None:
            return self.images.name
        return self.data

    @property
    def num_seeds(self) -> int:
        """Runs of each strategy on each task."""
        return DEFAULT_SEEDS if self.seeds is None else self.seeds

    @property
    def rules(self) -> Protocol:
        """The protocol, checked.

        Raises:
            InvalidInputError: A field has a value outside its choices.
            UnknownNameError: There is no such field.
        """
        return Protocol.from_mapping(self.protocol, self.source)

    def for_paper(self) -> StudyRequest:
        """The request with the seeds and resamples of a paper."""
        return replace(self, seeds=PAPER_SEEDS, report=replace(self.report, resamples=PAPER_RESAMPLES))

    def updated(self, protocol: Mapping[str, Any] | None = None, **given: Any) -> StudyRequest:
        """The request with values that override its own; None overrides nothing.

        Args:
            protocol: Fields of Protocol.
            **given: Other attributes of the request.
        """
        fields = {name: value for name, value in (protocol or {}).items() if value is not None}
        others = {name: value for name, value in given.items() if value is not None}
        return replace(self, protocol={**self.protocol, **fields}, **others)


def read_study_file(path: Path) -> StudyRequest:
    """Read and check a study file.

    Raises:
        InvalidInputError: It is missing, no TOML, or a key has the wrong type; the message names the key.
        UnknownNameError: A key does not exist.
    """
    return _validated(read_toml(path, "study file", _MAX_BYTES), path)


def check_layout(request: StudyRequest) -> None:
    """Refuse a report layout or quoted rows that a study file cannot hold: the study could not be opened again.

    Args:
        request: A request that comes from no study file.

    Raises:
        InvalidInputError: They have another type, or a value is out of its range; the message names the key.
        UnknownNameError: A word on curves is unknown.
    """
    if request.report == ReportOptions() and not request.quoted:
        return
    if not isinstance(request.report, ReportOptions) or not all(isinstance(row, Quoted) for row in request.quoted):
        raise InvalidInputError(f"{request.source}: report must be ReportOptions(…), and quoted a list of Quoted(…)")
    try:
        text = StudyRecord((), (), 1, Protocol(), 0, request.report, request.quoted).to_toml()
    except TypeError as error:  # no TOML has such a value
        raise InvalidInputError(f"{request.source}: report or quoted: {error}") from None
    _validated(tomllib.loads(text), Path(request.source))


def tuning_rule(tuning: str | None, records: str | Path | None, source: str) -> TuningRule | None:
    """The equal tuning that a request demands; None if it demands none.

    Args:
        tuning: ``equal``, or None.
        records: Folder of the records; None: ``tuning``.
        source: Name of the request in messages.

    Raises:
        InvalidInputError: ``tuning`` is another word, or ``records`` stands alone.
    """
    if tuning not in (None, "equal"):
        raise InvalidInputError(f'{source}: tuning must be "equal" or left out, not {tuning!r}')
    if tuning is None and records is not None:
        raise InvalidInputError(f'{source}: tuning_records belongs to tuning = "equal": add it')
    return None if tuning is None else TuningRule("tuning" if records is None else str(records))


def read_record(path: Path) -> StudyRecord:
    """Read a study file that names everything, as commands write it.

    Raises:
        InvalidInputError: It cannot be read, or is no complete record (see ``read_study_file``).
    """
    file = read_study_file(path)
    if file.seeds is None or not file.tasks or not file.strategies:
        raise InvalidInputError(f"{path} is no complete record: it needs seeds, tasks and strategies")
    strategies = tuple(
        StrategyRecord(entry.label or str(entry.use), str(entry.use), entry.parameters) for entry in file.strategies
    )
    names = [*file.tasks], [*(entry.label for entry in strategies), *(trace.label for trace in file.traces)]
    for kind, known in zip(("task", "label"), names, strict=True):
        for name in known:
            if known.count(name) > 1:
                raise InvalidInputError(f"{path}: the {kind} {name!r} stands there twice")
    try:
        rules = file.rules
    except InvalidInputError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        remedy = "if an earlier version wrote this record, run the study again in another folder"
        raise InvalidInputError(f"{where}{error}; {remedy}") from None
    return StudyRecord(
        strategies,
        file.tasks,
        file.seeds,
        rules,
        file.study_seed,
        file.report,
        file.quoted,
        file.traces,
        file.images,
        file.styles,
        file.tuning,
    )


def _validated(content: dict[str, Any], path: Path) -> StudyRequest:
    from pydantic import ValidationError

    from nasbench_harness.store.study_schema import TABLES, Study, TunedTable

    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise first_mistake(error, path, lambda place: TABLES.get("".join(place[:1]), Study).model_fields) from None
    strategies = (
        None if study.strategies is None else tuple(StrategyRef(**table.model_dump()) for table in study.strategies)
    )
    for position, table in enumerate(study.strategies or ()):
        _check_strategy(table.label, table.parameters, f"{path}: strategies.{position}")
    for position, trace in enumerate(study.traces):
        _check_strategy(trace.label, {}, f"{path}: traces.{position}")
    tasks = None if study.tasks is None else tuple(study.tasks)
    options = study.report
    if options.estimand is not None and options.cells is not None:
        raise InvalidInputError(f"{path}: report.cells is the former name of report.estimand: remove cells")
    report = ReportOptions(
        tuple(options.order),
        tuple(options.highlight),
        options.estimand or _ESTIMAND_OF_CELLS[options.cells or "std"],
        options.resamples,
        options.decimals,
        options.margin,
        options.control,
        tuple(options.targets),
        tuple(options.budgets),
        tuple(options.curves),
        tuple(options.figures),
        tuple(options.columns),
        options.width,
        {name: tuple(labels) for name, labels in options.groups.items()},
        options.architectures,
        options.cost,
        options.caption,
        options.notes,
    )
    for position, row in enumerate(study.quoted):
        for key in ("method", "source"):
            if fault := fault_of_text(getattr(row, key)):
                raise InvalidInputError(f"{path}: quoted.{position}.{key}: it {fault}: write plain text")
    quoted = tuple(Quoted(**row.model_dump()) for row in study.quoted)
    traces = tuple(TraceRecord(table.label, table.sha256, tuple(table.tasks)) for table in study.traces)
    found = study.images
    images = None if found is None else ImagesRecord(found.name, found.digest, tuple(found.strategies))
    if len(set(study.styles.values())) < len(study.styles):
        raise InvalidInputError(f"{path}: styles: two labels have the same number: remove the table styles")
    rules = study.seeds, study.study_seed, study.protocol, report
    if study.tuning is None and study.tuned != TunedTable():
        raise InvalidInputError(f'{path}: tuned belongs to tuning = "equal": add it')
    tuning = tuning_rule(study.tuning, study.tuning_records, str(path))
    tuning = None if tuning is None else replace(tuning, **study.tuned.model_dump())
    return StudyRequest(strategies, tasks, *rules, quoted, traces, str(path), images, study.styles, tuning)


def _check_strategy(label: str | None, parameters: Mapping[str, Any], where: str) -> None:
    if label is not None and not (label and label.isprintable()):
        raise InvalidInputError(f"{where}.label: use printable characters, not {label!r}")
    if label is not None and (fault := fault_of_text(label)):
        raise InvalidInputError(f"{where}.label: it {fault}: use another one")
    try:
        json.dumps(parameters)
    except (TypeError, ValueError) as error:  # e.g. a date
        raise InvalidInputError(f"{where}.parameters: {error}: use numbers, texts, true and false") from None
