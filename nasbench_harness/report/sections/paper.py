"""The table of a paper: chosen tasks and scores side by side, groups of rows, reference rows, search cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.scores import TEST, VAL
from nasbench_harness.report.captions import caption_text, summary_text
from nasbench_harness.report.cells import Measure, measures_of, plain
from nasbench_harness.report.contradictions import unscored_notes, worse_in_bold, worse_on_test
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.sections.ranks import has_intervals
from nasbench_harness.report.sections.references import optimum_cells, quoted_rows, reference_cells
from nasbench_harness.report.strategy_cells import strategy_cell

_WORDS = {"val": "validation", "valid": "validation"}


def paper_table(analysis: Analysis) -> ReportTable:
    """Strategies × chosen scores of chosen tasks, as papers print them.

    Raises:
        InvalidInputError: A pattern of columns matches no task, or an architecture is in no chosen task.
        UnknownNameError: A score or a label of a group does not exist.
    """
    options = analysis.options
    part = chosen_measures(analysis, options.columns)
    group_of = _groups(analysis)
    columns = [ReportColumn("strategy", "Method", is_number=False)]
    if options.cost:
        columns.append(ReportColumn("cost", "cost (s)"))
    for measure in part:
        metric = measure.view.metric
        header = f"{metric.name.replace('_accuracy', '').replace('_', ' ')} ({metric.unit})"
        columns.append(ReportColumn(measure.key, header, measure.entry.task.title))
    blank = [NOTHING] if options.cost else []
    rows = [ReportRow((name, *blank, *cells), "reference") for name, cells in _architecture_cells(part, analysis)]
    rows += [ReportRow((name, *blank, *cells), "reference") for name, cells in reference_cells(part, analysis)]
    strategies = [
        _strategy_row(analysis, part, label, group_of.get(label, "strategies"))
        for label in analysis.labels
        if any(
            measure.entry.result(label) for measure in part
        )  # a trace may have no row of these tasks, or nothing is scored
    ]
    quoted = []
    for name, _, *cells in quoted_rows(analysis, part):
        method = name.text.removesuffix(" (quoted)")
        quoted.append(ReportRow((name, *blank, *cells), group_of.get(method, "quoted")))
    order = ["strategies", *options.groups, "quoted"]
    rows += sorted([*strategies, *quoted], key=lambda row: order.index(row.block))
    rows += [ReportRow((name, *blank, *cells), "optimum") for name, cells in optimum_cells(part)]
    entries = list({measure.entry.task.name: measure.entry for measure in part}.values())
    title = options.caption or _title(part)
    if options.cost:
        title += " Cost: mean simulated seconds of a run, averaged over the tasks."
    return ReportTable(
        "paper",
        title,
        tuple(columns),
        tuple(rows),
        worse_on_test(analysis, entries) + worse_in_bold(part, as_distance=False) + unscored_notes(analysis, entries),
        caption_text(analysis, entries, has_intervals=has_intervals(analysis)),
        summary_text(analysis, entries),
        {name: name for name in options.groups} | ({"quoted": "quoted"} if options.groups else {}),
    )


def chosen_measures(analysis: Analysis, patterns: Sequence[str]) -> list[Measure]:
    """Columns that patterns such as ``nb201-*:val,test`` choose; a score that a table does not have is left out."""
    chosen: dict[str, Measure] = {}
    for pattern in patterns or ("*",):
        tasks, _, names = pattern.partition(":")
        scores = names.split(",") if names else [VAL, TEST]
        for name in scores:
            if name not in (VAL, TEST):
                raise UnknownNameError("score", name, (VAL, TEST), f"the columns {pattern!r}")
        found = [entry for entry in analysis.tasks if fnmatchcase(entry.task.name, tasks)]
        if not found:
            known = ", ".join(entry.task.name for entry in analysis.tasks)
            raise InvalidInputError(f"the columns {pattern!r} match no task of the study: its tasks are {known}")
        for entry in found:
            for measure in measures_of(entry, analysis.options):
                if measure.score.name in scores:
                    chosen[measure.key] = measure
    if not chosen:
        raise InvalidInputError(f"the tables of the chosen tasks have no test metric: {', '.join(patterns)}")
    return list(chosen.values())


def _groups(analysis: Analysis) -> Mapping[str, str]:
    """Group of each label and quoted method."""
    known = [*analysis.labels, *dict.fromkeys(quoted.method for quoted in analysis.quoted)]
    found = {}
    for group, labels in analysis.options.groups.items():
        for label in labels:
            if label not in known:
                raise UnknownNameError("label", label, known, f"report.groups.{group}")
            found[label] = group
    return found


def _strategy_row(analysis: Analysis, part: Sequence[Measure], label: str, block: str) -> ReportRow:
    results = [(measure, measure.entry.result(label)) for measure in part]
    cells = [NOTHING if result is None else strategy_cell(measure, result) for measure, result in results]
    hours = [result.spending.simulated_h for _, result in results if result is not None]
    cost = [_cost_cell(hours)] if analysis.options.cost else []
    return ReportRow((ReportCell(label), *cost, *cells), block, label in analysis.options.highlight)


def _cost_cell(hours: Sequence[float]) -> ReportCell:
    known = [value for value in hours if not np.isnan(value)]
    return plain(3600 * float(np.mean(known)), 0) if known else NOTHING


def _architecture_cells(part: Sequence[Measure], analysis: Analysis) -> list[tuple[ReportCell, list[ReportCell]]]:
    """Noiseless values of named architectures in the tasks whose space has them."""
    rows = []
    for name, key in analysis.options.architectures.items():
        cells = []
        for measure in part:
            index = _index(measure, key)
            exists = index is not None and _counts(measure, index)
            cells.append(plain(float(measure.view.values[index]), measure.decimals, "mean") if exists else NOTHING)
        if all(cell is NOTHING for cell in cells):
            raise InvalidInputError(f"report.architectures: no chosen task has the architecture {key!r} ({name})")
        rows.append((ReportCell(name), cells))
    return rows


def _counts(measure: Measure, index: int) -> bool:
    """Whether an architecture has a value of its own in a column."""
    view = measure.view
    is_feasible = view.is_feasible is None or bool(view.is_feasible[index])
    return not view.is_of_sets and is_feasible and bool(view.exists[index])


def _index(measure: Measure, key: str) -> int | None:
    for read in (measure.entry.task.space.from_key, measure.entry.task.space.from_string):
        try:
            index = read(key)
        except (ValueError, KeyError, InvalidInputError):
            continue
        return int(index)
    return None


def _title(part: Sequence[Measure]) -> str:
    names = dict.fromkeys(measure.view.metric.name.replace("_", " ") for measure in part)
    words = [" ".join(_WORDS.get(word, word) for word in name.split()) for name in names]
    units = dict.fromkeys(measure.view.metric.unit for measure in part)
    text = f"{' and '.join(words)} ({', '.join(units)}) of the final choices."
    return text[:1].upper() + text[1:]
