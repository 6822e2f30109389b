"""Quality by choice, and the loss and gain of leaving choices out.

Radosavovic, Kosaraju, Girshick, He and Dollár, "Designing Network Design Spaces", CVPR 2020: spaces are compared by the
distribution of the quality of random draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.landscape.agreement import best_tenth
from nasbench_harness.spaces.restricted import choice_names

QUANTILES = tuple(range(0, 101, 5))
DRAWS = 100
_MOST_NAMES = 8  # all subsets of so many names are looked at; of more, the best is left out step by step


@dataclass(frozen=True)
class Quality:
    """Distribution of the quality of random draws from a set of architectures.

    Attributes:
        num_architectures: Size of the set.
        mean: Mean value.
        quantiles: Values at the percentages QUANTILES, ascending, shape (len(QUANTILES),).
        best: The best value.
        top_share: Share that belongs to the best tenth of the space.
        best_of_draws: Mean of the best of DRAWS random draws with replacement.
    """

    num_architectures: int
    mean: float
    quantiles: Floats
    best: float
    top_share: float
    best_of_draws: float


@dataclass(frozen=True)
class Shrinking:
    """One way to leave choices out.

    Attributes:
        without: Names of the choices.
        quality: Of random draws from the rest.
        loss: Distance between the best of all and the best of the rest; at least 0.
        gain_of_draw: By how much the mean of a random draw improves.
        gain_of_draws: By how much the mean of the best of DRAWS random draws improves.
        is_efficient: Whether no other way is at least as good in loss and in gain of DRAWS draws, and better in one.
    """

    without: tuple[str, ...]
    quality: Quality
    loss: float
    gain_of_draw: float
    gain_of_draws: float
    is_efficient: bool


class Values:
    """Values of a task with their direction.

    Args:
        values: Shape (num_architectures,), NaN if there is none.
        is_maximized: Whether larger is better.
    """

    def __init__(self, values: Floats, is_maximized: bool) -> None:
        self.values = values
        self.sign = 1.0 if is_maximized else -1.0
        self._is_top = best_tenth(self.sign * values)

    def quality(self, among: Bools) -> Quality:
        """Quality of random draws from some architectures; at least one must have a value."""
        chosen = among & ~np.isnan(self.values)
        known = self.values[chosen]
        goodness = np.sort(self.sign * known)
        shares = np.arange(len(goodness) + 1) / len(goodness)
        best_of_draws = float((np.diff(shares**DRAWS) * goodness).sum()) * self.sign
        return Quality(
            len(known),
            float(known.mean()),
            np.quantile(known, np.array(QUANTILES) / 100),
            float(goodness[-1] * self.sign),
            float(self._is_top[chosen].mean()),
            best_of_draws,
        )


def quality_by_choice(values: Values, choices: Ints, num_choices: Ints) -> list[list[Quality | None]]:
    """Quality of the architectures with each choice of each decision; None if none of them has a value.

    Args:
        values: The values.
        choices: Shape (num_architectures, num_decisions).
        num_choices: Shape (num_decisions,).
    """
    known = ~np.isnan(values.values)
    return [
        [values.quality(taken == choice) if (known & (taken == choice)).any() else None for choice in range(int(count))]
        for taken, count in zip(choices.T, num_choices, strict=True)
    ]


def shrink(values: Values, choices: Ints, decisions: Sequence[Sequence[str]]) -> list[Shrinking]:
    """The ways to leave choices out of all decisions that have them, by number of choices, then by loss.

    With up to eight names all subsets are looked at; with more, single names, and then one name more at a time: the one
    with the smallest loss, among equals the one with the largest gain.

    Args:
        values: The values.
        choices: Shape (num_architectures, num_decisions).
        decisions: Names of the choices of each decision.
    """
    names = choice_names(decisions)
    has = {name: _has(name, choices, decisions) for name in names}
    whole = values.quality(np.ones(len(choices), dtype=bool))
    known = ~np.isnan(values.values)

    def without(dropped: tuple[str, ...]) -> Shrinking | None:
        left = known & ~np.any([has[name] for name in dropped], axis=0)
        if left.sum() < 2 or any(set(of_decision) <= set(dropped) for of_decision in decisions):
            return None
        quality = values.quality(left)
        sign = values.sign
        return Shrinking(
            dropped,
            quality,
            sign * (whole.best - quality.best),
            sign * (quality.mean - whole.mean),
            sign * (quality.best_of_draws - whole.best_of_draws),
            is_efficient=False,
        )

    if len(names) <= _MOST_NAMES:
        subsets = [subset for size in range(1, len(names)) for subset in combinations(names, size)]
        found = [way for subset in subsets if (way := without(subset)) is not None]
    else:
        found = _step_by_step(names, without)
    judged = [replace(way, is_efficient=not any(_is_better(other, way) for other in found)) for way in found]
    return sorted(judged, key=lambda way: (len(way.without), way.loss, -way.gain_of_draws))


def _step_by_step(names: Sequence[str], without: Callable[[tuple[str, ...]], Shrinking | None]) -> list[Shrinking]:
    found: list[Shrinking] = []
    taken: tuple[str, ...] = ()
    while True:
        subsets = [tuple(name for name in names if name in {*taken, other}) for other in names if other not in taken]
        ways = [way for subset in subsets if (way := without(subset)) is not None]
        if not ways:
            return found
        best = min(ways, key=lambda way: (way.loss, -way.gain_of_draws))
        found += ways if not taken else [best]
        taken = best.without


def _is_better(one: Shrinking, other: Shrinking) -> bool:
    """Whether one is at least as good in loss and gain, and better in one of them."""
    no_worse = one.loss <= other.loss and one.gain_of_draws >= other.gain_of_draws
    return no_worse and (one.loss, one.gain_of_draws) != (other.loss, other.gain_of_draws)


def _has(name: str, choices: Ints, decisions: Sequence[Sequence[str]]) -> Bools:
    found: Bools = np.zeros(len(choices), dtype=bool)
    for taken, names in zip(choices.T, decisions, strict=True):
        if name in names:
            found |= taken == list(names).index(name)
    return found
