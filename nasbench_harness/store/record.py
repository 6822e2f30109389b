"""The study file: what a study compares, as TOML that people write and the harness keeps."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol

TRACE_REFERENCE = "replayed trace"
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
        std: As published; None where the paper gives none.
        n: Number of runs behind it; None where the paper does not say.
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
        estimand: What is compared; decides cells, bold and marks. ``mean``: mean ± standard deviation, marks by
            Welch's test; ``stochastic``: median, quartiles and A12, marks by Brunner and Munzel's test; ``interval``:
            the interquartile mean with its interval, no marks.
        resamples: Of the bootstrap.
        decimals: Of every number in % or percentage points.
        margin: Difference in percentage points that matters; names the seeds that an undecided pair would need.
        control: Label that all others are compared with over the tasks; None: all pairs are compared.
    """

    order: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()
    estimand: Estimand = "mean"
    resamples: int = 2_000
    decimals: int = 2
    margin: float = 0.05
    control: str | None = None

    def ordered(self, labels: Sequence[str]) -> list[str]:
        """The labels, those named in ``order`` first."""
        return [label for label in self.order if label in labels] + [x for x in labels if x not in self.order]


@dataclass(frozen=True)
class TraceRecord:
    """A trace from elsewhere: its label, the sha256 of its rows, and the tasks that it has rows of."""

    label: str
    sha256: str
    tasks: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Stands where a strategy's reference does; no strategy has a name with a space."""
        return TRACE_REFERENCE

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Stands where hyperparameters do: the rows decide everything."""
        return {"sha256": self.sha256}


@dataclass(frozen=True)
class StudyRecord:
    """What was compared: strategies and traces × tasks × seeds under one protocol, and how it is reported."""

    strategies: tuple[StrategyRecord, ...]
    tasks: tuple[str, ...]
    num_seeds: int
    protocol: Protocol
    study_seed: int
    report: ReportOptions = ReportOptions()
    quoted: tuple[Quoted, ...] = ()
    traces: tuple[TraceRecord, ...] = ()

    def to_toml(self) -> str:
        """The study file's text."""
        lines = [_HEADER + f"seeds = {self.num_seeds}", f"study_seed = {self.study_seed}"]
        lines += [f"tasks = {to_toml(list(self.tasks))}", "", "[protocol]"]
        lines += _assignments(asdict(self.protocol))
        if self.report != ReportOptions():
            lines += ["", "[report]", *_assignments(asdict(self.report))]
        for strategy in self.strategies:
            lines += [
                "",
                "[[strategies]]",
                f"use = {to_toml(strategy.reference)}",
                f"label = {to_toml(strategy.label)}",
            ]
            # TOML has no null: a parameter that is None is left out, in the identity too.
            lines += [f"parameters = {to_toml({k: v for k, v in strategy.parameters.items() if v is not None})}"]
        for quoted in self.quoted:
            lines += ["", "[[quoted]]", *_assignments(asdict(quoted))]
        for trace in self.traces:
            lines += ["", "[[traces]]", *_assignments(asdict(trace))]
        return "\n".join(lines) + "\n"


def _assignments(values: Mapping[str, Any]) -> list[str]:
    """One line for each value; TOML has no null, what is None is left out."""
    return [f"{name} = {to_toml(value)}" for name, value in values.items() if value is not None]


@dataclass(frozen=True)
class StudyFile:
    """A study file as written; None where a key is left out."""

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
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInputError(f"cannot read the study file {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path} is no TOML: {error}") from error
    return _validated(content, path)


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
        seeds: int | None = None
        study_seed: int | None = None
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
    )
    quoted = tuple(Quoted(**row.model_dump()) for row in study.quoted)
    traces = tuple(TraceRecord(table.label, table.sha256, tuple(table.tasks)) for table in study.traces)
    return StudyFile(study.seeds, study.study_seed, tasks, study.protocol, strategies, report, quoted, traces)


def to_toml(value: Any) -> str:
    """A JSON value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return json.dumps(value, ensure_ascii=False)
