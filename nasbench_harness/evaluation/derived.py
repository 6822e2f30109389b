"""Derived objectives: one number of several metrics, so that strategies with one objective respect hardware."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.problem import Objective
from nasbench_harness.tables.table import Direction, Metric

Formula = Callable[[Sequence[Floats]], Floats]


class Derived(NamedTuple):
    """A derived objective, ready to be computed.

    Attributes:
        metric: Its name, unit and direction.
        formula: Its values, from the natural values of its metrics.
    """

    metric: Metric
    formula: Formula


def derived_objective(name: str, metrics: Sequence[Metric], parameters: Mapping[str, Any]) -> Derived:
    """Make a derived objective.

    ``mnasnet(quality, cost, target=T, weight=-0.07)``: quality · (cost / T)^weight, to be maximized. Tan et al.,
    "MnasNet: Platform-aware neural architecture search for mobile", CVPR 2019.

    ``penalized(quality, cost, target=T, weight=w)``: quality + w · |cost / T − 1| with w < 0, to be maximized: the
    absolute reward of Bender et al., "Can weight sharing outperform random architecture search?", CVPR 2020.

    ``weighted(a, b, …, weights=[…])``: the weighted sum of losses, to be minimized. Hsu et al., "MONAS:
    Multi-objective neural architecture search using reinforcement learning", 2018.

    Args:
        name: Name of the function.
        metrics: What it is given.
        parameters: Its numbers.

    Raises:
        UnknownNameError: There is no such function or parameter.
        InvalidInputError: Metrics or parameters do not fit.
    """
    makers: dict[str, tuple[Callable[..., Derived], tuple[str, ...]]] = {
        "mnasnet": (_mnasnet, ("target", "weight")),
        "penalized": (_penalized, ("target", "weight")),
        "weighted": (_weighted, ("weights",)),
    }
    if name not in makers:
        raise UnknownNameError("function of metrics", name, makers, "the objectives")
    make, known = makers[name]
    for key in parameters:
        if key not in known:
            raise UnknownNameError("parameter", key, known, f"objective {name}")
    return make(metrics, **parameters)


def _mnasnet(metrics: Sequence[Metric], target: Any = None, weight: Any = -0.07) -> Derived:
    quality, _ = _quality_and_cost("mnasnet", metrics, target, weight)

    def formula(values: Sequence[Floats]) -> Floats:
        found: Floats = values[0] * np.power(values[1] / target, weight)
        return found

    return Derived(_metric("mnasnet", quality.unit, "maximize"), formula)


def _penalized(metrics: Sequence[Metric], target: Any = None, weight: Any = None) -> Derived:
    quality, _ = _quality_and_cost("penalized", metrics, target, weight)

    def formula(values: Sequence[Floats]) -> Floats:
        found: Floats = values[0] + weight * np.abs(values[1] / target - 1.0)
        return found

    return Derived(_metric("penalized", quality.unit, "maximize"), formula)


def _weighted(metrics: Sequence[Metric], weights: Any = None) -> Derived:
    if not isinstance(weights, list) or len(weights) != len(metrics) or not all(map(_is_number, weights)):
        raise InvalidInputError(
            f"objective weighted: weights must be a list of {len(metrics)} numbers, one for each metric"
        )
    objectives = [Objective(metric) for metric in metrics]

    def formula(values: Sequence[Floats]) -> Floats:
        found = np.zeros_like(values[0], dtype=np.float64)
        for objective, own, weight in zip(objectives, values, weights, strict=True):
            found = found + weight * objective.loss(own)
        return found

    return Derived(_metric("weighted", "points", "minimize"), formula)


def _quality_and_cost(name: str, metrics: Sequence[Metric], target: Any, weight: Any) -> tuple[Metric, Metric]:
    directions = [metric.direction for metric in metrics]
    if directions != ["maximize", "minimize"]:
        raise InvalidInputError(
            f"objective {name}: it takes a metric to be maximized, then one to be minimized, "
            f"not {', '.join(metric.name for metric in metrics)}"
        )
    if not _is_number(target) or target <= 0:
        raise InvalidInputError(f"objective {name}: target must be a number above 0, in {metrics[1].unit}")
    if not _is_number(weight) or weight >= 0:
        raise InvalidInputError(f"objective {name}: weight must be a number below 0")
    return metrics[0], metrics[1]


def _metric(name: str, unit: str, direction: Direction) -> Metric:
    # Points of an accuracy are no percentages any more: they may be above 100.
    return Metric(name, "points" if unit == "%" else unit, direction, "search")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
