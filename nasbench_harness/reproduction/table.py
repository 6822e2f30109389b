"""The published numbers beside the measured ones, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.reproduction.presets import Preset
from nasbench_harness.reproduction.running import Measured

_VERDICTS = {True: "pass", False: "fail", None: ""}


def reproduction_table(preset: Preset, rows: Sequence[Measured]) -> ReportTable:
    """One row per published number.

    Args:
        preset: The published comparison.
        rows: Published and measured numbers.
    """
    unit = "%" if preset.measure == "value" else "evaluations"
    columns = (
        ReportColumn("strategy", "strategy", is_number=False),
        ReportColumn("scored", "scored by", is_number=False),
        ReportColumn("published", "published"),
        ReportColumn("measured", "measured"),
        ReportColumn("difference", "difference (SE)"),
        ReportColumn("verdict", "verdict", is_number=False),
    )
    runs = " or ".join(f"{number:,}" for number in sorted({row.num_runs for row in rows}))
    title = (
        f"{preset.source}: {unit}, mean ± standard deviation over {runs} runs. Difference: of the means, and in "
        "standard errors (SE). Verdict: whether the difference is at most the tolerance in parentheses."
    )
    notes = [preset.note, *(f"{label}: {reference}" for label, reference in preset.strategies.items())]
    notes += [
        f"searched: {search.dataset} after {search.epochs} epochs, {search.protocol.describe()}"
        for search in preset.searches
    ]
    return ReportTable(preset.name, title, columns, tuple(_row(row) for row in rows), notes=tuple(notes))


def reproduction_json(preset: Preset, table: str, rows: Sequence[Measured]) -> dict[str, Any]:
    """The same as JSON values; a number that does not exist is None."""
    return {
        "preset": preset.name,
        "table": table,
        "source": preset.source,
        "strategies": dict(preset.strategies),
        "rows": [
            {
                "strategy": row.published.strategy,
                "dataset": row.published.dataset,
                "split": row.published.split,
                "runs": row.num_runs,
                "published_mean": row.published.mean,
                "published_std": row.published.std,
                "measured_mean": row.mean,
                "measured_std": row.std,
                "difference": row.difference,
                "standard_error": None if math.isnan(row.error) else row.error,
                "tolerance": row.tolerance,
                "passes": row.passes,
            }
            for row in rows
        ],
    }


def _row(row: Measured) -> ReportRow:
    cell = row.published
    number = None if math.isnan(row.error) else row.difference / row.error
    errors = "" if number is None else f" ({number:+.1f})"
    return ReportRow(
        (
            ReportCell(cell.strategy),
            ReportCell(f"{cell.dataset} {cell.split}"),
            _pair(cell.mean, cell.std),
            _pair(row.mean, row.std),
            ReportCell(
                f"{row.difference:+.2f}{errors}".replace("-", "−"), {"": row.difference, "standard_errors": number}
            ),
            NOTHING if row.tolerance is None else ReportCell(f"{_VERDICTS[row.passes]} ({row.tolerance:.2f})"),
        )
    )


def _pair(mean: float, std: float | None) -> ReportCell:
    if std is None:
        return ReportCell(f"{mean:.2f}", {"mean": mean})
    return ReportCell(f"{mean:.2f} ± {std:.2f}", {"mean": mean, "std": std})
