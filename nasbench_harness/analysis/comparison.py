"""Comparing the strategies of one column of values: the best, the pairs, and who is not significantly worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.statistics import (
    a12,
    adjust,
    compare_means,
    compare_ranks,
    iqm,
    mean_difference,
    not_significantly_worse,
    runs_for_a12,
    runs_for_margin,
)
from nasbench_harness.store.record import MIN_SEEDS

ALPHA = 0.05
PRACTICAL_A12 = 0.56  # the difference that matters under the estimand "stochastic"


@dataclass(frozen=True)
class Pair:
    """Two strategies on one column of a task.

    Attributes:
        first: The one strategy.
        second: The other one.
        difference: Mean loss of the first minus that of the second, in the metric's unit; of interquartile means under
            the estimand ``interval``.
        a12: Chance that the first has the smaller loss, ties counting one half.
        p: Two-sided p-value; NaN if one of them has fewer than 10 runs, and under the estimand ``interval``.
        p_column: The same after Holm's correction over the pairs of the column.
        p_study: The same after Holm's correction over the comparisons of all tasks; NaN if the study declares a
            control and the pair is without it.
        needed_seeds: Seeds that would find a difference that matters; None if it cannot be computed.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    a12: float
    p: float
    p_column: float
    p_study: float
    needed_seeds: int | None

    @property
    def is_tested(self) -> bool:
        """Whether the pair has a p-value."""
        return not math.isnan(self.p)

    @property
    def is_in_study(self) -> bool:
        """Whether the pair belongs to the family of the study."""
        return not math.isnan(self.p_study)

    @property
    def p_deciding(self) -> float:
        """``p_study``, or ``p_column`` if the pair is in no family of the study."""
        return self.p_study if self.is_in_study else self.p_column

    @property
    def num_seeds(self) -> int | None:
        """``needed_seeds`` if the pair was tested and is undecided by ``p_deciding``; None otherwise."""
        return self.needed_seeds if self.p_deciding > ALPHA else None

    def other(self, label: str) -> str:
        """The strategy that this one is compared with."""
        return self.second if label == self.first else self.first

    def favors(self, label: str, estimand: str) -> bool:
        """Whether this one of the two is the better one by the effect that the test is about."""
        first_is_better = self.a12 > 0.5 if estimand == "stochastic" else self.difference < 0
        second_is_better = self.a12 < 0.5 if estimand == "stochastic" else self.difference > 0
        return first_is_better if label == self.first else second_is_better


@dataclass(frozen=True)
class Comparison:
    """The strategies of one column: the search metric of a task, or its test metric.

    Attributes:
        estimand: ``mean``, ``stochastic`` or ``interval``; decides cells, bold and marks.
        scores: Numbers that decide the best, smaller is better: mean loss, minus mean A12 against the others, or
            interquartile mean of the loss.
        best: Labels with the smallest score; empty for a single strategy.
        marked: Labels that are not significantly worse than the best; empty if nothing is tested.
        constant: Labels with marks or tests whose runs all end equal, with their number of runs.
        pairs: Every pair of strategies.
    """

    estimand: str
    scores: Mapping[str, float]
    best: tuple[str, ...]
    marked: tuple[str, ...]
    constant: Mapping[str, int]
    pairs: tuple[Pair, ...]

    @property
    def has_marks(self) -> bool:
        """Whether anything could lose its mark."""
        return bool(self.marked)

    @property
    def num_tests(self) -> int:
        """Pairs in the column's family."""
        return sum(pair.is_tested for pair in self.pairs)

    def pairs_with(self, label: str) -> list[Pair]:
        """The pairs that this strategy belongs to."""
        return [pair for pair in self.pairs if label in (pair.first, pair.second)]

    def mean_a12(self, label: str) -> float:
        """Chance of the smaller loss, averaged over the other strategies; NaN for a single strategy."""
        wins = [pair.a12 if pair.first == label else 1 - pair.a12 for pair in self.pairs_with(label)]
        # Rounded, so that the order of the additions never separates equal strategies.
        return round(float(np.mean(wins)), 12) if wins else math.nan

    def better_than(self, label: str) -> list[Pair]:
        """Pairs in which the other strategy is significantly better within the family of the study."""
        return [
            pair
            for pair in self.pairs_with(label)
            if pair.p_study <= ALPHA and pair.favors(pair.other(label), self.estimand)
        ]


def compare_column(
    grid_values: Mapping[str, Ints], resolution: float, estimand: str = "mean", margin: float | None = None
) -> Comparison:
    """Compare strategies by the final losses of their runs, which are independent samples.

    Args:
        grid_values: Final losses of each strategy as integers on the table's grid, shape (num_runs,).
        resolution: Size of a grid step in the metric's unit.
        estimand: ``mean``: means and Welch's test; ``stochastic``: A12 and Brunner and Munzel's test; ``interval``:
            interquartile means, without marks.
        margin: Difference of means that matters, in the metric's unit; None: nobody knows.
    """
    pairs = _pairs(grid_values, resolution, estimand, margin)
    single = Comparison(estimand, {}, (), (), {}, pairs)
    scores = {label: _score(single, label, values) for label, values in grid_values.items()}
    if len(grid_values) < 2:
        return replace(single, scores=scores)
    best = tuple(label for label in grid_values if scores[label] == min(scores.values()))
    tested = [label for label, values in grid_values.items() if len(values) >= MIN_SEEDS]
    if len(tested) < 2:
        return replace(single, scores=scores, best=best)
    constant = {label: len(grid_values[label]) for label in tested if np.ptp(grid_values[label]) == 0}
    marked: tuple[str, ...] = ()
    if estimand != "interval" and set(best) <= set(tested):
        marked = _marked(tested, scores, pairs, estimand)
    return Comparison(estimand, scores, best, marked, constant, pairs)


def over_the_study(comparisons: Sequence[Comparison], control: str | None) -> list[Comparison]:
    """The same comparisons with ``p_study``: Holm over all pairs × tasks, or over those with the control.

    Args:
        comparisons: One of each task, all of the search metric or all of the test metric.
        control: Label that the study declares as its control.
    """
    members = [
        (task, position)
        for task, comparison in enumerate(comparisons)
        for position, pair in enumerate(comparison.pairs)
        if pair.is_tested and control in (None, pair.first, pair.second)
    ]
    raw = [comparisons[task].pairs[position].p for task, position in members]
    adjusted = adjust(raw).tolist() if raw else []
    of_pair = dict(zip(members, adjusted, strict=True))
    return [
        replace(
            comparison,
            pairs=tuple(
                replace(pair, p_study=of_pair.get((task, position), math.nan))
                for position, pair in enumerate(comparison.pairs)
            ),
        )
        for task, comparison in enumerate(comparisons)
    ]


def _pairs(grid_values: Mapping[str, Ints], resolution: float, estimand: str, margin: float | None) -> tuple[Pair, ...]:
    test = compare_ranks if estimand == "stochastic" else compare_means
    couples = list(combinations(grid_values, 2))
    is_tested = [
        estimand != "interval" and min(len(grid_values[first]), len(grid_values[second])) >= MIN_SEEDS
        for first, second in couples
    ]
    centers = {
        label: float(iqm(runs) if estimand == "interval" else runs.mean()) for label, runs in grid_values.items()
    }
    p = np.full(len(couples), np.nan)
    p[is_tested] = [
        test(grid_values[couple[0]], grid_values[couple[1]])
        for couple, yes in zip(couples, is_tested, strict=True)
        if yes
    ]
    p_column = p.copy()
    if any(is_tested):
        p_column[is_tested] = adjust(p[is_tested])
    ends = [
        mean_difference(grid_values[first], grid_values[second]) if yes else (math.nan, math.nan)
        for (first, second), yes in zip(couples, is_tested, strict=True)
    ]
    return tuple(
        Pair(
            first,
            second,
            difference=(centers[first] - centers[second]) * resolution,
            low=low * resolution,
            high=high * resolution,
            a12=a12(grid_values[second], grid_values[first]),
            p=raw,
            p_column=holm,
            p_study=holm,
            needed_seeds=None
            if math.isnan(raw)
            else _num_seeds(grid_values[first], grid_values[second], estimand, margin, resolution),
        )
        for (first, second), raw, holm, (low, high) in zip(couples, p.tolist(), p_column.tolist(), ends, strict=True)
    )


def _num_seeds(first: Ints, second: Ints, estimand: str, margin: float | None, resolution: float) -> int | None:
    if estimand == "stochastic":
        return runs_for_a12(PRACTICAL_A12)
    return None if margin is None else runs_for_margin(first, second, margin / resolution)


def _score(comparison: Comparison, label: str, grid_values: Ints) -> float:
    if comparison.estimand == "stochastic":
        mean = comparison.mean_a12(label)
        return 0.0 if math.isnan(mean) else -mean
    return float(iqm(grid_values)) if comparison.estimand == "interval" else float(grid_values.mean())


def _marked(
    labels: Sequence[str], scores: Mapping[str, float], pairs: Sequence[Pair], estimand: str
) -> tuple[str, ...]:
    position = {label: index for index, label in enumerate(labels)}
    p = np.ones((len(labels), len(labels)))
    is_worse = np.zeros(p.shape, dtype=bool)
    for pair in pairs:
        if pair.is_tested:
            i, j = position[pair.first], position[pair.second]
            p[i, j] = p[j, i] = pair.p_column
            is_worse[i, j] = pair.favors(pair.second, estimand)
            is_worse[j, i] = pair.favors(pair.first, estimand)
    marks = not_significantly_worse([scores[label] for label in labels], p, ALPHA, is_worse)
    return tuple(label for label, is_marked in zip(labels, marks.tolist(), strict=True) if is_marked)
