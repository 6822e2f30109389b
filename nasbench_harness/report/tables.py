"""Tables of a study: overview, main tables, one table per task, spending."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nasbench_harness.report.analysis import Analysis, TaskAnalysis
from nasbench_harness.report.captions import caption_text, worse_on_test
from nasbench_harness.report.cells import (
    Measure,
    count,
    distance_name,
    mean_std,
    measures_of,
    plain,
    regret_unit,
)
from nasbench_harness.report.comparison import MIN_RUNS
from nasbench_harness.report.strategy_cells import regret_iqm_cell, strategy_cell
from nasbench_harness.report.table import NOTHING, Cell, Column, Row, Table
from nasbench_harness.statistics import Proportion

# Columns that fit on a page, by the width of their cells: values of the main table, strategies of the overview.
MAX_VALUES_ABREAST = {"mean": 4, "interval": 3, "stochastic": 2}
MAX_STRATEGIES_ABREAST = {"mean": 5, "interval": 4, "stochastic": 3}
_RANKED = {"mean": "mean", "stochastic": "mean A12 of the", "interval": "interquartile mean of the"}


def overview_tables(analysis: Analysis) -> list[Table]:
    """Tasks × strategies: final regret; at most five strategies a table."""
    parts = _chunks(list(analysis.labels), MAX_STRATEGIES_ABREAST[analysis.options.estimand])
    return [_overview_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def _overview_table(analysis: Analysis, labels: Sequence[str], position: int, num_parts: int) -> Table:
    columns = [Column("task", "Task", is_number=False)]
    columns += [Column(label, label) for label in labels]
    rows = []
    for entry in analysis.tasks:
        measure = measures_of(entry, analysis.options)[0]
        results = [entry.result(label) for label in labels]
        cells = [NOTHING if result is None else strategy_cell(measure, result, as_distance=True) for result in results]
        rows.append(Row((Cell(f"{entry.task.title}"), *cells), entry.task.table.name))
    if len(analysis.tasks) > 1:
        ranks = [_rank(analysis, label) for label in labels]
        rows.append(Row((Cell("mean rank"), *ranks), "mean rank"))
    units = sorted({regret_unit(entry.task.scores["val"].metric) for entry in analysis.tasks})
    known = any(entry.task.scores["val"].has_optimum for entry in analysis.tasks)
    meaning = ": distance of the final choice to the best mean of the table" if known else ""
    caption = (
        f"Final {distance_name(analysis.tasks)} ({', '.join(units)}){_part(position, num_parts)}{meaning}. "
        f"{caption_text(analysis, has_intervals=has_intervals(analysis), has_references=False)}"
    )
    notes = worse_on_test(analysis, analysis.tasks) if position == num_parts - 1 else ()
    return Table(_numbered("overview", position, num_parts), caption, tuple(columns), tuple(rows), notes)


def main_table(analysis: Analysis) -> Table:
    """``main_tables`` in one piece, with every task."""
    measures = [measure for entry in analysis.tasks for measure in measures_of(entry, analysis.options)]
    return _main_table(analysis, measures, 0, 1)


def main_tables(analysis: Analysis) -> list[Table]:
    """Strategies × tasks: noiseless value of the final choice, beside it its test value where the table has test."""
    parts: list[list[Measure]] = []
    for entry in analysis.tasks:
        measures = measures_of(entry, analysis.options)
        if not parts or len(parts[-1]) + len(measures) > MAX_VALUES_ABREAST[analysis.options.estimand]:
            parts.append([])
        parts[-1] += measures
    return [_main_table(analysis, part, position, len(parts)) for position, part in enumerate(parts)]


def task_table(analysis: Analysis, entry: TaskAnalysis) -> Table:
    """One task in detail: value, test, regret with interval, share at the optimum, A12 against the field."""
    measures = measures_of(entry, analysis.options)
    pp = regret_unit(entry.task.scores["val"].metric)
    columns = [Column("strategy", "strategy", is_number=False), Column("seeds", "N", is_extra=True)]
    for measure in measures:
        metric = measure.view.metric
        columns.append(Column(metric.name, f"{metric.name.replace('_', ' ')} ({metric.unit})"))
    name, has_optimum = entry.task.scores["val"].distance, entry.task.scores["val"].has_optimum
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
        rows.append(
            Row(
                (
                    Cell(result.label),
                    count(len(result.seeds)),
                    *(strategy_cell(measure, result) for measure in measures),
                    *(strategy_cell(measure, result, as_distance=True) for measure in measures),
                    regret_iqm_cell(measures[0], result),
                    *([_share_cell(result.share_optimal, len(result.seeds))] if has_optimum else []),
                    _against_field(entry, result.label),
                ),
                is_highlighted=result.label in analysis.options.highlight,
            )
        )
    rows += [Row((*cells, *blank), "quoted") for cells in _quoted_rows(analysis, measures)]
    rows += [Row((label, NOTHING, *cells, *blank), "optimum") for label, cells in _optimum_cells(measures)]
    caption = f"{entry.task.title} ({entry.task.name}). " + caption_text(analysis, [entry])
    notes = worse_on_test(analysis, [entry])
    if entry.task.space.note:
        notes += (f"{entry.task.name}: {entry.task.space.note}.",)
    return Table(entry.task.name, caption, tuple(columns), tuple(rows), notes)


def spending_table(analysis: Analysis) -> Table:
    """What the runs spent and how often they repeated themselves."""
    spent = [result.spending for entry in analysis.tasks for result in entry.results]
    columns: tuple[Column, ...] = (
        Column("task", "task", is_number=False),
        Column("strategy", "strategy", is_number=False),
        Column("evaluations", "evaluations"),
        Column("simulated_h", "hours"),
        Column("repeats_by_index", "repeats by index"),
        Column("repeats_by_class", "repeats by class"),
        Column("overrun", "overrun", is_extra=not any(part.overrun for part in spent)),
        Column("rejected", "rejected", is_extra=not any(part.rejected for part in spent)),
    )
    if any(part.lookups for part in spent):
        columns += (Column("lookups", "free values read"),)
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
    if any(part.lookups for part in spent):
        caption += " Free values: sizes, latencies or proxies that the strategy looked up beside its evaluations."
    if not all(entry.task.scores["val"].has_optimum for entry in analysis.tasks):
        caption += " Of trained tasks they are declared: operations over a constant of the recipe."
    return Table("spending", caption, columns, tuple(rows))


def _main_table(analysis: Analysis, part: Sequence[Measure], position: int, num_parts: int) -> Table:
    is_full = (
        len(part) >= MAX_VALUES_ABREAST[analysis.options.estimand]
    )  # of values: no place for N, which stands in the caption
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
            NOTHING if result is None else strategy_cell(measure, result)
            for measure, result in zip(part, results, strict=True)
        ]
        seeds = _seeds_cell([len(result.seeds) for result in results if result is not None])
        is_highlighted = label in analysis.options.highlight
        rows.append(Row((Cell(label), seeds, *cells, _rank(analysis, label)), is_highlighted=is_highlighted))
    rows += [Row((*cells, NOTHING), "quoted") for cells in _quoted_rows(analysis, part)]
    rows += [Row((name, NOTHING, *cells, NOTHING), "optimum") for name, cells in _optimum_cells(part)]
    entries = list({measure.entry.task.name: measure.entry for measure in part}.values())
    caption = f"Value of the final choice{_part(position, num_parts)}. "
    caption += caption_text(analysis, entries, has_intervals=has_intervals(analysis))
    if len(analysis.tasks) > 1:
        ranked = f"{_RANKED[analysis.options.estimand]} {distance_name(analysis.tasks)}"
        caption += f" Mean rank: of the {ranked}, over {len(analysis.tasks)} tasks."
    notes = worse_on_test(analysis, entries)
    return Table(_numbered("main", position, num_parts), caption, tuple(columns), tuple(rows), notes)


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


def has_intervals(analysis: Analysis) -> bool:
    """Whether cells of strategies show intervals."""
    return analysis.options.estimand == "interval"


def _seeds_cell(sizes: Sequence[int]) -> Cell:
    """Number of runs of a strategy; smallest and largest if tasks differ."""
    if len(set(sizes)) < 2:
        return count(sizes[0]) if sizes else NOTHING
    return Cell(f"{min(sizes):,}–{max(sizes):,}", {"low": min(sizes), "high": max(sizes)})


def _share_cell(share: Proportion, num_runs: int) -> Cell:
    numbers = {"share": share.value}
    if num_runs >= MIN_RUNS:
        numbers |= {"low": share.low, "high": share.high}
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
            judge = measure.entry.task.scores.get("test" if by_test else "val")
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


def _against_field(entry: TaskAnalysis, label: str) -> Cell:
    """Mean over the other strategies of the chance to have the smaller regret."""
    mean_a12 = entry.comparison.mean_a12(label)
    return NOTHING if math.isnan(mean_a12) else plain(mean_a12, 2)


def _rank(analysis: Analysis, label: str) -> Cell:
    rank = float(analysis.mean_ranks[analysis.labels.index(label)])
    return NOTHING if math.isnan(rank) else plain(rank, 2)


def _part(position: int, num_parts: int) -> str:
    return f" (part {position + 1} of {num_parts})" if num_parts > 1 else ""


def _numbered(name: str, position: int, num_parts: int) -> str:
    return name if num_parts == 1 else f"{name}_{position + 1}"


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
