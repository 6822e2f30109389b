"""The record of a study: strategies, tasks and rules, and their text as TOML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.styles import moved, style_numbers

WIDTH_PATTERN = r"^(neurips|icml|ieee-column|ieee-page|[1-9][0-9]{1,3})$"
TRACE_REFERENCE = "replayed trace"
MAX_SEEDS = 1_000_000
MIN_SEEDS = 10  # with fewer runs, tests and intervals say nothing: none is shown
Estimand = Literal["mean", "stochastic", "interval"]
CurveWord = Literal["test", "value", "linear"]  # how curves differ from regret by the search metric on log axes
_HEADER = """\
# The last command's record. To repeat it: nasbench-harness compare --config study.toml
"""


@dataclass(frozen=True)
class StrategyRef:
    """A strategy as it was written: ``[label=]reference[(key=value, …)]``.

    Attributes:
        use: Registered name, ``module:attribute``, or the class or generator function itself.
        label: Name in reports; None: made from the reference and the parameters that are not at their defaults.
        parameters: Hyperparameters that were given.

    Example:
        >>> StrategyRef("regularized-evolution", "small", {"population_size": 10}).label
        'small'
    """

    use: str | Callable[..., Any]
    label: str | None = None
    parameters: Mapping[str, Any] = ()  # type: ignore[assignment]  # an immutable empty default

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", dict(self.parameters))


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

    Example:
        >>> Quoted("GDAS", "nb201-cifar10", "val_accuracy", 89.89, "NAS-Bench-201, Table 5", std=0.08, n=3).n
        3
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
        resamples: Resamples of the bootstrap.
        decimals: Of every number in % or percentage points.
        margin: Difference in percentage points that matters; names the seeds that an undecided pair would need.
        control: Label that all others are compared with over the tasks; None: all pairs are compared.
        targets: Regrets in percentage points whose first hits are reported; 0 is the optimum.
        budgets: Shares of the budget at which regret is reported.
        curves: Words on regret over time: ``test``: by the test metric; ``value``: the metric in place of the regret;
            ``linear``: linear axes in place of logarithmic ones.
        figures: Kinds of figures beside ``anytime``: ``ecdf``, ``heatmap``, ``forest`` and ``critical-difference``.
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
    targets: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1, 0.0)
    budgets: tuple[float, ...] = (0.25, 0.5, 1.0)
    curves: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
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


def check_once(names: Sequence[str], what: str) -> None:
    """Refuse a name that is given twice: it would count twice.

    Raises:
        InvalidInputError: A name is repeated.
    """
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(f"{what} names {name} {names.count(name)} times: name it once")


def check_width(width: str) -> None:
    """Refuse a width that LaTeX tables cannot have.

    Raises:
        InvalidInputError: It is no name of a width, and no number of points.
    """
    if re.fullmatch(WIDTH_PATTERN, width) is None:
        raise InvalidInputError(
            f"width must be neurips, icml, ieee-column, ieee-page or TeX points (10 … 9999), not {width!r}"
        )


def check_curves(words: Sequence[str]) -> None:
    """Refuse words on curves that nobody knows.

    Raises:
        UnknownNameError: One of them is no such word.
    """
    for word in words:
        if word not in get_args(CurveWord):
            raise UnknownNameError("curve", word, get_args(CurveWord), "figures")


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
class ImagesRecord:
    """Training data of a study: their name, their digest, and the labels of the strategies that train on them."""

    name: str
    digest: str
    strategies: tuple[str, ...]


@dataclass(frozen=True)
class TuningRule:
    """The equal tuning that a study demands of its strategies.

    Attributes:
        records: Folder of the records that ``strategies tune`` wrote.
        trials: Settings that each tuning was allowed.
        budget: Evaluations that each tuning was allowed.
        evaluations: Most evaluations that a tuning used.
        fewer: Trials of each strategy whose ranges hold fewer settings, by label.
    """

    records: str = "tuning"
    trials: int = 0
    budget: int = 0
    evaluations: int = 0
    fewer: Mapping[str, int] = field(default_factory=dict)

    def joined(self, other: TuningRule | None) -> TuningRule | None:
        """Both rules as one; None if they differ in more than the strategies."""
        if other is None or replace(other, fewer=self.fewer) != self:
            return None
        return replace(self, fewer={**self.fewer, **other.fewer})


@dataclass(frozen=True)
class StudyRecord:
    """The content of a study: strategies and traces × tasks × seeds, one protocol, and the layout of the report.

    ``styles`` holds the numbers of the styles that labels keep because an earlier label has that of their hash.
    """

    strategies: tuple[StrategyRecord, ...]
    tasks: tuple[str, ...]
    num_seeds: int
    protocol: Protocol
    study_seed: int
    report: ReportOptions = ReportOptions()
    quoted: tuple[Quoted, ...] = ()
    traces: tuple[TraceRecord, ...] = ()
    images: ImagesRecord | None = None
    styles: Mapping[str, int] = field(default_factory=dict)
    tuning: TuningRule | None = None

    def data_of(self, label: str) -> str:
        """Digest of the images that a strategy trains on; empty if it trains on none."""
        return self.images.digest if self.images is not None and label in self.images.strategies else ""

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
            images=self._joined_images(other.images),
            tuning=None if self.tuning is None else self.tuning.joined(other.tuning),
        ).with_styles(self)

    def with_styles(self, before: StudyRecord | None) -> StudyRecord:
        """The same record with the styles of its labels; labels that were there before keep theirs.

        Args:
            before: Record of the study until now; None: there was none.
        """
        kept = {**self.styles, **(before.styles if before else {})}
        labels = [*(before.labels if before else []), *self.labels]
        return replace(self, styles={**kept, **moved(style_numbers(labels, kept))})

    def _joined_images(self, other: ImagesRecord | None) -> ImagesRecord | None:
        ours = self.images
        if ours is None or other is None:
            return ours or other
        if ours.digest != other.digest:
            raise InvalidInputError(
                f"another command works on this study now and trains on other images ({other.name}): wait until that "
                "one is done"
            )
        return replace(ours, strategies=tuple(dict.fromkeys([*ours.strategies, *other.strategies])))

    def to_toml(self) -> str:
        """The study file's text."""
        import tomli_w

        content: dict[str, Any] = {
            "seeds": self.num_seeds,
            "study_seed": self.study_seed,
            "tasks": list(self.tasks),
            "protocol": _given(self.protocol.fields_to_store()),
        }
        if self.tuning is not None:
            cost = {name: value for name, value in asdict(self.tuning).items() if value != {}}
            content |= {"tuning": "equal", "tuning_records": cost.pop("records"), "tuned": cost}
        if self.report != ReportOptions():
            content["report"] = _given(asdict(self.report))
        if self.styles:
            content["styles"] = dict(self.styles)
        if self.strategies:
            content["strategies"] = [
                {"use": entry.reference, "label": entry.label}
                | ({"parameters": given} if (given := _given(entry.parameters)) else {})
                for entry in self.strategies
            ]
        if self.images is not None:
            content["images"] = asdict(self.images)
        if self.quoted:
            content["quoted"] = [_given(asdict(quoted)) for quoted in self.quoted]
        if self.traces:
            content["traces"] = [asdict(trace) for trace in self.traces]
        return _HEADER + tomli_w.dumps(content)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: a parameter that is None is as good as left out."""
    return {name: value for name, value in parameters.items() if value is not None}
