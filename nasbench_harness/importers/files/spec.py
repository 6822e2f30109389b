"""The specification of an import: a TOML file that explains the columns of a table file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from nasbench_harness.spaces.product import MOST_ARCHITECTURES
from nasbench_harness.tables.table import OLD_ROLES, Direction, Role
from nasbench_harness.untrusted import fault_of_text, first_mistake, is_name, is_plain, read_toml

UNCHECKED = "CHECK"  # begins the texts of a draft that only its user knows
_MAX_EPOCH = 10**9
_MAX_GRID = 10**12
_MOST_BYTES = 1 << 20
_GRID = re.compile(r"\d{1,15}(/\d{1,15}|\.\d{1,15})?")


def _columns(value: Any) -> dict[int | None, tuple[str, ...]]:
    """Columns of each epoch; None stands for the only or the last one."""
    given = value if isinstance(value, dict) else {None: value}
    columns = {_epoch(epoch): _names(names) for epoch, names in given.items()}
    if not columns or len(columns) < len(given):
        raise ValueError("name at least one epoch, and each once")
    if len({len(names) for names in columns.values()}) > 1:
        counts = ", ".join(f"{epoch}: {len(names)}" for epoch, names in columns.items())
        raise ValueError(f"every epoch needs the same number of replicates ({counts})")
    return columns


def _epoch(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text) or int(text) == 0:
        raise ValueError(f"an epoch is a whole number of at least 1, not {text!r}")
    return int(text)


def _names(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("give a column's name or a list of them, one for each replicate")
    if len(set(names)) < len(names):
        raise ValueError(f"a column is named twice ({', '.join(names)})")
    return tuple(names)


def _resolution(value: Any) -> Fraction:
    """A positive decimal or a fraction such as "100/25000", exactly."""
    text = str(Fraction(repr(value))) if isinstance(value, float) and 1e-12 <= value <= 1e12 else str(value)
    if isinstance(value, bool) or not _GRID.fullmatch(text) or re.search("/0+$", text):
        raise ValueError(f'a resolution is a positive number or a fraction such as "100/25000", not {value!r}')
    step = Fraction(text)
    if step <= 0 or max(step.numerator, step.denominator) > _MAX_GRID:
        raise ValueError(f"a resolution must be positive and no finer than 1/{_MAX_GRID:,}, not {value!r}")
    return step


def _choices(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise ValueError("give each decision's choices, e.g. depth = [2, 4, 8]")
    for name, choices in value.items():
        if not isinstance(choices, list) or len(choices) < 2:
            raise ValueError(f"{name} needs a list of at least two choices")
        if not all(isinstance(choice, str | int | float) and not isinstance(choice, bool) for choice in choices):
            raise ValueError(f"the choices of {name} must be texts or numbers")
        if not all(is_plain(str(choice)) for choice in choices):
            raise ValueError(f"a choice of {name} holds a line break or another invisible character")
    return {name: tuple(map(str, choices)) for name, choices in value.items()}


def _plain(text: str) -> str:
    """A text that is printed; not one that a draft left open."""
    if text == UNCHECKED or text.startswith(f"{UNCHECKED}:"):
        raise ValueError(f"it still says {UNCHECKED}, as the draft does: replace it by the truth")
    if fault := fault_of_text(text):
        raise ValueError(f"it {fault}: write plain text on one line")
    return text


def _role(value: Any) -> Any:
    """A role under its present name."""
    return OLD_ROLES.get(value, value) if isinstance(value, str) else value


def _ascii(text: str) -> str:
    if len(text) != 1 or not text.isascii():
        raise ValueError(f"a delimiter is one ASCII character, not {text!r}")
    return text


Text = Annotated[str, AfterValidator(_plain)]
_Delimiter = Annotated[str, AfterValidator(_ascii)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SpaceSpec(_Part):
    """Search space of the rows.

    Attributes:
        kind: ``nasbench201``; ``product``: all combinations of the decisions' choices; ``list``: the rows themselves.
        key: Column that names the architecture.
        key_format: How: six digits, the official string, or the official index (NAS-Bench-201 only).
        decisions: Choices of each decision (product). Without ``key``, the decisions are columns of the file.
        separator: Text between the choices in the key column of a product.
        columns: Columns that hold the decisions (list).
        classes: Column with the same text for architectures that are the same network.
        name: Name of the space; default: the table's.
        num_architectures: Expected number of architectures.
    """

    kind: Literal["nasbench201", "product", "list"]
    key: str | None = None
    key_format: Literal["digits", "string", "index"] = "digits"
    decisions: Annotated[dict[str, tuple[str, ...]], PlainValidator(_choices)] = Field(default_factory=dict)
    separator: str = ":"
    columns: Annotated[tuple[str, ...], PlainValidator(_names)] = ()
    classes: str | None = None
    name: Text = ""
    num_architectures: int | None = None

    @model_validator(mode="after")
    def _check(self) -> SpaceSpec:
        own = {
            "nasbench201": {"key_format"},
            "product": {"decisions", "separator", "classes", "name"},
            "list": {"columns", "classes", "name"},
        }[self.kind]
        foreign = self.model_fields_set - own - {"kind", "key", "num_architectures"}
        if foreign:
            raise ValueError(f"{sorted(foreign)[0]} does not belong to the kind {self.kind}")
        if self.key is None and self.kind != "product":
            raise ValueError(f"the kind {self.kind} needs key = the column that names the architecture")
        if self.kind == "product" and not self.decisions:
            raise ValueError("the kind product needs decisions, e.g. decisions = { depth = [2, 4, 8] }")
        if not (self.separator or self.key):
            raise ValueError("an empty separator needs key = the column that names the architecture")
        size = math.prod(map(len, self.decisions.values()))
        if size > MOST_ARCHITECTURES:
            raise ValueError(
                f"all combinations are {size:,} architectures, more than {MOST_ARCHITECTURES:,}: use the kind list"
            )
        if any(self.separator and self.separator in choice for names in self.decisions.values() for choice in names):
            raise ValueError(f"a choice holds the separator {self.separator!r}: name another, e.g. separator = '|'")
        if self.kind == "list" and not self.columns:
            raise ValueError("the kind list needs columns = the columns that describe an architecture")
        return self


class MetricSpec(_Part):
    """One metric of a data set.

    Attributes:
        columns: One column for each replicate, for the only fidelity or by epoch.
        prefix: Instead: text before the epoch in the columns' names, for each replicate.
        unit: Unit of the values; a cost is in s.
        direction: minimize or maximize.
        role: search, test, cost, hardware or proxy; ``report`` is an old name of test.
        free: Readable by strategies without a query (hardware and proxy only).
        resolution: Grid step; values are rounded to it and must be on it.
        may_be_missing: Empty cells are missing values; by default they are mistakes.
        missing_value: A number that stands for a missing value in the file, e.g. -1.
        scale: Factor that turns the file's numbers into the unit, e.g. 100 for fractions.
        proportional_to_epochs: The columns hold the cost of the whole training, which grows evenly (cost only).
    """

    columns: Annotated[dict[int | None, tuple[str, ...]], PlainValidator(_columns)] = Field(default_factory=dict)
    prefix: Annotated[tuple[str, ...], PlainValidator(_names)] = ()
    unit: Text
    direction: Direction
    role: Annotated[Role, BeforeValidator(_role)]
    free: bool = False
    resolution: Annotated[Fraction | None, PlainValidator(_resolution)] = None
    may_be_missing: bool = False
    missing_value: float | None = None
    scale: Annotated[Fraction, PlainValidator(_resolution)] = Fraction(1)
    proportional_to_epochs: bool = False

    @model_validator(mode="after")
    def _check(self) -> MetricSpec:
        if bool(self.columns) == bool(self.prefix):
            raise ValueError("give either columns or prefix")
        if self.missing_value is not None and not math.isfinite(self.missing_value):
            raise ValueError(f"missing_value must be a finite number, not {self.missing_value}")
        if self.free and self.role not in ("hardware", "proxy"):
            raise ValueError(f"only hardware and proxy metrics may be free, not {self.role}")
        if self.role == "cost" and (self.unit, self.direction) != ("s", "minimize"):
            raise ValueError(
                'a cost is in seconds: say unit = "s" and direction = "minimize", and scale if the file has another '
                "unit, e.g. 3600 for hours"
            )
        if self.proportional_to_epochs and (self.role != "cost" or list(self.columns) != [None]):
            raise ValueError("proportional_to_epochs is for the role cost, with one column for each replicate")
        return self


class DatasetSpec(_Part):
    """One data set: title, epochs of the fidelity axis (default: from the columns), metrics.

    ``default_fidelity`` names the epochs that are read if a protocol names none. ``data`` names the data that the
    architectures were trained on, e.g. ``["cifar10"]``, unless the name of the data set says it.
    """

    title: Text
    fidelities: list[int] = Field(default_factory=list)
    default_fidelity: int | None = None
    data: list[str] = Field(default_factory=list)
    metrics: dict[str, MetricSpec] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> DatasetSpec:
        if not all(is_name(text) for text in self.data):
            raise ValueError('data must be names such as "cifar10"')
        if self.fidelities != sorted(set(self.fidelities)) or not all(0 < e <= _MAX_EPOCH for e in self.fidelities):
            raise ValueError("fidelities must be ascending whole numbers of epochs")
        costs = [name for name, metric in self.metrics.items() if metric.role == "cost"]
        if len(costs) > 1:
            raise ValueError(
                f"only one metric can be the cost, not {' and '.join(costs)}: give the others another role"
            )
        return self


class ExtensionSpec(_Part):
    """Further metrics of one data set of a table that exists."""

    metrics: dict[str, MetricSpec] = Field(min_length=1)


class ImportSpec(_Part):
    """A table file and the meaning of its columns."""

    name: str | None = None
    source: Text = Field(min_length=1)
    license: Text = Field(min_length=1)
    version: Text = ""
    delimiter: _Delimiter = ","
    space: SpaceSpec
    datasets: dict[str, DatasetSpec] = Field(min_length=1)


class ExtendSpec(_Part):
    """A file whose columns extend a table.

    Attributes:
        key: Column that names the architecture, or the columns of its decisions.
        key_format: As text (``string``), as the table's index, or as the short key (``digits``).
        decisions: Names of the decisions of a product, in their order, if the table to extend does not know them.
    """

    name: str | None = None
    source: Text = Field(min_length=1)
    license: Text = Field(min_length=1)
    delimiter: _Delimiter = ","
    key: Annotated[tuple[str, ...], PlainValidator(_names)]
    key_format: Literal["digits", "string", "index"] = "string"
    decisions: Annotated[tuple[str, ...], PlainValidator(_names)] = ()
    datasets: dict[str, ExtensionSpec] = Field(min_length=1)


Spec = TypeVar("Spec", ImportSpec, ExtendSpec)


def read_spec(path: Path, kind: type[Spec]) -> Spec:
    """Read and check a specification.

    Raises:
        InvalidInputError: It is missing, no TOML, or a key has a wrong value; the message names the key.
        UnknownNameError: A key does not exist.
    """
    content = read_toml(path, "specification", _MOST_BYTES)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise first_mistake(error, path, partial(_fields, kind)) from None


def _fields(kind: type[BaseModel], loc: list[str]) -> Mapping[str, Any]:
    """Keys that exist in the table of the file at ``loc``."""
    if "metrics" in loc[2:]:
        return MetricSpec.model_fields
    if loc[:1] == ["datasets"]:
        return cast(Mapping[str, Any], (DatasetSpec if kind is ImportSpec else ExtensionSpec).model_fields)
    return SpaceSpec.model_fields if loc else kind.model_fields
