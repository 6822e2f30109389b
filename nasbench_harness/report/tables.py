"""Tables: one object that feeds terminal, Markdown, LaTeX, CSV and JSON, so that their numbers cannot differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasbench_harness.report.analysis import ALPHA, Analysis, TaskAnalysis
from nasbench_harness.tables.table import Metric

MAX_TASKS_ABREAST = 4  # of the main table


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: As printed, without marks; "–" for nothing.
        numbers: Full digits by suffix of the column's key, e.g. {"mean": …, "std": …}.
        latex: As siunitx reads it; None: the text, in braces.
        is_bold: Best of its column.
        is_marked: Not significantly worse than the best.
    """

    text: str
    numbers: dict[str, Any] = field(default_factory=dict)
    latex: str | None = None
    is_bold: bool = False
    is_marked: bool = False


@dataclass(frozen=True)
class Column:
    """A column: ``key`` for machines, ``header`` with unit for people, ``group`` above several columns."""

    key: str
    header: str
    group: str = ""
    is_number: bool = True
    is_extra: bool = False  # left out where space is short


@dataclass(frozen=True)
class Row:
    """A row; ``block`` separates reference rows from strategies and optima."""

    cells: tuple[Cell, ...]
    block: str = "strategies"


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        from nasbench_harness.report.text import to_markdown

        return to_markdown(self)


NOTHING = Cell("–")


def main_tables(analysis: Analysis) -> list[Table]:
    """Strategies × tasks: noiseless value of the final choice, mean ± standard deviation; four tasks a table."""
    parts = [
        analysis.tasks[first : first + MAX_TASKS_ABREAST] for first in range(0, len(analysis.tasks), MAX_TASKS_ABREAST)
    ]
    return [_main_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def task_table(analysis: Analysis, entry: TaskAnalysis) -> Table:
    """One task in detail: value, regret with interval, share at the optimum, A12 against the field."""
    unit, metric = entry.task.report.metric.unit, entry.task.report.metric.name
    pp = regret_unit(entry.task.report.metric)
    columns = (
        Column("strategy", "strategy", is_number=False),
        Column(metric, f"{metric.replace('_', ' ')} ({unit})"),
        Column("regret", f"regret ({pp})", is_extra=True),
        Column("regret_iqm", f"regret IQM [95 %] ({pp})"),
        Column("optimal", "at optimum"),
        Column("a12", "A12"),
    )
    decimals, finer = _decimals(entry), _decimals(entry) + 1
    rows = [
        Row((*cells, NOTHING, NOTHING, NOTHING), "reference")
        for cells in (_sampling_cells(entry, decimals), _exact_cells(entry, decimals))
    ]
    for position, label in enumerate(analysis.labels):
        share = entry.share_optimal[position]
        rows.append(
            Row(
                (
                    Cell(label),
                    _value_cell(entry, position, decimals),
                    _mean_std(*_mean_and_std(entry.regret[position]), decimals),
                    _interval_cell(entry, position, finer),
                    Cell(
                        f"{100 * share.value:.0f} %",
                        {"share": share.value, "low": share.low, "high": share.high},
                        f"{share.value:.2f}",
                    ),
                    _against_field(entry, position),
                )
            )
        )
    optimum = (_plain(_optimum(entry), decimals, "mean"), _plain(0.0, decimals, "mean"))
    rows.append(Row((Cell("optimum"), *optimum, NOTHING, NOTHING, NOTHING), "optimum"))
    caption = f"{entry.task.title} ({entry.task.name}). " + caption_text(analysis)
    return Table(entry.task.name, caption, columns, tuple(rows))


def pairs_table(analysis: Analysis) -> Table:
    """Every pair of strategies on every task."""
    columns = (
        Column("task", "task", is_number=False),
        Column("first", "first", is_number=False),
        Column("second", "second", is_number=False),
        Column("difference", "mean regret, first − second"),
        Column("p", "p"),
        Column("p_holm", "p (Holm)"),
        Column("a12", "A12"),
        Column("correlation", "correlation"),
    )
    rows = []
    for entry in analysis.tasks:
        means = entry.regret.mean(axis=1)
        for pair in entry.pairs:
            difference = float(means[pair.first] - means[pair.second])
            rows.append(
                Row(
                    (
                        Cell(entry.task.name),
                        Cell(analysis.labels[pair.first]),
                        Cell(analysis.labels[pair.second]),
                        _plain(difference, _decimals(entry) + 1, plus=True),
                        _p_cell(pair.p_value),
                        _p_cell(pair.p_holm, is_marked=pair.p_holm <= ALPHA),
                        _plain(pair.a12, 3),
                        _plain(pair.correlation, 2, plus=True),
                    )
                )
            )
    caption = (
        "All pairs of strategies, paired by seed: Wilcoxon signed-rank test on final regrets (zeros after Pratt), p "
        "after Holm's correction over the pairs of a task. A12: chance that the first has the smaller regret. "
        "Correlation: of final regrets across seeds."
    )
    return Table("pairs", caption, columns, tuple(rows))


def caption_text(analysis: Analysis) -> str:
    """What a reader must know: sample size, unit, budget, selection rule, test, correction, table."""
    first = analysis.tasks[0]
    num_pairs = math.comb(len(analysis.labels), 2)
    choosers = sorted(
        {
            label
            for entry in analysis.tasks
            for label, own in zip(analysis.labels, entry.chooses_itself, strict=True)
            if own
        }
    )
    parts = [
        f"Mean ± standard deviation (ddof 1) over N = {analysis.num_seeds:,} seeds after "
        f"{analysis.protocol.describe()}.",
        "Scored is the noiseless mean over replicates of the incumbent, which is chosen by observed "
        f"{first.task.report.metric.name.replace('_', ' ')}.",
    ]
    if choosers:
        parts.append(f"Choosing for themselves: {', '.join(choosers)}.")
    if num_pairs:
        parts.append(
            "Bold: smallest mean regret; †: not significantly worse (Wilcoxon signed-rank on final regrets, zeros "
            f"after Pratt, paired by seed, Holm over all {num_pairs} pairs of a task, alpha = {ALPHA})."
        )
    if analysis.num_seeds >= 10:
        parts.append(f"Intervals: 95 % percentile bootstrap, {analysis.num_resamples:,} resamples of seeds.")
    else:
        parts.append("Fewer than 10 seeds: no intervals.")
    if analysis.protocol.duplicates != "charge":
        parts.append("Exact random search is with replacement, every draw charged.")
    tables = {entry.task.table.name: entry.task.table for entry in analysis.tasks}
    parts += [
        f"Table {name}: {table.provenance.source}, version {table.provenance.version}, sha256 {table.digest[:12]}."
        for name, table in sorted(tables.items())
    ]
    return " ".join(parts)


def regret_unit(metric: Metric) -> str:
    """Percentage points for percents, else the metric's unit."""
    return "pp" if metric.unit == "%" else metric.unit


def _main_table(analysis: Analysis, part: Sequence[TaskAnalysis], position: int, num_parts: int) -> Table:
    columns = [Column("strategy", "Strategy", is_number=False), Column("seeds", "N")]
    for entry in part:
        metric = entry.task.report.metric
        header = f"{metric.name.replace('_accuracy', '')} ({metric.unit})"
        columns.append(Column(f"{entry.task.name}_{metric.name}", header, entry.task.title))
    columns.append(Column("mean_rank", "mean rank"))
    decimals = [_decimals(entry) for entry in part]
    rows = []
    for cells in (_sampling_cells, _exact_cells):
        entries = [cells(entry, places) for entry, places in zip(part, decimals, strict=True)]
        rows.append(Row((entries[0][0], NOTHING, *(values for _, values, _ in entries), NOTHING), "reference"))
    for strategy, label in enumerate(analysis.labels):
        values = [_value_cell(entry, strategy, places) for entry, places in zip(part, decimals, strict=True)]
        seeds = Cell(f"{analysis.num_seeds}", {"": analysis.num_seeds}, f"{analysis.num_seeds}")
        rows.append(Row((Cell(label), seeds, *values, _plain(float(analysis.mean_ranks[strategy]), 2))))
    optima = [_plain(_optimum(entry), places, "mean") for entry, places in zip(part, decimals, strict=True)]
    rows.append(Row((Cell("optimum (best mean)"), NOTHING, *optima, NOTHING), "optimum"))
    of = f" (part {position + 1} of {num_parts})" if num_parts > 1 else ""
    caption = f"Value of the final choice{of}. {caption_text(analysis)}"
    if len(analysis.tasks) > 1:
        caption += f" Mean rank: of the mean regret, over {len(analysis.tasks)} tasks."
    return Table("main" if num_parts == 1 else f"main_{position + 1}", caption, tuple(columns), tuple(rows))


def _sampling_cells(entry: TaskAnalysis, decimals: int) -> tuple[Cell, Cell, Cell]:
    """Name, value and regret of one uniformly drawn architecture."""
    mean, std = entry.sampling
    regret = abs(_optimum(entry) - mean)
    return Cell("random sampling"), _mean_std(mean, std, decimals), _mean_std(regret, std, decimals)


def _exact_cells(entry: TaskAnalysis, decimals: int) -> tuple[Cell, Cell, Cell]:
    """Name, value and regret of random search in closed form."""
    regret, std = float(entry.random_search.mean[-1]), float(entry.random_search.std[-1])
    sign = -1 if entry.task.report.metric.direction == "maximize" else 1
    value = _mean_std(_optimum(entry) + sign * regret, std, decimals)
    return Cell("random search, exact"), value, _mean_std(regret, std, decimals)


def _optimum(entry: TaskAnalysis) -> float:
    return float(entry.task.report.values[entry.task.report.optimum])


def _value_cell(entry: TaskAnalysis, strategy: int, decimals: int) -> Cell:
    mean, std = _mean_and_std(entry.value[strategy])
    if not entry.regret[strategy].any():
        numbers = _mean_std(mean, std, decimals).numbers
        return Cell("= optimum", numbers, None, is_marked=bool(entry.is_not_worse[strategy]))
    printed = f"{mean:.{decimals}f}"
    best = [f"{entry.value[other].mean():.{decimals}f}" for other in np.flatnonzero(entry.is_best)]
    # Two cells that print the same number are both bold or neither.
    cell = _mean_std(mean, std, decimals)
    return Cell(
        cell.text, cell.numbers, cell.latex, is_bold=printed in best, is_marked=bool(entry.is_not_worse[strategy])
    )


def _interval_cell(entry: TaskAnalysis, strategy: int, decimals: int) -> Cell:
    if entry.iqm is None:
        return NOTHING
    point, low, high = (float(part[strategy]) for part in (entry.iqm.point, entry.iqm.low, entry.iqm.high))
    text = f"{point:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"
    return Cell(text, {"point": point, "low": low, "high": high})


def _against_field(entry: TaskAnalysis, strategy: int) -> Cell:
    """Mean over the other strategies of the chance to have the smaller regret."""
    wins = [
        pair.a12 if pair.first == strategy else 1 - pair.a12
        for pair in entry.pairs
        if strategy in (pair.first, pair.second)
    ]
    return _plain(float(np.mean(wins)), 2) if wins else NOTHING


def _mean_and_std(values: Any) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _mean_std(mean: float, std: float, decimals: int) -> Cell:
    if math.isnan(std):
        return Cell(f"{mean:.{decimals}f}", {"mean": mean}, f"{mean:.{decimals}f}")
    numbers = {"mean": mean, "std": std}
    uncertainty = round(std * 10**decimals)
    return Cell(f"{mean:.{decimals}f} ± {std:.{decimals}f}", numbers, f"{mean:.{decimals}f}({uncertainty})")


def _plain(value: float, decimals: int, key: str = "", plus: bool = False) -> Cell:
    text = f"{value:{'+' if plus else ''}.{decimals}f}"
    return Cell(text.replace("-", "−"), {key: value}, text)


def _p_cell(p: float, is_marked: bool = False) -> Cell:
    text = "< .0001" if p < 1e-4 else f"{p:.4f}"
    return Cell(text, {"": p}, None, is_bold=is_marked)


def _decimals(entry: TaskAnalysis) -> int:
    """Two significant digits of the smallest standard deviation, but no finer than the table's grid."""
    spread = [float(std) for std in entry.value.std(axis=1, ddof=1) if std > 0] if entry.value.shape[1] > 1 else []
    finest = max(0, math.ceil(-math.log10(entry.task.report.metric.resolution or 1e-3)))
    wanted = 1 - math.floor(math.log10(min(spread))) if spread else 2
    return min(max(wanted, 0), finest, 3)
