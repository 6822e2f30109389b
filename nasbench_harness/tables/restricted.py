"""Tables of a search space without some of its choices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import UnknownNameError
from nasbench_harness.spaces.restricted import restrict
from nasbench_harness.tables.table import MetricArray, Table

MARK = "@without="


class RowsOfColumn(MetricArray):
    """Some rows of a column; they are read when they are first needed.

    Args:
        column: The column.
        rows: Which rows, shape (n,).
    """

    column: MetricArray
    rows: Ints

    def __init__(self, column: MetricArray, rows: Ints) -> None:
        for name, value in {"metric": column.metric, "column": column, "rows": rows}.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type, tuple[MetricArray, Ints]]:
        return RowsOfColumn, (self.column, self.rows)

    @cached_property
    def values(self) -> Floats:
        """The values, shape (n, num_replicates, num_fidelities)."""
        values: Floats = self.column.values[self.rows]
        return values


def restricted_table(table: Table, dataset: str, without: Sequence[str]) -> Table:
    """A table of one data set ``DATASET@without=…``, with the rows that have none of these choices.

    Raises:
        UnknownNameError: There is no such data set, or a name is not a choice of its space.
        InvalidInputError: The space cannot be restricted, or fewer than two architectures are left.
    """
    if dataset not in table.datasets:
        raise UnknownNameError("data set", dataset, table.datasets, f"table {table.name}")
    whole = table.datasets[dataset]
    space, rows = restrict(whole.space, without)
    columns = {name: RowsOfColumn(column, rows) for name, column in whole.columns.items()}
    written = ",".join(without)
    part = replace(whole, title=f"{whole.title} without {written.replace(',', ', ')}", space=space, columns=columns)
    digest = hashlib.sha256(f"{table.digest} {dataset}{MARK}{written}".encode()).hexdigest()
    return Table(table.name, {f"{dataset}{MARK}{written}": part}, table.provenance, digest)
