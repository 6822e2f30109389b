"""Successive halving over seeds: every setting gets a few runs, and the better half gets as many again.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nasbench_harness.errors import InvalidInputError

Leg = tuple[int, str, int, int]  # of a race: a setting, a task, the first run and the one after the last


@dataclass(frozen=True)
class Schedule:
    """Numbers of settings and runs.

    Attributes:
        rungs: (settings, runs of each on each task since the start) of every rung.
    """

    rungs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, trials: int, first_seeds: int) -> Schedule:
        """The schedule that halves the settings and doubles their runs until one is left.

        >>> Schedule.of(5, 10).rungs
        ((5, 10), (3, 20), (2, 40), (1, 80))
        >>> Schedule.of(1, 10).rungs
        ((1, 0),)
        """
        if trials == 1:  # nothing is to be chosen
            return cls(((1, 0),))
        rungs = [(trials, first_seeds)]
        while rungs[-1][0] > 1:
            rungs.append(((rungs[-1][0] + 1) // 2, 2 * rungs[-1][1]))
        return cls(tuple(rungs))

    @property
    def num_runs(self) -> int:
        """Runs on each task; the last setting is chosen, and gets none after that.

        >>> Schedule.of(5, 10).num_runs
        120
        """
        before = [0, *(seeds for _, seeds in self.rungs)]
        return sum(count * (seeds - old) for (count, seeds), old in zip(self.rungs, before, strict=False) if count > 1)


def first_seeds_within(trials: int, num_tasks: int, evaluations: int, budget: int) -> int:
    """Most runs of the first rung whose schedule stays within a budget.

    Args:
        trials: Number of settings.
        num_tasks: Number of development tasks.
        evaluations: Evaluations of a run.
        budget: Evaluations of the whole tuning.

    Raises:
        InvalidInputError: Not even one run for each setting fits.

    Example:
        >>> first_seeds_within(trials=5, num_tasks=2, evaluations=100, budget=25_000)
        10
    """
    for_one = Schedule.of(trials, 1).num_runs * num_tasks * evaluations
    if for_one == 0:
        return 1
    if budget < for_one:
        raise InvalidInputError(
            f"a budget of {budget:,} evaluations is too small: {trials} trials on {num_tasks} tasks need {for_one:,}"
        )
    return budget // for_one


def race(
    schedule: Schedule, tasks: Sequence[str], scores: Callable[[Sequence[Leg]], Iterable[float]]
) -> tuple[int, list[list[int]]]:
    """Run a schedule.

    Args:
        schedule: Numbers of settings and runs.
        tasks: Development tasks.
        scores: Mean score of each leg, smaller is better; infinite if the setting cannot be run. It is called once
            for each rung. The settings are numbered from 0.

    Returns:
        The chosen setting, and the settings of each rung, best first. Equal scores keep the order of the numbers.
    """
    alive = list(range(schedule.rungs[0][0]))
    sums = dict.fromkeys(alive, 0.0)
    rungs: list[list[int]] = []
    done = 0
    for count, seeds in schedule.rungs:
        alive = alive[:count]
        if count == 1:
            return alive[0], [*rungs, alive]
        found = iter(list(scores([(setting, task, done, seeds) for setting in alive for task in tasks])))
        for setting in alive:
            sums[setting] += (seeds - done) * sum(next(found) for _ in tasks) / len(tasks)
        done = seeds
        alive = sorted(alive, key=lambda setting: (sums[setting], setting))
        rungs.append(alive)
    return alive[0], rungs
