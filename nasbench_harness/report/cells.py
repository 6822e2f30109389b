"""How numbers become cells: digits, units, marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.evaluation.task import ReportView
from nasbench_harness.report.analysis import StrategyResult, TaskAnalysis
from nasbench_harness.report.table import NOTHING, Cell
from nasbench_harness.statistics import ExactCurve, Interval
from nasbench_harness.tables.table import Metric


@dataclass(frozen=True)
class Measure:
    """One column of values: the search metric of a task, or its test metric."""

    entry: TaskAnalysis
    view: ReportView
    is_test: bool

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

    @property
    def decimals(self) -> int:
        """Two significant digits of the smallest standard deviation, but no finer than the table's grid."""
        runs = [self.values(result) for result in self.entry.results]
        spread = [float(values.std(ddof=1)) for values in runs if len(values) > 1 and np.ptp(values) > 0]
        finest = max(0, math.ceil(-math.log10(self.view.metric.resolution or 1e-3)))
        wanted = 1 - math.floor(math.log10(min(spread))) if spread else 2
        return min(max(wanted, 0), finest, 3)


def measures_of(entry: TaskAnalysis) -> list[Measure]:
    """The search metric of a task and, where its table has one, the test metric."""
    found = [Measure(entry, entry.task.report, is_test=False)]
    if entry.task.test is not None:
        found.append(Measure(entry, entry.task.test, is_test=True))
    return found


def distance_name(entries: Sequence[TaskAnalysis]) -> str:
    """What is compared on these tasks: regret, or the loss where no optimum is known, or both."""
    return " or ".join(sorted({entry.task.report.distance for entry in entries}, reverse=True))


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
    numbers = {"mean": mean, "std": std}
    uncertainty = round(std * 10**decimals)
    return Cell(f"{mean:.{decimals}f} ± {std:.{decimals}f}", numbers, f"{mean:.{decimals}f}({uncertainty})")


def plain(value: float, decimals: int, key: str = "", plus: bool = False) -> Cell:
    """One number."""
    text = f"{value:{'+' if plus else ''}z.{decimals}f}"
    return Cell(text.replace("-", "−"), {key: value}, text)


def p_cell(p: float, is_marked: bool = False) -> Cell:
    """A p-value, bold where it is marked."""
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
