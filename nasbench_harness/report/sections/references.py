"""Rows without runs: random sampling, exact random search, quoted numbers, optima."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nasbench_harness.analysis.results import Analysis
from nasbench_harness.report.cells import Measure, mean_std, plain
from nasbench_harness.report.model import NOTHING, ReportCell
from nasbench_harness.report.sections.ranks import seeds_cell


def reference_cells(measures: Sequence[Measure], analysis: Analysis) -> list[tuple[ReportCell, list[ReportCell]]]:
    """Name and values of one uniformly drawn architecture, and of random search in closed form."""
    if not any(measure.view.has_optimum for measure in measures):
        return []
    rows = [(ReportCell("random sampling"), [_sampling_cell(measure) for measure in measures])]
    # Seconds bind runs at different numbers of evaluations: there is no closed form then.
    if analysis.protocol.simulated_seconds is None and analysis.protocol.epochs is None:
        rows.append((ReportCell("random search, exact"), [_exact_cell(measure) for measure in measures]))
    return [row for row in rows if any(cell is not NOTHING for cell in row[1])]


def reference_regrets(measures: Sequence[Measure], name: str) -> list[ReportCell]:
    """Regrets of the row ``random sampling``, or of the row of exact random search."""
    cells = []
    for measure in measures:
        if name == "random sampling":
            if measure.score.sampling is None:
                cells.append(NOTHING)
                continue
            mean, std = measure.score.sampling
            cells.append(mean_std(abs(measure.optimum - mean), std, measure.decimals))
        elif measure.score.random_search is None:
            cells.append(NOTHING)
        else:
            curve = measure.score.random_search
            cells.append(mean_std(float(curve.mean[-1]), float(curve.std[-1]), measure.decimals))
    return cells


def _sampling_cell(measure: Measure) -> ReportCell:
    return NOTHING if measure.score.sampling is None else mean_std(*measure.score.sampling, measure.decimals)


def _exact_cell(measure: Measure) -> ReportCell:
    if measure.score.random_search is None:
        return NOTHING
    regret, std = float(measure.score.random_search.mean[-1]), float(measure.score.random_search.std[-1])
    return mean_std(measure.optimum + measure.sign * regret, std, measure.decimals)


def optimum_cells(measures: Sequence[Measure]) -> list[tuple[ReportCell, list[ReportCell]]]:
    """The best by the search metric and, if there is test, the best by test; each with both values."""
    if not any(measure.view.has_optimum for measure in measures):
        return []
    has_test = any(measure.score.name == "test" for measure in measures if measure.view.has_optimum)

    def cells(name: str) -> list[ReportCell]:
        found = []
        for measure in measures:
            judge = measure.entry.task.scores.get(name)
            value = None if judge is None or not judge.has_optimum else float(measure.view.values[judge.optimum])
            found.append(NOTHING if value is None or math.isnan(value) else plain(value, measure.decimals, "mean"))
        return found

    if not has_test:
        is_of_sets = any(measure.view.is_of_sets for measure in measures)
        return [(ReportCell("true front" if is_of_sets else "optimum (best mean)"), cells("val"))]
    return [(ReportCell("optimum by val"), cells("val")), (ReportCell("optimum by test"), cells("test"))]


def quoted_rows(analysis: Analysis, measures: Sequence[Measure]) -> list[list[ReportCell]]:
    """Rows from papers: method, n, and the numbers that fall into these columns."""
    found: dict[tuple[str, str], dict[str, ReportCell]] = {}
    counts: dict[tuple[str, str], dict[str, int | None]] = {}
    for quoted in analysis.quoted:
        for measure in measures:
            if (quoted.task, quoted.metric) == (measure.entry.task.name, measure.view.metric.name):
                key = (quoted.method, quoted.source)
                std = math.nan if quoted.std is None else quoted.std
                found.setdefault(key, {})[measure.key] = mean_std(quoted.mean, std, measure.decimals)
                counts.setdefault(key, {})[measure.key] = quoted.n
    return [
        [
            ReportCell(f"{key[0]} (quoted)"),
            seeds_cell([n for n in counts[key].values() if n]),
            *(cells.get(measure.key, NOTHING) for measure in measures),
        ]
        for key, cells in found.items()
    ]
