"""The study file: strategies, tasks and rules as TOML that people write and the harness keeps."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol

WIDTH_PATTERN = r"^(neurips|icml|ieee-column|ieee-page|[1-9][0-9]{1,3})$"
TRACE_REFERENCE = "replayed trace"
MAX_SEEDS = 1_000_000
_MAX_BYTES = 2**24  # of a study file
Estimand = Literal["mean", "stochastic", "interval"]
_ESTIMAND_OF_CELLS: Mapping[str, Estimand] = {"std": "mean", "interval": "interval"}  # the option's former name
_HEADER = """\
# The last command's record. To repeat it: nasbench-harness compare --config study.toml
"""


@dataclass(frozen=True)
class StrategyRecord:
    """A strategy by name: enough to find its runs, without its code."""

    label: str
    reference: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Quoted:
    """A number from a paper: shown in a block of its own, never bold, never tested.

    Attributes:
        method: As the paper calls it.
        task: Task of the study.
        metric: Metric of the task, e.g. ``test_accuracy``.
        mean: As published, in the metric's unit.
        std: As published; None if the paper gives none.
        n: Number of runs behind it; None if the paper does not say.
        source: The paper, and the table in it.
    """

    method: str
    task: str
    metric: str
    mean: float
    source: str
    std: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class ReportOptions:
    """How a report is laid out; changes no result.

    Attributes:
        order: Labels that come first; the others follow in the study's order.
        highlight: Labels that stand out in tables and figures.
        estimand: Compared quantity; decides cells, bold and marks. ``mean``: mean ± standard deviation, marks by
            Welch's test; ``stochastic``: median, quartiles and A12, marks by Brunner and Munzel's test; ``interval``:
            the interquartile mean with its interval, no marks.
        resamples: Of the bootstrap.
        decimals: Of every number in % or percentage points.
        margin: Difference in percentage points that matters; names the seeds that an undecided pair would need.
        control: Label that all others are compared with over the tasks; None: all pairs are compared.
        columns: Columns of the paper table, e.g. ``nb201-*:val,test``; empty: every score of every task.
        width: Width of LaTeX tables and figures: ``neurips``, ``icml``, ``ieee-column``, ``ieee-page``, or TeX points.
        groups: Labels (or quoted methods) by the name of their group of rows in the paper table.
        architectures: Names of reference rows of the paper table, with the key or index of the architecture.
        cost: Whether the paper table has a column of the search cost in simulated seconds.
        caption: First sentence of the paper table's caption; empty: made from its metrics.
        notes: Place of the method in full in LaTeX: ``apart`` in notes.tex, or ``below`` each table.
    """

    order: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()
    estimand: Estimand = "mean"
    resamples: int = 2_000
    decimals: int = 2
    margin: float = 0.05
    control: str | None = None
    columns: tuple[str, ...] = ()
    width: str = "neurips"
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    architectures: Mapping[str, str] = field(default_factory=dict)
    cost: bool = False
    caption: str = ""
    notes: Literal["apart", "below"] = "apart"

    def ordered(self, labels: Sequence[str]) -> list[str]:
        """The labels, those named in ``order`` first."""
        return [label for label in self.order if label in labels] + [x for x in labels if x not in self.order]


def check_width(width: str) -> None:
    """Refuse a width that LaTeX tables cannot have.

    Raises:
        InvalidInputError: It is no name of a width, and no number of points.
    """
    if re.fullmatch(WIDTH_PATTERN, width) is None:
        raise InvalidInputError(
            f"width must be neurips, icml, ieee-column, ieee-page or TeX points (10 … 9999), not {width!r}"
        )


@dataclass(frozen=True)
class TraceRecord:
    """A trace from elsewhere: its label, the sha256 of its rows, and the tasks that it has rows of."""

    label: str
    sha256: str
    tasks: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Takes the place of a strategy's reference; no strategy has a name with a space."""
        return TRACE_REFERENCE

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Takes the place of hyperparameters: the rows decide everything."""
        return {"sha256": self.sha256}


@dataclass(frozen=True)
class StudyRecord:
    """The content of a study: strategies and traces × tasks × seeds, one protocol, and the layout of the report."""

    strategies: tuple[StrategyRecord, ...]
    tasks: tuple[str, ...]
    num_seeds: int
    protocol: Protocol
    study_seed: int
    report: ReportOptions = ReportOptions()
    quoted: tuple[Quoted, ...] = ()
    traces: tuple[TraceRecord, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels of strategies and traces."""
        return [*(entry.label for entry in self.strategies), *(trace.label for trace in self.traces)]

    def joined(self, other: StudyRecord) -> StudyRecord:
        """Both records as one, for commands that work on a study at the same time, without repetitions.

        Raises:
            InvalidInputError: They give one label to different strategies or traces.
        """
        strategies = [*self.strategies]
        known = [(entry.reference, _given(entry.parameters)) for entry in strategies]
        strategies += [x for x in other.strategies if (x.reference, _given(x.parameters)) not in known]
        traces = [*self.traces, *(trace for trace in other.traces if trace not in self.traces)]
        labels = [*(entry.label for entry in strategies), *(trace.label for trace in traces)]
        for label in labels:
            if labels.count(label) > 1:
                raise InvalidInputError(
                    f"another command works on this study now and compares something else as {label!r}: "
                    "give yours another label, or wait until that one is done"
                )
        return replace(
            self,
            strategies=tuple(strategies),
            tasks=tuple(dict.fromkeys([*self.tasks, *other.tasks])),
            num_seeds=max(self.num_seeds, other.num_seeds),
            quoted=tuple(dict.fromkeys([*self.quoted, *other.quoted])),
            traces=tuple(traces),
        )

    def to_toml(self) -> str:
        """The study file's text."""
        import tomli_w

        content: dict[str, Any] = {
            "seeds": self.num_seeds,
            "study_seed": self.study_seed,
            "tasks": list(self.tasks),
            "protocol": _given(asdict(self.protocol)),
        }
        if self.report != ReportOptions():
            content["report"] = _given(asdict(self.report))
        if self.strategies:
            content["strategies"] = [
                {"use": entry.reference, "label": entry.label}
                | ({"parameters": given} if (given := _given(entry.parameters)) else {})
                for entry in self.strategies
            ]
        if self.quoted:
            content["quoted"] = [_given(asdict(quoted)) for quoted in self.quoted]
        if self.traces:
            content["traces"] = [asdict(trace) for trace in self.traces]
        return _HEADER + tomli_w.dumps(content)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: a parameter that is None is as good as left out."""
    return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True)
class StudyFile:
    """A study file as written; None if a key is left out."""

    seeds: int | None = None
    study_seed: int | None = None
    tasks: tuple[str, ...] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    strategies: tuple[Mapping[str, Any], ...] | None = None
    report: ReportOptions = ReportOptions()
    quoted: tuple[Quoted, ...] = ()
    traces: tuple[TraceRecord, ...] = ()


def read_study_file(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises:
        InvalidInputError: It is missing, no TOML, or a key has the wrong type; the message names the key.
        UnknownNameError: A key does not exist.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InvalidInputError(f"{path} is no study file: it has more than {_MAX_BYTES:,} bytes")
        content = tomllib.loads(text.decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInputError(f"cannot read the study file {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path} is no TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{path} is no TOML: a number is too long, or brackets are too deep") from error
    return _validated(content, path)


def read_record(path: Path) -> StudyRecord:
    """Read a study file that names everything, as commands write it.

    Raises:
        InvalidInputError: It cannot be read, or is no complete record (see ``read_study_file``).
    """
    file = read_study_file(path)
    if file.seeds is None or not file.tasks or not file.strategies:
        raise InvalidInputError(f"{path} is no complete record: it needs seeds, tasks and strategies")
    strategies = tuple(
        StrategyRecord(entry["label"] or entry["use"], entry["use"], entry["parameters"]) for entry in file.strategies
    )
    names = [*file.tasks], [*(entry.label for entry in strategies), *(trace.label for trace in file.traces)]
    for kind, known in zip(("task", "label"), names, strict=True):
        for name in known:
            if known.count(name) > 1:
                raise InvalidInputError(f"{path}: the {kind} {name!r} stands there twice")
    protocol = Protocol.from_mapping(file.protocol, str(path))
    return StudyRecord(
        strategies, file.tasks, file.seeds, protocol, file.study_seed or 0, file.report, file.quoted, file.traces
    )


def _validated(content: dict[str, Any], path: Path) -> StudyFile:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError

    class StrategyTable(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        use: str
        label: str | None = None
        parameters: dict[str, Any] = {}

    class ReportTable(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        order: list[str] = []
        highlight: list[str] = []
        estimand: Estimand | None = None
        cells: Literal["std", "interval"] | None = None
        resamples: int = Field(default=2_000, ge=100, le=1_000_000)
        decimals: int = Field(default=2, ge=0, le=6)
        margin: float = Field(default=0.05, gt=0, allow_inf_nan=False)
        control: str | None = None
        columns: list[str] = []
        width: str = Field(default="neurips", pattern=WIDTH_PATTERN)
        groups: dict[str, list[str]] = {}
        architectures: dict[str, str] = {}
        cost: bool = False
        caption: str = ""
        notes: Literal["apart", "below"] = "apart"

    class QuotedTable(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        method: str
        task: str
        metric: str
        mean: float
        source: str
        std: float | None = None
        n: int | None = None

    class TraceTable(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        label: str
        sha256: str = Field(pattern="^[0-9a-f]{64}$")
        tasks: list[str]

    class Study(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        seeds: int | None = Field(default=None, ge=1, le=MAX_SEEDS)
        study_seed: int | None = Field(default=None, ge=0, lt=2**63)
        tasks: list[str] | None = None
        protocol: dict[str, Any] = {}
        strategies: list[StrategyTable] | None = None
        report: ReportTable = ReportTable()
        quoted: list[QuotedTable] = []
        traces: list[TraceTable] = []

    tables: dict[str, type[BaseModel]] = {
        "strategies": StrategyTable,
        "report": ReportTable,
        "quoted": QuotedTable,
        "traces": TraceTable,
    }
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        # A misspelled key is also a missing one: its name says more.
        first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = (
                tables.get(str(first["loc"][0]), Study).model_fields if len(first["loc"]) > 1 else Study.model_fields
            )
            raise UnknownNameError("key", where.rpartition(".")[2], known, str(path)) from None
        raise InvalidInputError(f"{path}: {where}: {first['msg'].lower()}, not {first['input']!r}") from None
    strategies = None if study.strategies is None else tuple(table.model_dump() for table in study.strategies)
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
        tuple(options.columns),
        options.width,
        {name: tuple(labels) for name, labels in options.groups.items()},
        options.architectures,
        options.cost,
        options.caption,
        options.notes,
    )
    quoted = tuple(Quoted(**row.model_dump()) for row in study.quoted)
    traces = tuple(TraceRecord(table.label, table.sha256, tuple(table.tasks)) for table in study.traces)
    return StudyFile(study.seeds, study.study_seed, tasks, study.protocol, strategies, report, quoted, traces)


def _check_strategy(label: str | None, parameters: Mapping[str, Any], where: str) -> None:
    if label is not None and not (label and label.isprintable()):
        raise InvalidInputError(f"{where}.label: use printable characters, not {label!r}")
    try:
        json.dumps(parameters)
    except (TypeError, ValueError) as error:  # e.g. a date
        raise InvalidInputError(f"{where}.parameters: {error}: use numbers, texts, true and false") from None
