"""Tables of a study: overview, main tables, one table per task, pairs, spending."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nasbench_harness.report.analysis import ALPHA, Analysis, StrategyResult, TaskAnalysis
from nasbench_harness.report.captions import caption_text
from nasbench_harness.report.cells import (
    Measure,
    count,
    distance_name,
    finals_name,
    interval_cell,
    mean_and_std,
    mean_std,
    measures_of,
    p_cell,
    plain,
    regret_unit,
)
from nasbench_harness.report.table import NOTHING, Cell, Column, Row, Table
from nasbench_harness.statistics import Interval, Proportion

MAX_VALUES_ABREAST = 4  # columns of values in one main table: more do not fit on a page
MAX_STRATEGIES_ABREAST = 5  # columns of the overview


def overview_tables(analysis: Analysis) -> list[Table]:
    """Tasks × strategies: final regret, mean ± standard deviation; five strategies a table."""
    parts = _chunks(list(analysis.labels), MAX_STRATEGIES_ABREAST)
    return [_overview_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def _overview_table(analysis: Analysis, labels: Sequence[str], position: int, num_parts: int) -> Table:
    columns = [Column("task", "Task", is_number=False)]
    columns += [Column(label, label) for label in labels]
    rows = []
    for entry in analysis.tasks:
        decimals = measures_of(entry)[0].decimals
        results = [entry.result(label) for label in labels]
        cells = [NOTHING if result is None else _regret_cell(entry, result, decimals) for result in results]
        rows.append(Row((Cell(f"{entry.task.title}"), *cells), entry.task.table.name))
    if len(analysis.tasks) > 1:
        ranks = [_rank(analysis, label) for label in labels]
        rows.append(Row((Cell("mean rank"), *ranks), "mean rank"))
    units = sorted({regret_unit(entry.task.report.metric) for entry in analysis.tasks})
    known = any(entry.task.report.has_optimum for entry in analysis.tasks)
    meaning = ": distance of the final choice to the best mean of the table" if known else ""
    caption = (
        f"Final {distance_name(analysis.tasks)} ({', '.join(units)}){_part(position, num_parts)}{meaning}. "
        f"{caption_text(analysis)}"
    )
    return Table(_numbered("overview", position, num_parts), caption, tuple(columns), tuple(rows))


def main_tables(analysis: Analysis) -> list[Table]:
    """Strategies × tasks: noiseless value of the final choice, beside it its test value where the table has test."""
    parts: list[list[Measure]] = []
    for entry in analysis.tasks:
        measures = measures_of(entry)
        if not parts or len(parts[-1]) + len(measures) > MAX_VALUES_ABREAST:
            parts.append([])
        parts[-1] += measures
    return [_main_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def task_table(analysis: Analysis, entry: TaskAnalysis) -> Table:
    """One task in detail: value, test, regret with interval, share at the optimum, A12 against the field."""
    measures = measures_of(entry)
    pp, finer = regret_unit(entry.task.report.metric), measures[0].decimals + 1
    columns = [Column("strategy", "strategy", is_number=False), Column("seeds", "N", is_extra=True)]
    for measure in measures:
        metric = measure.view.metric
        columns.append(Column(metric.name, f"{metric.name.replace('_', ' ')} ({metric.unit})"))
    name, has_optimum = entry.task.report.distance, entry.task.report.has_optimum
    regrets = [Column(name, f"{name} ({pp})", is_extra=True)]
    if len(measures) > 1:
        unit = regret_unit(measures[1].view.metric)
        regrets.append(Column(f"test_{name}", f"test {name} ({unit})", is_extra=True))
    columns += regrets
    columns += [
        Column(f"{name}_iqm", f"{name} IQM [95 %] ({pp})"),
        *([Column("optimal", "at optimum")] if has_optimum else []),
        Column("a12", "A12"),
    ]
    blank = (NOTHING,) * (len(columns) - 2 - len(measures))
    rows = [
        Row((label, NOTHING, *cells, *_reference_regrets(measures, label.text), NOTHING, NOTHING, NOTHING), "reference")
        for label, cells in _reference_cells(measures, analysis)
    ]
    for result in entry.results:
        regret_cells = [mean_std(*mean_and_std(result.regret), measures[0].decimals)]
        if result.test_regret is not None:
            regret_cells.append(mean_std(*mean_and_std(result.test_regret), measures[1].decimals))
        rows.append(
            Row(
                (
                    Cell(result.label),
                    count(len(result.seeds)),
                    *(_value_cell(analysis, measure, result) for measure in measures),
                    *regret_cells,
                    interval_cell(result.iqm, finer),
                    *([_share_cell(result.share_optimal)] if has_optimum else []),
                    _against_field(entry, result.label),
                ),
                is_highlighted=result.label in analysis.options.highlight,
            )
        )
    rows += [Row((*cells, *blank), "quoted") for cells in _quoted_rows(analysis, measures)]
    rows += [Row((label, NOTHING, *cells, *blank), "optimum") for label, cells in _optimum_cells(measures)]
    caption = f"{entry.task.title} ({entry.task.name}). " + caption_text(analysis, [entry])
    return Table(entry.task.name, caption, tuple(columns), tuple(rows))


def pairs_table(analysis: Analysis) -> Table:
    """Every pair of strategies on every task."""
    columns = (
        Column("task", "task", is_number=False),
        Column("first", "first", is_number=False),
        Column("second", "second", is_number=False),
        Column("difference", f"mean {distance_name(analysis.tasks)}, first − second"),
        Column("p", "p"),
        Column("p_holm", "p (Holm)"),
        Column("a12", "A12"),
        Column("correlation", "correlation"),
    )
    rows = []
    for entry in analysis.tasks:
        means = {result.label: float(result.regret.mean()) for result in entry.results}
        decimals = measures_of(entry)[0].decimals + 1
        for pair in entry.pairs:
            rows.append(
                Row(
                    (
                        Cell(entry.task.name),
                        Cell(pair.first),
                        Cell(pair.second),
                        plain(means[pair.first] - means[pair.second], decimals, plus=True),
                        p_cell(pair.p_value),
                        p_cell(pair.p_holm, is_marked=pair.p_holm <= ALPHA),
                        plain(pair.a12, 3),
                        plain(pair.correlation, 2, plus=True),
                    )
                )
            )
    caption = (
        f"All pairs of strategies, paired by seed: Wilcoxon signed-rank test on {finals_name(analysis.tasks)} (zeros "
        "after Pratt), p after Holm's correction over the pairs of a task. A12: chance that the first has the smaller "
        f"{distance_name(analysis.tasks)}. Correlation: of {finals_name(analysis.tasks)} across seeds."
    )
    return Table("pairs", caption, columns, tuple(rows))


def spending_table(analysis: Analysis) -> Table:
    """What the runs spent and how often they repeated themselves."""
    spent = [result.spending for entry in analysis.tasks for result in entry.results]
    columns = (
        Column("task", "task", is_number=False),
        Column("strategy", "strategy", is_number=False),
        Column("evaluations", "evaluations"),
        Column("simulated_h", "hours"),
        Column("repeats_by_index", "repeats by index"),
        Column("repeats_by_class", "repeats by class"),
        Column("overrun", "overrun", is_extra=not any(part.overrun for part in spent)),
        Column("rejected", "rejected", is_extra=not any(part.rejected for part in spent)),
    )
    rows = []
    for entry in analysis.tasks:
        for result in entry.results:
            values = [float(getattr(result.spending, column.key)) for column in columns[2:]]
            numbers = [NOTHING if math.isnan(value) else plain(value, 1) for value in values]
            rows.append(Row((Cell(entry.task.name), Cell(result.label), *numbers)))
    caption = (
        "What a run spent, mean over seeds. Repeats: proposals that name an architecture (by index) or an isomorphism "
        "class (by class) that the same run proposed before. Overrun: evaluations that would have finished after the "
        "budget. Hours are simulated, the table's own training times; – where it has none."
    )
    if not all(entry.task.report.has_optimum for entry in analysis.tasks):
        caption += " Of trained tasks they are declared: operations over a constant of the recipe."
    return Table("spending", caption, columns, tuple(rows))


def _main_table(analysis: Analysis, part: Sequence[Measure], position: int, num_parts: int) -> Table:
    is_full = len(part) == MAX_VALUES_ABREAST  # of values: no place for N, which stands in the caption
    columns = [Column("strategy", "Strategy", is_number=False), Column("seeds", "N", is_extra=is_full)]
    for measure in part:
        metric = measure.view.metric
        header = f"{metric.name.replace('_accuracy', '')} ({metric.unit})"
        columns.append(Column(measure.key, header, measure.entry.task.title))
    columns.append(Column("mean_rank", "mean rank"))
    rows = [Row((name, NOTHING, *cells, NOTHING), "reference") for name, cells in _reference_cells(part, analysis)]
    for label in analysis.labels:
        results = [measure.entry.result(label) for measure in part]
        cells = [
            NOTHING if result is None else _value_cell(analysis, measure, result)
            for measure, result in zip(part, results, strict=True)
        ]
        present = [len(result.seeds) for result in results if result is not None]
        seeds = count(present[0]) if present else NOTHING
        is_highlighted = label in analysis.options.highlight
        rows.append(Row((Cell(label), seeds, *cells, _rank(analysis, label)), is_highlighted=is_highlighted))
    rows += [Row((*cells, NOTHING), "quoted") for cells in _quoted_rows(analysis, part)]
    rows += [Row((name, NOTHING, *cells, NOTHING), "optimum") for name, cells in _optimum_cells(part)]
    entries = list({measure.entry.task.name: measure.entry for measure in part}.values())
    caption = f"Value of the final choice{_part(position, num_parts)}. {caption_text(analysis, entries)}"
    if len(analysis.tasks) > 1:
        caption += f" Mean rank: of the mean {distance_name(analysis.tasks)}, over {len(analysis.tasks)} tasks."
    return Table(_numbered("main", position, num_parts), caption, tuple(columns), tuple(rows))


def _reference_cells(measures: Sequence[Measure], analysis: Analysis) -> list[tuple[Cell, list[Cell]]]:
    """Name and values of one uniformly drawn architecture, and of random search in closed form."""
    if not any(measure.view.has_optimum for measure in measures):
        return []
    rows = [(Cell("random sampling"), [_sampling_cell(measure) for measure in measures])]
    # Seconds bind runs at different numbers of evaluations: there is no closed form then.
    if analysis.protocol.simulated_seconds is None:
        rows.append((Cell("random search, exact"), [_exact_cell(measure) for measure in measures]))
    return rows


def _reference_regrets(measures: Sequence[Measure], name: str) -> list[Cell]:
    cells = []
    for measure in measures:
        if name == "random sampling":
            mean, std = measure.sampling or (math.nan, math.nan)
            cells.append(mean_std(abs(measure.optimum - mean), std, measure.decimals))
        elif measure.random_search is None:
            cells.append(NOTHING)
        else:
            curve = measure.random_search
            cells.append(mean_std(float(curve.mean[-1]), float(curve.std[-1]), measure.decimals))
    return cells


def _sampling_cell(measure: Measure) -> Cell:
    return NOTHING if measure.sampling is None else mean_std(*measure.sampling, measure.decimals)


def _share_cell(share: Proportion) -> Cell:
    numbers = {"share": share.value, "low": share.low, "high": share.high}
    return Cell(f"{100 * share.value:.0f} %", numbers, f"{share.value:.2f}")


def _exact_cell(measure: Measure) -> Cell:
    if measure.random_search is None:
        return NOTHING
    regret, std = float(measure.random_search.mean[-1]), float(measure.random_search.std[-1])
    return mean_std(measure.optimum + measure.sign * regret, std, measure.decimals)


def _optimum_cells(measures: Sequence[Measure]) -> list[tuple[Cell, list[Cell]]]:
    """The best by the search metric and, where there is test, the best by test; each with both values."""
    if not any(measure.view.has_optimum for measure in measures):
        return []
    has_test = any(measure.is_test for measure in measures if measure.view.has_optimum)

    def cells(by_test: bool) -> list[Cell]:
        found = []
        for measure in measures:
            judge = measure.entry.task.test if by_test else measure.entry.task.report
            value = None if judge is None or not judge.has_optimum else float(measure.view.values[judge.optimum])
            found.append(NOTHING if value is None or math.isnan(value) else plain(value, measure.decimals, "mean"))
        return found

    if not has_test:
        return [(Cell("optimum (best mean)"), cells(by_test=False))]
    return [(Cell("optimum by val"), cells(by_test=False)), (Cell("optimum by test"), cells(by_test=True))]


def _quoted_rows(analysis: Analysis, measures: Sequence[Measure]) -> list[list[Cell]]:
    """Rows from papers: method, n, and the numbers that fall into these columns."""
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    counts: dict[tuple[str, str], Cell] = {}
    for quoted in analysis.quoted:
        for measure in measures:
            if (quoted.task, quoted.metric) == (measure.entry.task.name, measure.view.metric.name):
                key = (quoted.method, quoted.source)
                std = math.nan if quoted.std is None else quoted.std
                found.setdefault(key, {})[measure.key] = mean_std(quoted.mean, std, 2)
                counts[key] = NOTHING if quoted.n is None else count(quoted.n)
    return [
        [Cell(f"{key[0]} (quoted)"), counts[key], *(cells.get(measure.key, NOTHING) for measure in measures)]
        for key, cells in found.items()
    ]


def _value_cell(analysis: Analysis, measure: Measure, result: StrategyResult) -> Cell:
    values = measure.values(result)
    is_tested = not measure.is_test
    is_marked = is_tested and result.is_not_worse
    mean, std = mean_and_std(values)
    if is_tested and measure.view.has_optimum and not result.regret.any():
        return Cell("= optimum", mean_std(mean, std, measure.decimals).numbers, None, is_marked=is_marked)
    if is_tested and analysis.options.cells == "interval" and result.iqm is not None:
        cell = interval_cell(_as_value(measure, result.iqm), measure.decimals)
    else:
        cell = mean_std(mean, std, measure.decimals)
    is_bold = is_tested and _prints_as_best(measure, mean)
    return Cell(cell.text, cell.numbers, cell.latex, is_bold=is_bold, is_marked=is_marked)


def _regret_cell(entry: TaskAnalysis, result: StrategyResult, decimals: int) -> Cell:
    cell = mean_std(*mean_and_std(result.regret), decimals)
    printed = f"{result.regret.mean():.{decimals}f}"
    best = [f"{other.regret.mean():.{decimals}f}" for other in entry.results if other.is_best]
    return Cell(cell.text, cell.numbers, cell.latex, is_bold=printed in best, is_marked=result.is_not_worse)


def _prints_as_best(measure: Measure, mean: float) -> bool:
    """Two cells that print the same number are both bold or neither."""
    best = [float(measure.values(result).mean()) for result in measure.entry.results if result.is_best]
    return f"{mean:.{measure.decimals}f}" in [f"{value:.{measure.decimals}f}" for value in best]


def _as_value(measure: Measure, regret: Interval) -> tuple[float, float, float]:
    ends = [measure.optimum + measure.sign * float(part) for part in (regret.point, regret.low, regret.high)]
    return (ends[0], min(ends[1:]), max(ends[1:]))


def _against_field(entry: TaskAnalysis, label: str) -> Cell:
    """Mean over the other strategies of the chance to have the smaller regret."""
    wins = [
        pair.a12 if pair.first == label else 1 - pair.a12 for pair in entry.pairs if label in (pair.first, pair.second)
    ]
    return plain(float(np.mean(wins)), 2) if wins else NOTHING


def _rank(analysis: Analysis, label: str) -> Cell:
    rank = float(analysis.mean_ranks[analysis.labels.index(label)])
    return NOTHING if math.isnan(rank) else plain(rank, 2)


def _part(position: int, num_parts: int) -> str:
    return f" (part {position + 1} of {num_parts})" if num_parts > 1 else ""


def _numbered(name: str, position: int, num_parts: int) -> str:
    return name if num_parts == 1 else f"{name}_{position + 1}"


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
