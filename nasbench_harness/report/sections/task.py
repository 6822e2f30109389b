"""One task in detail."""

from __future__ import annotations

import math

from nasbench_harness.analysis.results import Analysis, StrategyResult, TaskAnalysis
from nasbench_harness.report.captions import caption_text, summary_text
from nasbench_harness.report.cells import count, mean_and_std, mean_std, measures_of, plain
from nasbench_harness.report.contradictions import unscored_notes, worse_in_bold, worse_on_test
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.sections.references import (
    optimum_cells,
    quoted_rows,
    reference_cells,
    reference_regrets,
)
from nasbench_harness.report.strategy_cells import regret_iqm_cell, strategy_cell
from nasbench_harness.statistics import Proportion
from nasbench_harness.store.record import MIN_SEEDS


def task_table(analysis: Analysis, entry: TaskAnalysis) -> ReportTable:
    """One task in detail: value, test, regret with interval, share at the optimum, A12 against the field."""
    measures = measures_of(entry, analysis.options)
    pp = entry.val.view.metric.difference_unit
    columns = [ReportColumn("strategy", "strategy", is_number=False), ReportColumn("seeds", "N", is_extra=True)]
    for measure in measures:
        metric = measure.view.metric
        columns.append(ReportColumn(metric.name, f"{metric.name.replace('_', ' ')} ({metric.unit})"))
    name, has_optimum = entry.val.view.distance, entry.val.view.has_optimum
    for measure in measures:
        header = f"{measure.prefix}{name}"
        unit = measure.view.metric.difference_unit
        columns.append(ReportColumn(header.replace(" ", "_"), f"{header} ({unit})", is_extra=True))
    columns += [
        ReportColumn(f"{name}_iqm", f"{name} IQM [95 %] ({pp})"),
        *([ReportColumn("optimal", "at optimum")] if has_optimum else []),
        ReportColumn("a12", "A12"),
    ]
    if entry.val.view.is_of_sets:
        columns += [ReportColumn("front_size", "front size"), ReportColumn("front_share", "share of the front (%)")]
    blank = (NOTHING,) * (len(columns) - 2 - len(measures))
    rows = [
        ReportRow(
            (label, NOTHING, *cells, *(regrets := reference_regrets(measures, label.text)), *blank[len(regrets) :]),
            "reference",
        )
        for label, cells in reference_cells(measures, analysis)
    ]
    for result in entry.results:
        rows.append(
            ReportRow(
                (
                    ReportCell(result.label),
                    count(len(result.seeds)),
                    *(strategy_cell(measure, result) for measure in measures),
                    *(strategy_cell(measure, result, as_distance=True) for measure in measures),
                    regret_iqm_cell(measures[0], result),
                    *([_share_cell(result.share_optimal, len(result.seeds))] if has_optimum else []),
                    _against_field(entry, result.label),
                    *_front_cells(result),
                ),
                is_highlighted=result.label in analysis.options.highlight,
            )
        )
    rows += [ReportRow((*cells, *blank), "quoted") for cells in quoted_rows(analysis, measures)]
    rows += [ReportRow((label, NOTHING, *cells, *blank), "optimum") for label, cells in optimum_cells(measures)]
    title = f"{entry.task.title} ({entry.task.name})."
    notes = worse_on_test(analysis, [entry])
    notes += worse_in_bold(measures, as_distance=False) + worse_in_bold(measures, as_distance=True)
    notes += unscored_notes(analysis, [entry])
    if entry.task.space.note:
        notes += (f"{entry.task.name}: {entry.task.space.note}.",)
    details, summary = caption_text(analysis, [entry]), summary_text(analysis, [entry], has_intervals=True)
    return ReportTable(entry.task.name, title, tuple(columns), tuple(rows), notes, details, summary)


def _front_cells(result: StrategyResult) -> list[ReportCell]:
    """Size of the sets that runs return, and their share of the true front's points."""
    if result.sets is None:
        return []
    return [mean_std(*mean_and_std(values), 1) for values in (result.sets.sizes, 100 * result.sets.shares)]


def _share_cell(share: Proportion, num_runs: int) -> ReportCell:
    numbers = {"share": share.value}
    if num_runs >= MIN_SEEDS:
        numbers |= {"low": share.low, "high": share.high}
    percent = round(100 * share.value)  # once, so that no two formats round in another way
    if 0 < share.value < 1 and percent in (0, 100):  # "100 %" would say that every run is at the optimum
        return ReportCell(*(("> 99 %", numbers, "{$>$ 0.99}") if percent else ("< 1 %", numbers, "{$<$ 0.01}")))
    return ReportCell(f"{percent} %", numbers, f"{percent / 100:.2f}")


def _against_field(entry: TaskAnalysis, label: str) -> ReportCell:
    """Mean over the other strategies of the chance to have the smaller regret."""
    mean_a12 = entry.comparison.mean_a12(label)
    return NOTHING if math.isnan(mean_a12) else plain(mean_a12, 2)
