"""Table of measures over time."""

from __future__ import annotations

import math

from nasbench_harness.analysis.anytime import AnytimeMeasures
from nasbench_harness.analysis.names import choice_name, distance_name
from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.cells import plain
from nasbench_harness.report.model import NOTHING, ReportCell, ReportColumn, ReportRow, ReportTable


def measures_table(analysis: Analysis) -> ReportTable:
    """Regret at budgets, area, success and expected running time of every strategy on every task."""
    options, name = analysis.options, distance_name(analysis.tasks)
    columns = [ReportColumn(key, key, is_number=False) for key in ("task", "strategy", "axis")]
    columns += [
        ReportColumn(f"at_{100 * share:g}", f"{100 * share:g} %", f"mean {name} at a share of the budget")
        for share in options.budgets
    ]
    columns.append(ReportColumn("area", "area"))
    columns += [ReportColumn(f"success_{x:g}", f"≤ {x:g}", "runs that reach (%)") for x in options.targets]
    columns += [ReportColumn(f"time_{x:g}", f"≤ {x:g}", "expected running time to") for x in options.targets]
    rows = []
    for entry in analysis.tasks_with_curves:
        for axis in entry.axes:
            for result in entry.results:
                cells = (ReportCell(entry.task.name), ReportCell(result.label), ReportCell(axis))
                rows.append(ReportRow((*cells, *_cells(analysis, result.measures[axis]))))
    by_test = "test " if "test" in options.curves else ""
    has_epochs = any("epochs" in entry.axes for entry in analysis.tasks)
    units = "evaluations, simulated seconds or epochs" if has_epochs else "evaluations or simulated seconds"
    choice = choice_name(analysis.tasks)
    is_of_sets = any(entry.shown.view.is_of_sets for entry in analysis.tasks_with_curves)
    before = "an empty set" if is_of_sets else "the mean of the table"
    has_optimum = {entry.shown.view.has_optimum for entry in analysis.tasks_with_curves}
    area = "Area: mean over the axis"
    area += f"; a run counts as {before} before its first result." if True in has_optimum else "."
    if False in has_optimum:
        area += (
            " On tasks that train, a strategy has no area if one of its runs has no result at the start of the axis."
        )
    title = (
        f"Measures over time, of the noiseless {by_test}{name} of the {choice}. {area} Runs that "
        f"reach a target: at any moment, also if the {choice} is worse later. Expected running time: time of all runs "
        "until they reach the target, or of the whole axis for a run that misses it, over the number of runs that "
        f"reach it, in {units}; ∞ if none does.{_ends_of_axes(analysis)}"
    )
    return ReportTable("measures", title, tuple(columns), tuple(rows))


def _ends_of_axes(analysis: Analysis) -> str:
    """Ends and steps of the axes, unless they are those of the budget."""
    text, protocol, entries = "", analysis.protocol, analysis.tasks_with_curves
    shortest = min((len(entry.results[0].after_evaluations.mean) for entry in entries), default=0)
    if entries and protocol.only_evaluations is None and shortest < (protocol.evaluations or math.inf):
        text = (
            " The axis of evaluations ends with the longest run of all strategies on a task. Its end stands for the "
            "budget, and another strategy may change it."
        )
    ends = [(entry.task, entry.times_s) for entry in entries if entry.times_s is not None]
    if ends:
        names = ", ".join(f"{task.title} {times[-1]:,.0f} s" for task, times in ends)
        lowest = " at the lowest fidelity" if any(len(entry.task.fidelities) > 1 for entry in entries) else ""
        text += (
            f" The axis of seconds begins with the table's median cost of one training{lowest} and ends with the "
            "budget. A budget without seconds counts as trainings of the table's median cost. Later results are left "
            f"out. Ends: {names}."
        )
    if tight := [task.title for task, times in ends if times[0] < task.least_cost_s]:
        text += (
            f" On {', '.join(tight)} the budget is no longer than that cost: the axis begins at a hundredth of the "
            "budget there."
        )
    return text


def _cells(analysis: Analysis, found: AnytimeMeasures) -> list[ReportCell]:
    decimals, num_targets = analysis.options.decimals, len(analysis.options.targets)
    cells = [NOTHING if math.isnan(value) else plain(value, decimals) for value in (*found.regret, found.area)]
    success = [plain(100 * share.value, 0) for share in found.success] or [NOTHING] * num_targets
    times = [_time_cell(value) for value in found.running_time] or [NOTHING] * num_targets
    return [*cells, *success, *times]


def _time_cell(value: float) -> ReportCell:
    return ReportCell("∞") if math.isinf(value) else ReportCell(f"{value:,.0f}", {"": value})
