"""The JSON file that describes a cached table: written here, and checked here before anything is done with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, get_args

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.spaces import SearchSpace, from_description
from nasbench_harness.tables.table import (
    OLD_ROLES,
    Dataset,
    Direction,
    Metric,
    MetricArray,
    Origin,
    Provenance,
    Role,
    Table,
)
from nasbench_harness.untrusted import fault_of_text, is_name

METADATA = "table.json"
# The digest of the metadata identifies a table, so they keep the old names: tables and their runs stay valid.
_WRITTEN_ROLES = {role: old for old, role in OLD_ROLES.items()}
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_EPOCHS = 10**9
_COARSEST = 1e100


class StoredArray(NamedTuple):
    """An array of a cached table, as the metadata describe it.

    Attributes:
        file: Its name in the table's folder.
        sha256: Of that file.
        num_architectures: Length of its first axis.
        num_fidelities: Length of its last axis, unless that is 1.
    """

    file: str
    sha256: str
    num_architectures: int
    num_fidelities: int


def array_file(dataset: str, metric: str) -> str:
    """Name of the file of an array; metadata cannot name another one."""
    return f"{dataset}.{metric}.npy"


def is_metric_name(name: object) -> bool:
    """Whether a text can name a metric."""
    return isinstance(name, str) and _METRIC.fullmatch(name) is not None


def metadata_of(table: Table, digests: Mapping[str, str]) -> dict[str, Any]:
    """JSON description of a table whose arrays have these digests, by file name."""
    return {
        "name": table.name,
        # Without an origin as before there was one: the digests of tables stay as they are.
        "provenance": {key: value for key, value in asdict(table.provenance).items() if key != "origin" or value},
        "datasets": {
            name: {
                "title": dataset.title,
                "space": dataset.space.description(),
                "fidelities": list(dataset.fidelities),
                # Only if they are known: the digests of tables without them stay as they are.
                **({"replicate_seeds": list(dataset.replicate_seeds)} if dataset.replicate_seeds else {}),
                **({} if dataset.default_fidelity is None else {"default_fidelity": dataset.default_fidelity}),
                **({"data": list(dataset.data)} if dataset.data else {}),
                **({"notes": list(dataset.notes)} if dataset.notes else {}),
                "columns": [
                    {
                        **_fields(column.metric),
                        "role": _WRITTEN_ROLES.get(column.metric.role, column.metric.role),
                        "file": array_file(name, metric),
                        "sha256": digests[array_file(name, metric)],
                    }
                    for metric, column in dataset.columns.items()
                ],
            }
            for name, dataset in table.datasets.items()
        },
    }


def _fields(metric: Metric) -> dict[str, Any]:
    """Fields of a metric; a cost only if it is declared: the digests of tables without it stay as they are."""
    return {key: value for key, value in asdict(metric).items() if key != "cost_s" or value is not None}


def table_from_metadata(text: str, digest: str, columns: Callable[[Metric, StoredArray], MetricArray]) -> Table:
    """Table of a JSON description.

    Args:
        text: The description.
        digest: Its digest.
        columns: Makes a column of its metric and its array.

    Raises:
        TableError: The description was not written by ``metadata_of``; the message names the place.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"{METADATA} is no JSON") from error
    table = _Part(content, "")
    datasets = {}
    for name, entry in table.parts("datasets").items():
        if not is_name(name):
            raise TableError(f"{METADATA}: {name[:80]!r} cannot name a data set")
        datasets[name] = _dataset(name, entry, columns)
    if not datasets:
        raise TableError(f"{METADATA} has no data set")
    provenance = table.part("provenance")
    sha256 = provenance.value("sha256", dict)
    for file, hashed in sha256.items():
        provenance.require(isinstance(hashed, str) and not fault_of_text(file + hashed), "sha256")
    source, version, license_ = (provenance.text(name) for name in ("source", "version", "license"))
    origin = provenance.content.get("origin", "")
    provenance.require(origin in get_args(Origin), "origin")
    return Table(_name(table), datasets, Provenance(source, version, license_, sha256, origin), digest)


class _Part:
    """A JSON object in the description, and its place."""

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, dict):
            raise TableError(f"{METADATA}: {place or 'its content'} is no object")
        self.content: dict[str, Any] = content
        self.place = place

    def require(self, is_good: object, key: str) -> None:
        if not is_good:
            raise TableError(f"{METADATA}: {self._where(key)} is missing or has a wrong value")

    def value(self, key: str, kind: type) -> Any:
        found = self.content.get(key)
        self.require(type(found) is kind, key)
        return found

    def text(self, key: str) -> str:
        found: str = self.value(key, str)
        fault = fault_of_text(found)
        if fault:
            raise TableError(f"{METADATA}: {self._where(key)} {fault}")
        return found

    def part(self, key: str) -> _Part:
        return _Part(self.content.get(key), self._where(key))

    def parts(self, key: str) -> dict[str, _Part]:
        inner = self.part(key)
        return {name: _Part(content, f"{inner.place}.{name[:80]}") for name, content in inner.content.items()}

    def _where(self, key: str) -> str:
        where = f"{self.place}.{key}".lstrip(".")
        return where if where.isprintable() else repr(where)


def _name(table: _Part) -> str:
    name = table.value("name", str)
    table.require(is_name(name), "name")
    return str(name)


def _dataset(name: str, entry: _Part, columns: Callable[[Metric, StoredArray], MetricArray]) -> Dataset:
    space = _space(entry)
    fidelities = entry.value("fidelities", list)
    are_epochs = all(type(epoch) is int and 0 <= epoch <= _MOST_EPOCHS for epoch in fidelities)
    entry.require(are_epochs and fidelities == sorted(set(fidelities)), "fidelities")
    made: dict[str, MetricArray] = {}
    for position, content in enumerate(entry.value("columns", list)):
        part = _Part(content, f"{entry.place}.columns[{position}]")
        metric = _metric(part)
        part.require(metric.name not in made, "name")
        file, sha256 = array_file(name, metric.name), part.value("sha256", str)
        part.require(part.value("file", str) == file, "file")
        part.require(_DIGEST.fullmatch(sha256), "sha256")
        array = StoredArray(file, sha256, space.num_architectures, max(len(fidelities), 1))
        made[metric.name] = columns(metric, array)
    seeds = entry.content.get("replicate_seeds", [])
    entry.require(type(seeds) is list and all(type(seed) is int and seed >= 0 for seed in seeds), "replicate_seeds")
    default = entry.content.get("default_fidelity")
    entry.require(default is None or (type(default) is int and default in fidelities), "default_fidelity")
    data = entry.content.get("data", [])
    entry.require(type(data) is list and all(is_name(text) for text in data), "data")
    notes = entry.content.get("notes", [])
    entry.require(
        type(notes) is list and all(isinstance(note, str) and not fault_of_text(note) for note in notes), "notes"
    )
    return Dataset(
        entry.text("title"), space, made, tuple(fidelities), tuple(seeds), default, tuple(data), tuple(notes)
    )


def _space(entry: _Part) -> SearchSpace:
    description = entry.value("space", dict)
    try:
        return from_description(description)
    except InvalidInputError as error:
        raise TableError(f"{METADATA}: {entry.place}.space: {error}") from error
    # A constructor of a space that meets arguments or kinds of values that it does not have.
    except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise TableError(f"{METADATA}: {entry.place}.space describes no search space") from error


def _metric(part: _Part) -> Metric:
    name = part.value("name", str)
    part.require(is_metric_name(name), "name")
    direction, role, free = part.value("direction", str), part.value("role", str), part.value("free", bool)
    part.require(direction in get_args(Direction), "direction")
    role = OLD_ROLES.get(role, role)
    part.require(role in get_args(Role), "role")
    resolution = part.content.get("resolution")
    if resolution is not None:
        part.require(type(resolution) in (int, float) and 0 < resolution < _COARSEST, "resolution")
    cost = part.content.get("cost_s")
    if cost is not None:
        part.require(type(cost) in (int, float) and 0 <= cost < _COARSEST, "cost_s")
    return Metric(name, part.text("unit"), direction, role, resolution, free, cost)
