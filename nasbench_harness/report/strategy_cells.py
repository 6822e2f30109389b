"""The cell of a strategy in a column: its text, bold and mark follow one estimand."""

from __future__ import annotations

import math

import numpy as np

from nasbench_harness.analysis.results import StrategyResult
from nasbench_harness.arrays import Floats
from nasbench_harness.report.cells import Measure, interval_cell, mean_and_std, mean_std, plain
from nasbench_harness.report.model import NOTHING, ReportCell
from nasbench_harness.statistics import Interval, iqm, proportion

AT_OPTIMUM = "= opt"


def strategy_cell(measure: Measure, result: StrategyResult, as_distance: bool = False) -> ReportCell:
    """The final choices of a strategy's runs in one cell.

    Args:
        measure: The column.
        result: The strategy's runs.
        as_distance: Whether the column shows regrets (or losses) instead of values.
    """
    comparison = measure.comparison
    if comparison.estimand == "stochastic":
        cell = _quartiles(measure, result, as_distance)
    elif comparison.estimand == "interval":
        cell = iqm_cell(measure, result, as_distance)
    else:
        cell = mean_std(*mean_and_std(_shown(measure, result, as_distance)), measure.decimals)
    if _is_solved(measure, result):
        return ReportCell(AT_OPTIMUM, cell.numbers)
    is_bold = _is_bold(measure, result, as_distance)
    return ReportCell(cell.text, cell.numbers, cell.latex, is_bold, result.label in comparison.marked)


def iqm_cell(measure: Measure, result: StrategyResult, as_distance: bool) -> ReportCell:
    """Interquartile mean with its interval, or with a bound if that has no width; alone below 10 seeds."""
    found = measure.runs(result).iqm
    if found is None:
        return plain(_iqm(measure, result, as_distance), measure.decimals, "point")
    low, point, high = sorted(_placed(measure, float(end), as_distance) for end in (found.low, found.point, found.high))
    if not found.is_degenerate:
        return interval_cell((point, low, high), measure.decimals)
    # An interval without width claims certainty: bound the share of runs that end elsewhere.
    losses = measure.runs(result).regret
    num_others = len(losses) - int(np.unique(losses, return_counts=True)[1].max())
    bound = proportion(num_others, len(losses)).high
    text = f"{plain(point, measure.decimals).text} (≤ {100 * bound:.1f} % other)"
    return ReportCell(text, {"point": point, "other_high": bound})


def regret_iqm_cell(measure: Measure, result: StrategyResult) -> ReportCell:
    """``iqm_cell`` of the regret; nothing below 10 seeds."""
    found: Interval | None = measure.runs(result).iqm
    return NOTHING if found is None else iqm_cell(measure, result, as_distance=True)


def is_solved(measure: Measure) -> bool:
    """Whether the best of a column is at the optimum in every run, so that nothing in it is bold."""
    return any(_is_solved(measure, result) for result in measure.entry.results)


def bold_labels(measure: Measure, as_distance: bool = False) -> list[str]:
    """The best of a column, and the strategies whose cells print the same deciding number."""
    best = measure.comparison.best
    return [
        result.label
        for result in measure.entry.results
        if result.label in best or _is_bold(measure, result, as_distance)
    ]


def _is_solved(measure: Measure, result: StrategyResult) -> bool:
    return measure.view.has_optimum and not measure.runs(result).regret.any()


def _is_bold(measure: Measure, result: StrategyResult, as_distance: bool) -> bool:
    """Two cells that print the same deciding number are both bold or neither."""
    if is_solved(measure):
        return False
    best = [other for other in measure.entry.results if other.label in measure.comparison.best]
    printed = _deciding(measure, result, as_distance)
    return printed in [_deciding(measure, other, as_distance) for other in best]


def _deciding(measure: Measure, result: StrategyResult, as_distance: bool) -> str:
    """The printed number that decides the bold row."""
    if measure.comparison.estimand == "stochastic":
        return f"{measure.comparison.mean_a12(result.label):.2f}"
    if measure.comparison.estimand == "interval":
        return f"{_iqm(measure, result, as_distance):z.{measure.decimals}f}"
    return f"{_shown(measure, result, as_distance).mean():z.{measure.decimals}f}"


def _quartiles(measure: Measure, result: StrategyResult, as_distance: bool) -> ReportCell:
    """Median [quartiles], and the mean A12 against the other strategies in parentheses."""
    low, median, high = np.quantile(_shown(measure, result, as_distance), [0.25, 0.5, 0.75]).tolist()
    shown = [plain(value, measure.decimals).text for value in (median, low, high)]
    text = f"{shown[0]} [{shown[1]}, {shown[2]}]"
    numbers = {"median": median, "q25": low, "q75": high}
    mean_a12 = measure.comparison.mean_a12(result.label)
    if math.isnan(mean_a12):
        return ReportCell(text, numbers)
    return ReportCell(f"{text} ({mean_a12:.2f})", {**numbers, "a12": mean_a12})


def _shown(measure: Measure, result: StrategyResult, as_distance: bool) -> Floats:
    return measure.runs(result).regret if as_distance else measure.runs(result).value


def _iqm(measure: Measure, result: StrategyResult, as_distance: bool) -> float:
    return _placed(measure, float(iqm(measure.runs(result).regret)), as_distance)


def _placed(measure: Measure, loss: float, as_distance: bool) -> float:
    return loss if as_distance else measure.optimum + measure.sign * loss
