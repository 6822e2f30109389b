"""How numbers become cells: digits, units, marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nasbench_harness.arrays import Floats
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.report.analysis import StrategyResult, TaskAnalysis
from nasbench_harness.report.comparison import Comparison
from nasbench_harness.report.table import NOTHING, Cell
from nasbench_harness.statistics import ExactCurve, Interval
from nasbench_harness.store.record import ReportOptions
from nasbench_harness.tables.table import Metric

_MAX_DIGITS = 4


@dataclass(frozen=True)
class Measure:
    """One column of values: the search metric of a task, or its test metric."""

    entry: TaskAnalysis
    view: ScoreView
    is_test: bool
    decimals: int

    @property
    def optimum(self) -> float:
        """Best noiseless value; a perfect one where the optimum is unknown."""
        return self.view.best_value

    @property
    def sampling(self) -> tuple[float, float] | None:
        """Mean and standard deviation over the table; None where most of it is unknown."""
        return self.entry.test_sampling if self.is_test else self.entry.sampling

    @property
    def random_search(self) -> ExactCurve | None:
        """Regret of random search in closed form."""
        return self.entry.random_search_test if self.is_test else self.entry.random_search

    @property
    def sign(self) -> int:
        """+1 where larger regret means a larger value."""
        return -1 if self.view.metric.direction == "maximize" else 1

    @property
    def key(self) -> str:
        """Column key."""
        return f"{self.entry.task.name}_{self.view.metric.name}"

    def values(self, result: StrategyResult) -> Floats:
        """Value of every run's final choice."""
        return result.test_value if self.is_test and result.test_value is not None else result.value

    def losses(self, result: StrategyResult) -> Floats:
        """Distance of every run's final choice to the best value, or its loss."""
        return result.test_regret if self.is_test and result.test_regret is not None else result.regret

    @property
    def comparison(self) -> Comparison:
        """The strategies compared in this column."""
        by_test = self.entry.test_comparison
        return by_test if self.is_test and by_test is not None else self.entry.comparison


def measures_of(entry: TaskAnalysis, options: ReportOptions) -> list[Measure]:
    """The search metric of a task and, where its table has one, the test metric."""
    scores = entry.task.scores.items()
    return [Measure(entry, view, name == "test", decimals_of(view, options)) for name, view in scores]


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


def distance_name(entries: Sequence[TaskAnalysis]) -> str:
    """What is compared on these tasks: regret, or the loss where no optimum is known, or both."""
    return " or ".join(sorted({entry.task.scores["val"].distance for entry in entries}, reverse=True))


def finals_name(entries: Sequence[TaskAnalysis]) -> str:
    """``distance_name`` of final choices."""
    return {"regret": "final regrets", "loss": "final losses"}.get(distance_name(entries), "final regrets or losses")


def count(number: int) -> Cell:
    """A number of things."""
    return Cell(f"{number}", {"": number}, f"{number}")


def mean_and_std(values: Any) -> tuple[float, float]:
    """Mean and standard deviation with ddof 1, NaN for a single value."""
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def mean_std(mean: float, std: float, decimals: int) -> Cell:
    """Mean ± standard deviation; the mean alone where the deviation is NaN."""
    if math.isnan(std):
        return Cell(f"{mean:.{decimals}f}", {"mean": mean}, f"{mean:.{decimals}f}")
    uncertainty = round(std * 10**decimals)
    # siunitx leaves out an uncertainty of zero, so that one is set as text.
    latex = f"{mean:.{decimals}f}({uncertainty})" if uncertainty else None
    return Cell(f"{mean:.{decimals}f} ± {std:.{decimals}f}", {"mean": mean, "std": std}, latex)


def plain(value: float, decimals: int, key: str = "", plus: bool = False) -> Cell:
    """One number."""
    text = f"{value:{'+' if plus else ''}z.{decimals}f}"
    return Cell(text.replace("-", "−"), {key: value}, text)


def p_cell(p: float, is_marked: bool = False) -> Cell:
    """A p-value, bold where it is marked; nothing where it is NaN."""
    if math.isnan(p):
        return NOTHING
    text = "< .0001" if p < 1e-4 else f"{p:.4f}"
    return Cell(text, {"": p}, None, is_bold=is_marked)


def interval_cell(interval: Interval | tuple[float, float, float] | None, decimals: int) -> Cell:
    """Point [low, high]."""
    if interval is None:
        return NOTHING
    if isinstance(interval, Interval):
        interval = (float(interval.point), float(interval.low), float(interval.high))
    point, low, high = interval
    text = f"{point:z.{decimals}f} [{low:z.{decimals}f}, {high:z.{decimals}f}]"  # z: never −0.00
    return Cell(text, {"point": point, "low": low, "high": high})


def regret_unit(metric: Metric) -> str:
    """Percentage points for percents, else the metric's unit."""
    return "pp" if metric.unit == "%" else metric.unit
