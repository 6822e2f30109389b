"""Successive halving: the rungs of a task, the brackets of each run, and architectures that a run has not had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nasbench_harness import Bools, Ints, InvalidInputError, Problem, Proposals, Results, RunStreams

NEW = -1  # in place of an architecture: a new one
_MOST_DRAWS = 100


def rungs_of(fidelities: Sequence[int], eta: int, min_epochs: int) -> list[int]:
    """Places on the fidelity axis whose epochs are about ``eta`` times apart, ascending, up to the highest.

    Args:
        fidelities: Epochs of the task, ascending.
        eta: Ratio of the epochs of two rungs.
        min_epochs: Epochs of the lowest rung, at least.

    Raises:
        InvalidInputError: ``min_epochs`` is above the highest fidelity.

    >>> rungs_of([1, 3, 5, 10, 20, 30, 40, 90], eta=3, min_epochs=2)
    [1, 3, 5, 7]
    """
    if min_epochs > fidelities[-1]:
        raise InvalidInputError(f"min_epochs must be at most {fidelities[-1]}, the highest fidelity, not {min_epochs}")
    places = [place for place, epochs in enumerate(fidelities) if epochs >= min_epochs]
    found, target = set(), float(fidelities[-1])
    while target > 0.99 * fidelities[places[0]]:
        found.add(min(places, key=lambda place: _ratio(fidelities[place], target)))
        target /= eta
    return sorted(found)


def rungs_on(problem: Problem, *, eta: int, min_epochs: int, **_: float) -> list[int]:
    """The rungs of a search, at least two: on one every architecture is trained to the end, as in random search.

    Raises:
        InvalidInputError: The hyperparameters leave one rung.
    """
    rungs = rungs_of(problem.fidelities, eta, min_epochs)
    if len(rungs) < 2:
        smaller = [name for name, value, least in (("eta", eta, 2), ("min_epochs", min_epochs, 0)) if value > least]
        remedy = f"choose a smaller {' or '.join(smaller)}" if smaller else "its epochs are too close to each other"
        raise InvalidInputError(
            f"two rungs are needed, and eta={eta} with min_epochs={min_epochs} gives one "
            f"({problem.fidelities[rungs[0]]} of {problem.fidelities[0]} to {problem.fidelities[-1]} epochs): {remedy}"
        )
    return rungs


def _ratio(epochs: float, target: float) -> float:
    return max(epochs / target, target / epochs)


class Bracket:
    """One pass of successive halving: of each rung the best 1/``eta`` are trained up to the next one.

    Infeasible architectures are worse than feasible ones; of equals the one that finished first is kept.

    Args:
        num_architectures: Architectures of the first rung.
        rungs: Places on the fidelity axis, ascending.
        eta: Reduction of each rung.
    """

    def __init__(self, num_architectures: int, rungs: Sequence[int], eta: int) -> None:
        self._rungs, self._eta = list(rungs), eta
        self._waiting = [NEW] * num_architectures  # to be trained on this rung, the next one last
        self._num_results = num_architectures
        self._results: list[tuple[bool, float, int, int]] = []

    @property
    def is_done(self) -> bool:
        """Whether the last rung has all its results."""
        return not self._rungs

    @property
    def has_next(self) -> bool:
        """Whether another training can start before more results are in."""
        return bool(self._waiting)

    def start(self) -> tuple[int, int]:
        """Architecture or NEW of the next training, and its fidelity."""
        return self._waiting.pop(), self._rungs[0]

    def add(self, architecture: int, loss: float, is_feasible: bool) -> None:
        """Take a result of the present rung; the last one of a rung begins the next rung."""
        self._results.append((not is_feasible, loss, len(self._results), architecture))
        if len(self._results) == self._num_results:
            del self._rungs[0]
            kept = sorted(self._results)[: len(self._results) // self._eta]
            if not kept:
                self._rungs.clear()
            self._waiting = [architecture for *_, architecture in reversed(kept)] if self._rungs else []
            self._num_results, self._results = len(kept), []


class Plan(NamedTuple):
    """A kind of bracket.

    Attributes:
        num_architectures: Architectures of the first rung.
        rungs: Places on the fidelity axis, ascending.
    """

    num_architectures: int
    rungs: list[int]


def hyperband_plans(rungs: list[int], eta: int) -> list[Plan]:
    """The brackets of Hyperband, from the one with the most architectures to the one that reduces nothing.

    >>> [(plan.num_architectures, len(plan.rungs)) for plan in hyperband_plans([0, 1, 2], 3)]
    [(9, 3), (5, 2), (3, 1)]
    """
    highest = len(rungs) - 1
    return [
        Plan(-(-(highest + 1) * eta**reductions // (reductions + 1)), rungs[highest - reductions :])
        for reductions in range(highest, -1, -1)
    ]


class Brackets:
    """The brackets of all runs, one after another; idle workers begin the next bracket if results are missing.

    Args:
        num_runs: Runs of the batch.
        plans: Kinds of the brackets, in order; after the last one the first one follows.
        eta: Reduction of each rung.
    """

    def __init__(self, num_runs: int, plans: Sequence[Plan], eta: int) -> None:
        self._plans, self._eta = plans, eta
        self._open: list[list[Bracket]] = [[] for _ in range(num_runs)]
        self._num_begun, self._num_asked = [0] * num_runs, [0] * num_runs
        self._bracket_of: list[dict[int, Bracket]] = [{} for _ in range(num_runs)]  # of each ticket

    def ask(self, idle: Bools, draw: Callable[[Ints], Ints]) -> Proposals:
        """A training of every idle run.

        Args:
            idle: Runs that propose, shape (num_runs,).
            draw: Gives a new architecture for each of some runs, (len(runs),) for runs (len(runs),).
        """
        architectures, fidelities = np.full(len(idle), NEW), np.zeros(len(idle), dtype=np.int64)
        for run in np.flatnonzero(idle).tolist():
            bracket = self._available(run)
            architectures[run], fidelities[run] = bracket.start()
            self._bracket_of[run][self._num_asked[run]] = bracket
            self._num_asked[run] += 1
        beginners = np.flatnonzero(idle & (architectures == NEW))
        if len(beginners):
            architectures[beginners] = draw(beginners)
        return Proposals(architectures, fidelities)

    def tell(self, results: Results) -> None:
        """File each result in its bracket."""
        for run in np.flatnonzero(results.ticket >= 0).tolist():
            bracket = self._bracket_of[run].pop(int(results.ticket[run]))
            bracket.add(int(results.architectures[run]), float(results.losses[run]), bool(results.feasible[run]))
            if bracket.is_done:
                self._open[run].remove(bracket)

    def _available(self, run: int) -> Bracket:
        for bracket in self._open[run]:
            if bracket.has_next:
                return bracket
        plan = self._plans[self._num_begun[run] % len(self._plans)]
        self._num_begun[run] += 1
        self._open[run].append(Bracket(*plan, self._eta))
        return self._open[run][-1]


class Unseen:
    """Architectures that a run has not had; a repeat only if 100 draws in a row find none.

    Args:
        problem: The search view.
        rng: The runs' streams.
    """

    def __init__(self, problem: Problem, rng: RunStreams) -> None:
        self._space, self._rng = problem.space, rng
        self._seen: list[set[int]] = [set() for _ in range(rng.num_runs)]

    def draw(self, runs: Ints) -> Ints:
        """A uniform new architecture for each of these runs, shape (len(runs),)."""
        found = self._space.sample(self._rng, runs)
        for _ in range(_MOST_DRAWS - 1):
            is_old = self.has(runs, found)
            if not is_old.any():
                break
            found[is_old] = self._space.sample(self._rng, runs[is_old])
        self.add(runs, found)
        return found

    def has(self, runs: Ints, architectures: Ints) -> Bools:
        """Which architectures their runs have had; all shapes (len(runs),)."""
        pairs = zip(runs.tolist(), architectures.tolist(), strict=True)
        return np.array([architecture in self._seen[run] for run, architecture in pairs], dtype=np.bool_)

    def add(self, runs: Ints, architectures: Ints) -> None:
        """Note architectures of some runs; both shapes (len(runs),)."""
        for run, architecture in zip(runs.tolist(), architectures.tolist(), strict=True):
            self._seen[run].add(architecture)
