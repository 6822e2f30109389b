"""A table with further columns, made from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, count

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.tables.imported import imported_names
from nasbench_harness.tables.registration import check_names
from nasbench_harness.tables.table import MetricArray, Table


def with_columns(
    base: Table,
    dataset: str,
    columns: Sequence[MetricArray],
    name: str,
    source: str,
    sha256: Mapping[str, str] | None = None,
) -> Table:
    """A table with more columns on one data set.

    Args:
        base: The table to extend; it stays as it is.
        dataset: Its data set.
        columns: New columns, values (num_architectures, num_replicates, 1).
        name: Name of the new table.
        source: Source of the columns in words; stands in every result.
        sha256: Digests of the files that the columns come from.

    Raises:
        UnknownNameError: The table has no such data set.
        InvalidInputError: It has a metric of one of these names already.
    """
    if dataset not in base.datasets:
        raise UnknownNameError("data set", dataset, base.datasets, f"table {base.name}")
    old = base.datasets[dataset]
    for column in columns:
        if column.metric.name in old.columns:
            raise InvalidInputError(f"{base.name}-{dataset} has a metric {column.metric.name} already: name another")
    joined = {**old.columns, **{column.metric.name: column for column in columns}}
    provenance = replace(
        base.provenance,
        source=f"{base.provenance.source}; with {source}",
        sha256=joined_digests(base.provenance.sha256, sha256 or {}),
    )
    return replace(
        base,
        name=name,
        datasets={**base.datasets, dataset: replace(old, columns=joined)},
        provenance=provenance,
        digest="",
        folder=None,
    )


def joined_digests(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Digests of the files of both by name; a new file of another file's name gets a number.

    >>> joined_digests({"t.csv": "1f"}, {"t.csv": "2e", "u.csv": "3d"})
    {'t.csv': '1f', 't.csv (2)': '2e', 'u.csv': '3d'}
    """
    joined = dict(old)
    for file, digest in new.items():
        names = chain([file], (f"{file} ({number})" for number in count(2)))
        joined[next(name for name in names if joined.get(name, digest) == digest)] = digest
    return joined


def check_new_name(name: str, base: Table, is_replaced: bool) -> None:
    """Refuse a name for an extended table before anything is computed.

    Raises:
        InvalidInputError: It cannot be used, or belongs to a table that is not to be replaced.
    """
    check_names(name, base.datasets)
    if name == base.name:
        raise InvalidInputError(f"the extended table needs another name than {base.name}: give --name")
    if name in imported_names() and not is_replaced:
        raise InvalidInputError(f"there is a table named {name} already: give --name, or --replace that one")
