"""Contract of tables."""

from __future__ import annotations

import tempfile
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.tables.cache import open_table, verify_table, write_table
from nasbench_harness.tables.table import Dataset, MetricArray, Table
from nasbench_harness.testing.contract import Contract, fail


class TableContract(Contract):
    """Sentences about a table; subclasses define ``make_table``."""

    def make_table(self) -> Table:
        """The table under test."""
        raise NotImplementedError("a TableContract needs make_table(self), which returns the table")

    @cached_property
    def table(self) -> Table:
        """The table, made once."""
        return self.make_table()

    def columns(self) -> list[tuple[str, Dataset, MetricArray]]:
        """Every (name for messages, data set, column)."""
        return [
            (f"{self.table.name}-{name}: {metric}", dataset, column)
            for name, dataset in self.table.datasets.items()
            for metric, column in dataset.columns.items()
        ]

    def test_arrays_have_a_row_for_every_architecture(self) -> None:
        """Arrays are (num_architectures, num_replicates, num_fidelities); one fidelity, or as many as are named."""
        for name, dataset, column in self.columns():
            shape, size = column.values.shape, dataset.space.num_architectures
            named = {1, len(dataset.fidelities) or 1}
            if len(shape) != 3 or shape[0] != size or shape[2] not in named:
                fail(
                    f"{name} has shape ({size}, num_replicates, one of {sorted(named)})",
                    str(shape),
                    "an architecture's index is its row",
                    "rows that the source does not have must stay as NaN, not be left out",
                )

    def test_every_data_set_can_be_searched(self) -> None:
        """Every data set has a search metric with values."""
        for name, dataset in self.table.datasets.items():
            search = [column for column in dataset.columns.values() if column.metric.role == "search"]
            if not search or np.isnan(search[0].values).all():
                fail(
                    f"{name} has a metric of role search", "none with values", "strategies minimize it", "a wrong role"
                )

    def test_values_are_finite_or_absent(self) -> None:
        """A value is a finite number, or NaN if the source has none."""
        for name, _, column in self.columns():
            if np.isinf(column.values).any():
                fail(f"{name} has finite values or NaN", "infinity", "means would be infinite", "a diverged training")

    def test_replicates_that_exist_come_from_the_source(self) -> None:
        """Replicates are never padded: rows do not repeat one value in every replicate throughout."""
        for name, _, column in self.columns():
            values = column.values[:, :, -1]
            if values.shape[1] < 2 or column.metric.role != "search":
                continue
            complete = values[~np.isnan(values).any(axis=1)]
            if len(complete) >= 100 and (complete == complete[:, :1]).all():
                fail(f"{name} has replicates that differ somewhere", "equal ones", "noise would vanish", "padding")
            if len(complete) >= 100 and (share := _padded_share(complete)) > 0:
                fail(
                    f"{name} has replicates of its own",
                    f"one repeats others in {share:.0%} of the rows",
                    "noise would shrink",
                    "padding: a replicate that is missing must be NaN",
                )

    def test_values_lie_on_their_grid(self) -> None:
        """If a metric has a resolution, every single value is a multiple of it."""
        for name, _, column in self.columns():
            step = column.metric.resolution
            if step is None:
                continue
            steps = column.values / step
            off = np.nanmax(np.abs(steps - np.rint(steps)), initial=0.0)
            if off > 1e-3:
                fail(
                    f"{name} are multiples of {step:.6g}",
                    f"one is {off:.3g} steps off",
                    "values that should be equal must tie",
                    "a resolution of other units (fractions against percent)",
                )

    def test_cost_does_not_fall_with_fidelity(self) -> None:
        """Cost is cumulative: it never falls along the fidelity axis."""
        for name, _, column in self.columns():
            if column.metric.role == "cost" and (np.diff(column.values, axis=2) < 0).any():
                fail(f"{name} is cumulative", "it falls", "increments would be negative", "seconds of single epochs")

    def test_a_cached_table_is_the_same_table(self) -> None:
        """Written to the cache and opened again, every value has the same bits."""
        with tempfile.TemporaryDirectory() as folder:
            write_table(self.table, Path(folder) / "table")
            again = open_table(Path(folder) / "table")
            verify_table(again)
            for name, dataset in self.table.datasets.items():
                for metric, column in dataset.columns.items():
                    found = again.column(name, metric)
                    if found.metric != column.metric or found.values.tobytes() != column.values.tobytes():
                        fail(f"{name}: {metric} comes back", "something else", "studies read the cache", "a dtype")

    def test_provenance_is_given(self) -> None:
        """Source, version and license are named."""
        provenance = self.table.provenance
        if not (provenance.source and provenance.version and provenance.license):
            fail("source, version and license", str(provenance), "they stand in every result", "left empty")


def _padded_share(values: Floats) -> float:
    """Share of rows in which a replicate repeats another one, or the last one the mean; 0 if chance may explain it.

    Args:
        values: Values of architectures with all replicates, shape (num_rows, num_replicates).
    """
    pairs = combinations(range(values.shape[1]), 2)
    found = [_repeated_share(np.abs(values[:, one] - values[:, other])) for one, other in pairs]
    if values.shape[1] > 2:
        from_mean = np.abs(values[:, -1] - values[:, :-1].mean(axis=1))
        found.append(_repeated_share(np.where(from_mean < 1e-9, 0.0, from_mean)))
    alike, shift = values[np.argsort(values.mean(axis=1), kind="stable")], len(values) // 50
    by_chance = float((alike[:-shift, 0] == alike[shift:, 1]).mean())  # rows whose means are close
    return max(found) if max(found) > 0.1 + 3 * by_chance else 0.0


def _repeated_share(differences: Floats) -> float:
    """Share of rows without a difference; 0 if the noise is so small on its grid that equal values are expected."""
    others = differences[differences > 0]
    share = 1 - len(others) / len(differences)
    if not len(others):
        return share
    step = others.min()  # beside small noise many rows differ by one step, beside padding few
    by_chance = float((others < 1.5 * step).sum()) / len(differences)
    return share if share > 0.1 + 3 * by_chance and np.median(others) >= 1.5 * step else 0.0
