"""The published numbers beside the measured ones, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.reproduction.presets import Preset, QuotedRow
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
    quoted = _quoted(preset, rows)
    if quoted:
        title += " Quoted rows were not run; their number of runs stands in parentheses."
    notes = [preset.note, *(f"{label}: {reference}" for label, reference in preset.strategies.items())]
    notes += [_left_out(preset, row) for row in rows if row.num_left_out]
    notes += [
        f"searched: {search.dataset} after {search.epochs} epochs, {search.protocol.describe()}"
        for search in preset.searches
    ]
    cells = [_row(row) for row in rows] + [_quoted_row(row, split) for row in quoted for split in _splits(row)]
    return ReportTable(preset.name, title, columns, tuple(cells), notes=tuple(notes))


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
                "runs_left_out": row.num_left_out,
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
        "quoted": [
            {
                "method": row.method,
                "dataset": row.dataset,
                "split": split,
                "runs": row.num_runs,
                "published_mean": mean,
                "published_std": std,
            }
            for row in _quoted(preset, rows)
            for split, (mean, std) in _splits(row).items()
        ],
    }


def _left_out(preset: Preset, row: Measured) -> str:
    lack = "never evaluated the best cell" if preset.measure == "evaluations" else "chose a cell without a value"
    cell, total = row.published, row.num_runs + row.num_left_out
    fails = "" if row.passes is None else ", and the number fails"
    return (
        f"{cell.strategy}, {cell.dataset} {cell.split}: {row.num_left_out:,} of {total:,} runs {lack}; they are not in "
        f"the mean{fails}"
    )


def _quoted(preset: Preset, rows: Sequence[Measured]) -> list[QuotedRow]:
    """Rows of methods that were not run: strategies that the table could not run, then those of no strategy here."""
    measured = {row.published for row in rows}
    left_out = [cell for cell in preset.published if cell not in measured and cell.split == "val"]
    own = [QuotedRow(cell.strategy, cell.dataset, (cell.mean, cell.std), None, preset.num_runs) for cell in left_out]
    return [*own, *preset.quoted]


def _splits(row: QuotedRow) -> dict[str, tuple[float, float | None]]:
    """Mean and standard deviation by split."""
    return {"val": row.val, **({} if row.test is None else {"test": row.test})}


def _quoted_row(row: QuotedRow, split: str) -> ReportRow:
    scored = ReportCell(f"{row.dataset} {split}")
    pair = _pair(*_splits(row)[split])
    return ReportRow((ReportCell(row.method), scored, pair, NOTHING, NOTHING, ReportCell(f"quoted ({row.num_runs})")))


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
