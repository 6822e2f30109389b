"""Has a strategy become worse? Verdicts on the difference of mean regret between an old and a new version.

d = mean regret new − old, with one-sided Welch bounds (Welch 1947) at the level of a look. In this order:

    inferior      low > 0 and d > margin, and a permutation p of d below the level of the look
    superior      high < 0 and d < −margin, and a permutation p of d below the level of the look
    equivalent    −margin < low and high < margin
    non-inferior  high < margin, at the last look only
    inconclusive  otherwise

Regrets are skewed. A small sample that misses a long right tail looks better than it is; one that misses the few good
runs of a long left tail looks worse. Its spread looks small too, so Welch's bound alone calls too many unchanged
versions superior or inferior. The permutation test does not use the spread (seeded draws; Phipson and Smyth 2010:
p = (1 + b) / (1 + B)).

Looks are declared beforehand and share alpha evenly (Bonferroni): a single look has all of it. Over a family of cases,
Holm multiplies the p-values of "inferior" only, each the larger one of Welch and permutation. Runs are given as counts
per integer grid value, so that means and variances come from exact integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import ceil, inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nasbench_harness.statistics.grid_counts import (
    NUM_PERMUTATIONS,
    GridCounts,
    count_grid_values,
    moments,
    permutation_p_better,
    permutation_p_worse,
)
from nasbench_harness.statistics.independent import smallest_permutation_p
from nasbench_harness.statistics.multiple import adjust

LOOKS = (100, 300, 1_000, 3_000)
ALPHA = 0.01
_MAX_PERMUTATIONS = 99_999
_DRAWS_PER_LEVEL = 4  # draws times the smallest level of Holm

Verdict = Literal["inferior", "superior", "equivalent", "non-inferior", "inconclusive"]


@dataclass(frozen=True)
class Difference:
    """Mean regret of the new runs minus that of the old ones.

    Attributes:
        value: The difference in the metric's unit; positive: the new runs are worse.
        low: One-sided lower bound at ``level``.
        high: One-sided upper bound at ``level``.
        p_worse: One-sided p-value of "the new runs are not worse".
        level: Chance that a bound may fail.
        num_old: Old runs.
        num_new: New runs.
    """

    value: float
    low: float
    high: float
    p_worse: float
    level: float
    num_old: int
    num_new: int


@dataclass(frozen=True)
class NonInferiority:
    """The verdict on the new runs.

    Attributes:
        verdict: See the module.
        difference: At the look that decided.
        margin: Difference that matters, in the metric's unit.
        num_more: If inconclusive, about how many more new runs would decide; None: no number would, because the old
            runs are too few.
        p_permutation: Permutation p-value of "the new runs are not worse", if it is larger than Welch's; else None.
    """

    verdict: Verdict
    difference: Difference
    margin: float
    num_more: int | None = 0
    p_permutation: float | None = None


@dataclass(frozen=True)
class Case:
    """One strategy on one task.

    Attributes:
        old: Old runs, how often each grid value of regret occurs.
        new: Gives the grid values of the first n new runs, shape (n,).
        resolution: Size of a grid step in the metric's unit.
        margin: Difference that matters, in the metric's unit.
    """

    old: GridCounts
    new: Callable[[int], ArrayLike]
    resolution: float
    margin: float


def difference(old: GridCounts, new: GridCounts, resolution: float = 1.0, level: float = ALPHA) -> Difference:
    """Returns the difference of two means with Welch's one-sided bounds.

    If neither side has any spread, the smallest p is that of an exact permutation test, 1 / C(n + m, n). If it is below
    the level, both bounds are the difference itself; else they are infinite, as so few runs tell nothing.

    Args:
        old: how often each grid value occurs among the old runs.
        new: the same of the new runs.
        resolution: size of a grid step in the metric's unit.
        level: chance that each bound may fail.

    Raises:
        ValueError: fewer than 2 runs on a side, a count below 0, or a level or resolution outside its range.

    Example:
        >>> difference({0: 2, 2: 2}, {1: 2, 3: 2}).value
        1.0
    """
    if not 0.0 < level < 0.5:
        raise ValueError(f"level is {level}; pass a share between 0 and .5, such as .01")
    if not resolution > 0.0:
        raise ValueError(f"resolution is {resolution}; pass the size of a grid step, above 0")
    (num_old, mean_old, var_old), (num_new, mean_new, var_new) = moments(old, "old"), moments(new, "new")
    value = (mean_new - mean_old) * resolution
    of_old, of_new = var_old / num_old * resolution**2, var_new / num_new * resolution**2
    variance = of_old + of_new
    if variance == 0.0:
        smallest_p = smallest_permutation_p(num_old, num_new)
        width = 0.0 if smallest_p < level else inf
        p_worse = smallest_p if value > 0 else 1.0
        return Difference(value, value - width, value + width, p_worse, level, num_old, num_new)
    from scipy.special import stdtr, stdtrit

    shares = (of_old / variance) ** 2 / (num_old - 1) + (of_new / variance) ** 2 / (num_new - 1)
    half_width = -float(stdtrit(1.0 / shares, level)) * sqrt(variance)
    p_worse = float(stdtr(1.0 / shares, -value / sqrt(variance)))
    return Difference(value, value - half_width, value + half_width, p_worse, level, num_old, num_new)


def decide(
    found: Difference,
    margin: float,
    is_last: bool,
    p_worse: float | None = None,
    p_better: Callable[[], float] | None = None,
) -> Verdict:
    """Returns the verdict on a difference, in the module's order.

    Args:
        found: the difference at this look.
        margin: difference that matters, above 0.
        is_last: whether no look follows.
        p_worse: the p-value of "inferior" after a correction over a family; None: the difference's own.
        p_better: computes the permutation p-value, and is called only if the bounds say superior; None: the bounds
            alone decide.

    Raises:
        ValueError: margin is not above 0.

    >>> decide(difference({0: 50, 10: 50}, {0: 30, 10: 70}, resolution=0.1), margin=0.05, is_last=True)
    'inferior'
    """
    if not margin > 0.0:
        raise ValueError(f"margin is {margin}; pass the difference that matters, above 0")
    p = found.p_worse if p_worse is None else p_worse
    if p < found.level and found.low > 0.0 and found.value > margin:
        return "inferior"
    if found.high < 0.0 and found.value < -margin and (p_better is None or p_better() < found.level):
        return "superior"
    if -margin < found.low and found.high < margin:
        return "equivalent"
    return "non-inferior" if is_last and found.high < margin else "inconclusive"


def more_runs(
    old: GridCounts, new: GridCounts, margin: float, resolution: float = 1.0, level: float = ALPHA
) -> int | None:
    """Returns about how many more new runs would bring a verdict if mean and spread stay as they are.

    Args:
        old: how often each grid value occurs among the old runs.
        new: the same of the new runs.
        margin: difference that matters.
        resolution: size of a grid step in the metric's unit.
        level: chance that each bound may fail.

    Returns:
        A number of runs, at least 1; None if none would do because the old runs are too few.

    >>> more_runs({0: 500, 10: 500}, {0: 50, 10: 50}, margin=0.1, resolution=0.1)
    64
    """
    found = difference(old, new, resolution, level)
    if found.high == inf:  # no run differs
        return next(more for more in count(1) if smallest_permutation_p(found.num_old, found.num_new + more) < level)
    wanted = found.value if found.value > margin else margin - found.value  # half-width for inferior or non-inferior
    half_width = found.high - found.value
    (num_old, _, var_old), (num_new, _, var_new) = moments(old, "old"), moments(new, "new")
    spread = sqrt(var_old / num_old + var_new / num_new) * resolution
    allowed = (wanted / half_width * spread / resolution) ** 2 - var_old / num_old if half_width else 0.0
    return None if allowed <= 0.0 else max(1, ceil(var_new / allowed) - num_new)


def non_inferiority(
    old: GridCounts,
    new: ArrayLike,
    margin: float,
    resolution: float = 1.0,
    alpha: float = ALPHA,
    looks: Sequence[int] | None = None,
) -> NonInferiority:
    """Returns the verdict on one set of new runs, in looks until one decides.

    Args:
        old: how often each grid value of regret occurs among the old runs.
        new: grid values of the new runs in the order of their seeds, shape (num_runs,).
        margin: difference that matters, in the metric's unit.
        resolution: size of a grid step in the metric's unit.
        alpha: chance of a false "inferior" over all looks.
        looks: numbers of new runs at which to decide, ascending; None: one look at all of them.

    Raises:
        ValueError: too few runs for the looks, or as `difference`, `decide` and `non_inferiority_family`.

    Example:
        >>> non_inferiority({0: 50, 1: 50}, [0, 1] * 50, margin=1.0).verdict
        'equivalent'
    """
    grid_values = np.asarray(new)
    wanted = (len(grid_values),) if looks is None else tuple(looks)
    if max(wanted, default=0) > len(grid_values):
        raise ValueError(
            f"new has {len(grid_values)} runs, the last look wants {max(wanted)}; run more or declare other looks"
        )
    return non_inferiority_family(
        [Case(old, lambda num_runs: grid_values[:num_runs], resolution, margin)], alpha, wanted
    )[0]


def non_inferiority_family(
    cases: Sequence[Case], alpha: float = ALPHA, looks: Sequence[int] = LOOKS
) -> list[NonInferiority]:
    """Returns the verdict on each case; the chance of any false "inferior" among them is at most alpha.

    At every look Holm is applied over the whole family: cases that an earlier look called inferior count as rejected,
    cases that it closed otherwise as never to be rejected.

    Args:
        cases: strategies × tasks; new runs are asked for only as long as a case is open.
        alpha: chance of any false "inferior".
        looks: numbers of new runs at which to decide, ascending.

    Raises:
        ValueError: looks are no ascending numbers of at least 2, or as `difference` and `decide`.

    >>> case = Case(old={0: 50, 10: 50}, new=lambda num_runs: np.full(num_runs, 10), resolution=0.1, margin=0.05)
    >>> non_inferiority_family([case])[0].verdict
    'inferior'
    """
    if not looks or list(looks) != sorted(set(looks)) or looks[0] < 2:
        raise ValueError(f"looks is {tuple(looks)}; pass ascending numbers of runs, each at least 2")
    level = alpha / len(looks)
    verdicts: dict[int, NonInferiority] = {}
    p_permutation: dict[int, float | None] = {}
    family_p = np.ones(len(cases))
    for look in looks:
        is_last = look == looks[-1]
        still_open = [position for position in range(len(cases)) if position not in verdicts]
        new = {position: count_grid_values(cases[position].new(look)) for position in still_open}
        found = {
            position: difference(cases[position].old, new[position], cases[position].resolution, level)
            for position in still_open
        }
        for position in still_open:
            p_permutation[position] = _p_permutation(cases[position], new[position], found[position], len(cases))
            family_p[position] = p_permutation[position] or found[position].p_worse
        adjusted = adjust(family_p) if len(cases) else family_p
        for position in still_open:
            case = cases[position]
            p_better = partial(permutation_p_better, case.old, new[position])
            verdict = decide(found[position], case.margin, is_last, float(adjusted[position]), p_better)
            if verdict == "inconclusive" and not is_last:
                continue
            num_more: int | None = 0
            if verdict == "inconclusive":
                # What Holm asks of the smallest p of the family.
                num_more = more_runs(case.old, new[position], case.margin, case.resolution, level / len(cases))
                if num_more is not None and p_permutation[position] is not None:
                    num_more = max(num_more, look)  # Welch's bound has decided and says nothing: as many again
            verdicts[position] = NonInferiority(
                verdict, found[position], case.margin, num_more, p_permutation[position]
            )
            family_p[position] = 0.0 if verdict == "inferior" else 1.0
    return [verdicts[position] for position in range(len(cases))]


def _p_permutation(case: Case, new: GridCounts, found: Difference, num_cases: int) -> float | None:
    """Returns the permutation p-value of "inferior" if it counts, as it is larger than Welch's; None otherwise.

    The permutation test is asked only where Welch's bound says inferior. If no draw is as extreme as the new runs,
    Welch's p stands: a permutation p that is limited by the number of draws is no reason against it.
    """
    if not (found.low > 0.0 and found.value > case.margin):
        return None
    num_draws = max(NUM_PERMUTATIONS, ceil(min(_MAX_PERMUTATIONS, _DRAWS_PER_LEVEL * num_cases / found.level)))
    p = permutation_p_worse(case.old, new, num_draws)
    return p if p > max(found.p_worse, 1.0 / (1 + num_draws)) else None
