"""Sources of a report: command, versions, digests of tables, hashes of code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.model import ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.tables.table import Table

_PACKAGES = ("nasbench-harness", "numpy", "scipy")


@dataclass(frozen=True)
class StrategySource:
    """Origin of a strategy's runs.

    Attributes:
        label: The strategy.
        reference: Name or ``module:attribute``.
        parameters: Hyperparameters.
        code: Hash of the code that produced the runs; empty if unknown.
    """

    label: str
    reference: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""


def versions() -> dict[str, str]:
    """Versions of the packages that compute the numbers."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def table_sources(analysis: Analysis) -> list[dict[str, Any]]:
    """Origin of each table of the study."""
    return sources_of_tables(entry.task.table for entry in analysis.tasks)


def sources_of_tables(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """Source, version, license and digest of each table, by name."""
    by_name = {table.name: table for table in tables}
    return [
        {
            "table": name,
            "source": table.provenance.source,
            "version": table.provenance.version,
            "license": table.provenance.license,
            "digest": table.digest,
            "files": dict(table.provenance.sha256),
        }
        for name, table in sorted(by_name.items())
    ]


def tables_table(analysis: Analysis) -> ReportTable:
    """Source, version, license and digest of each table."""
    names = ("table", "source", "version", "license", "digest")
    rows = tuple(
        ReportRow(tuple(ReportCell(str(source[name])) for name in names)) for source in table_sources(analysis)
    )
    columns = tuple(ReportColumn(name, name, is_number=False) for name in names)
    return ReportTable("tables", "Tables, with the sha256 of their values.", columns, rows)


def strategies_table(sources: tuple[StrategySource, ...]) -> ReportTable:
    """Reference, hyperparameters and code of each strategy."""
    columns = tuple(
        ReportColumn(name, name, is_number=False) for name in ("strategy", "reference", "parameters", "code")
    )
    rows = []
    for source in sources:
        given = ", ".join(f"{name} = {value!r}" for name, value in source.parameters.items()) or "defaults"
        texts = (source.label, source.reference, given, source.code[:12] or "–")
        rows.append(ReportRow(tuple(ReportCell(text) for text in texts)))
    title = "Strategies, with the hash of the code that produced the runs."
    return ReportTable("strategies", title, columns, tuple(rows))
