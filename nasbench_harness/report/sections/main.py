"""Strategies × tasks: values of the final choices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasbench_harness.analysis.names import distance_name
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.captions import caption_text, summary_text
from nasbench_harness.report.cells import Measure, measures_of
from nasbench_harness.report.contradictions import unscored_notes, worse_in_bold, worse_on_test
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.sections.ranks import has_intervals, numbered, part_text, rank_cell, seeds_cell
from nasbench_harness.report.sections.references import optimum_cells, quoted_rows, reference_cells
from nasbench_harness.report.strategy_cells import strategy_cell

# Columns of values that fit on a page, by the width of their cells.
MAX_VALUES_ABREAST = {"mean": 4, "interval": 3, "stochastic": 2}
_RANKED = {"mean": "mean", "stochastic": "mean A12 of the", "interval": "interquartile mean of the"}


def main_table(analysis: Analysis) -> ReportTable:
    """``main_tables`` in one piece, with every task."""
    measures = [measure for entry in analysis.tasks for measure in measures_of(entry, analysis.options)]
    return _main_table(analysis, measures, 0, 1)


def main_tables(analysis: Analysis) -> list[ReportTable]:
    """Strategies × tasks: noiseless value of the final choice, beside it its test value if the table has test."""
    parts: list[list[Measure]] = []
    for entry in analysis.tasks:
        measures = measures_of(entry, analysis.options)
        if not parts or len(parts[-1]) + len(measures) > MAX_VALUES_ABREAST[analysis.options.estimand]:
            parts.append([])
        parts[-1] += measures
    return [_main_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def _main_table(analysis: Analysis, part: Sequence[Measure], position: int, num_parts: int) -> ReportTable:
    is_full = (
        len(part) >= MAX_VALUES_ABREAST[analysis.options.estimand]
    )  # of values: no place for N, which stands in the caption
    columns = [ReportColumn("strategy", "Strategy", is_number=False), ReportColumn("seeds", "N", is_extra=is_full)]
    for measure in part:
        metric = measure.view.metric
        header = f"{metric.name.replace('_accuracy', '')} ({metric.unit})"
        columns.append(ReportColumn(measure.key, header, measure.entry.task.title))
    # The rank on a single task repeats its order.
    has_ranks = len(analysis.tasks) > 1
    columns += [ReportColumn("mean_rank", "mean rank")] * has_ranks
    blank = (NOTHING,) * has_ranks
    rows = [ReportRow((name, NOTHING, *cells, *blank), "reference") for name, cells in reference_cells(part, analysis)]
    for label in analysis.labels:
        results = [measure.entry.result(label) for measure in part]
        if not any(results) and label in analysis.replayed:  # it has no row of these tasks
            continue
        cells = [
            NOTHING if result is None else strategy_cell(measure, result)
            for measure, result in zip(part, results, strict=True)
        ]
        seeds = seeds_cell([len(result.seeds) for result in results if result is not None])
        is_highlighted = label in analysis.options.highlight
        ranks = (rank_cell(analysis, label),) * has_ranks
        rows.append(ReportRow((ReportCell(label), seeds, *cells, *ranks), is_highlighted=is_highlighted))
    rows += [ReportRow((*cells, *blank), "quoted") for cells in quoted_rows(analysis, part)]
    rows += [ReportRow((name, NOTHING, *cells, *blank), "optimum") for name, cells in optimum_cells(part)]
    entries = list({measure.entry.task.name: measure.entry for measure in part}.values())
    is_of_sets = any(measure.view.is_of_sets for measure in part)
    returned = "returned set" if is_of_sets else "final choice"
    title = f"Value of the {returned}{part_text(position, num_parts)}."
    if has_ranks:
        only = ", among the strategies that ran on all of them" if np.isnan(analysis.mean_ranks).any() else ""
        ranked = f"{_RANKED[analysis.options.estimand]} {distance_name(analysis.tasks)}"
        title += f" Mean rank: of the {ranked}, over {len(analysis.tasks)} tasks{only}."
    return ReportTable(
        numbered("main", position, num_parts),
        title,
        tuple(columns),
        tuple(rows),
        worse_on_test(analysis, entries) + worse_in_bold(part, as_distance=False) + unscored_notes(analysis, entries),
        caption_text(analysis, entries, has_intervals=has_intervals(analysis)),
        summary_text(analysis, entries),
    )
