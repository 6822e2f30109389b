"""How numbers become cells: digits, units, marks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nasbench_harness.analysis.comparison import Comparison
from nasbench_harness.analysis.results import ScoreAnalysis, ScoredRuns, StrategyResult, TaskAnalysis
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.report.model import NOTHING, ReportCell
from nasbench_harness.statistics import Interval
from nasbench_harness.store.record import ReportOptions

_MAX_DIGITS = 4


@dataclass(frozen=True)
class Measure:
    """One column of values: a score of a task, with its decimals."""

    entry: TaskAnalysis
    score: ScoreAnalysis
    decimals: int

    @property
    def view(self) -> ScoreView:
        """Values of the metric."""
        return self.score.view

    @property
    def comparison(self) -> Comparison:
        """The strategies compared in this column."""
        return self.score.comparison

    @property
    def optimum(self) -> float:
        """Best noiseless value; a perfect one if the optimum is unknown."""
        return self.view.best_value

    @property
    def sign(self) -> int:
        """+1 if a larger regret means a larger value."""
        return -1 if self.view.metric.direction == "maximize" else 1

    @property
    def key(self) -> str:
        """Column key."""
        return f"{self.entry.task.name}_{self.view.metric.name}"

    @property
    def prefix(self) -> str:
        """Prefix of names of columns: empty for the search metric."""
        return "" if self.score.name == "val" else f"{self.score.name} "

    def runs(self, result: StrategyResult) -> ScoredRuns:
        """Final choices of a strategy's runs by this score."""
        return result.scores[self.score.name]


def measures_of(entry: TaskAnalysis, options: ReportOptions) -> list[Measure]:
    """A column for each score of a task."""
    return [Measure(entry, score, decimals_of(score.view, options)) for score in entry.scores]


def decimals_of(view: ScoreView, options: ReportOptions) -> int:
    """Decimals of a column, whatever the strategies score.

    Two (or ``[report] decimals``) for percents and percentage points; the table's resolution for other units, with at
    most four significant digits.
    """
    if view.metric.unit in ("%", "pp"):
        return options.decimals
    finest = max(0, math.ceil(-math.log10(view.metric.resolution or 1e-3)))
    magnitude = math.floor(math.log10(abs(view.best_value))) + 1 if view.best_value else 1
    return min(finest, max(0, _MAX_DIGITS - magnitude))


def count(number: int) -> ReportCell:
    """A number of things."""
    return ReportCell(f"{number}", {"": number}, f"{number}")


def mean_and_std(values: Any) -> tuple[float, float]:
    """Mean and standard deviation with ddof 1, NaN for a single value."""
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def mean_std(mean: float, std: float, decimals: int) -> ReportCell:
    """Mean ± standard deviation; the mean alone if the deviation is NaN."""
    shown = plain(mean, decimals, "mean")
    if math.isnan(std):
        return shown
    uncertainty = round(std * 10**decimals)
    # siunitx leaves out an uncertainty of zero, so that one is set as text.
    latex = f"{shown.latex}({uncertainty})" if uncertainty else None
    return ReportCell(f"{shown.text} ± {std:.{decimals}f}", {"mean": mean, "std": std}, latex)


def plain(value: float, decimals: int, key: str = "", plus: bool = False) -> ReportCell:
    """One number."""
    text = f"{value:{'+' if plus else ''}z.{decimals}f}"
    return ReportCell(text.replace("-", "−"), {key: value}, text)


def p_cell(p: float, is_marked: bool = False) -> ReportCell:
    """A p-value, bold if it is marked; nothing if it is NaN."""
    if math.isnan(p):
        return NOTHING
    text = "< .0001" if p < 1e-4 else f"{p:.4f}"
    return ReportCell(text, {"": p}, None, is_bold=is_marked)


def interval_text(point: float, low: float, high: float, decimals: int, plus: bool = False) -> str:
    """Point [low, high]; if both ends print like the point, a bound on their distance from it.

    An interval without width prints the point and the share of resamples that its ends stand for.

    Args:
        point: Estimate.
        low: Lower end of a 95 % interval.
        high: Upper end.
        decimals: Decimals.
        plus: Whether positive numbers have a sign.

    Example:
        >>> interval_text(0.29, 0.25, 0.34, 2), interval_text(0.001, 0.0, 0.003, 2)
        ('0.29 [0.25, 0.34]', '0.00 (± < 0.005)')
    """
    sign = "+" if plus else ""
    shown, *ends = (f"{value:{sign}z.{decimals}f}".replace("-", "−") for value in (point, low, high))  # z: never −0.00
    if low == high:
        return f"{shown} (≥ 95 % of resamples)"
    if ends == [shown, shown]:
        return f"{shown} (± < {0.5 * 10**-decimals:.{decimals + 1}f})"
    return f"{shown} [{', '.join(ends)}]"


def interval_cell(interval: Interval | tuple[float, float, float] | None, decimals: int) -> ReportCell:
    """``interval_text`` with its numbers; nothing if there is no interval."""
    if interval is None:
        return NOTHING
    if isinstance(interval, Interval):
        interval = (float(interval.point), float(interval.low), float(interval.high))
    point, low, high = interval
    return ReportCell(interval_text(*interval, decimals), {"point": point, "low": low, "high": high})
