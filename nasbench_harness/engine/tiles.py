"""Fixed-size groups of runs for strategies whose arithmetic depends on the shape of its arrays.

A product of 7 rows rounds differently from one of 500. A strategy that declares ``tile`` therefore always works on
exactly so many rows: the run with seed s is row s modulo tile of group s div tile, and rows without a run are dummies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints
from nasbench_harness.engine.checks import checked_architectures, checked_proposals
from nasbench_harness.engine.strategy import HIGHEST, Proposals, Results, Strategy
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.hashing import GOLDEN, Words, mix
from nasbench_harness.evaluation.status import Status


class Tiles(Strategy):
    """One strategy object for every group of ``tile`` seeds, seen as one strategy over the batch's runs.

    Dummy rows have streams of their own, one worker each, and are answered with a loss of 0; they are never stored or
    counted.

    Args:
        make: Builds a strategy for runs with these stream keys.
        tile: Rows of each strategy object.
        keys: Key of each run's stream, shape (num_runs,).
        run_seeds: Seed of each run, shape (num_runs,).
    """

    def __init__(self, make: Callable[[Words], Strategy], tile: int, keys: Words, run_seeds: Ints) -> None:
        if not isinstance(tile, int) or tile < 1:
            raise StrategyError(f"tile must be a whole number of at least 1, or None, not {tile!r}")
        groups, group_of_run = np.unique(run_seeds // tile, return_inverse=True)
        self._rows = group_of_run * tile + run_seeds % tile  # row of each run among all groups
        self._tile, self._num_rows = tile, len(groups) * tile
        row_seeds = (groups[:, None] * tile + np.arange(tile)).ravel()
        row_keys = mix((row_seeds + 1).view(np.uint64) * GOLDEN)
        row_keys[self._rows] = keys
        self._is_dummy = np.ones(self._num_rows, dtype=bool)
        self._is_dummy[self._rows] = False
        self._strategies = [make(row_keys[rows]) for rows in self._groups()]
        self._dummy_proposals = np.full(self._num_rows, -1)
        self._dummy_tickets = np.zeros(self._num_rows, dtype=np.int64)

    @property
    def name(self) -> str:
        """Name of the tiled class."""
        return self._strategies[0].name

    @property
    def can_recommend(self) -> bool:
        """Whether the tiled class recommends."""
        return self._strategies[0].can_recommend

    def ask(self, idle: Bools) -> Proposals:
        """Ask every group that has an idle run."""
        row_idle = self._is_dummy & (self._dummy_proposals < 0)
        row_idle[self._rows] = idle
        architectures = np.full(self._num_rows, -1)
        fidelities, extra_cost_s = np.full(self._num_rows, HIGHEST), np.zeros(self._num_rows)
        for strategy, rows in zip(self._strategies, self._groups(), strict=True):
            if not (row_idle & ~self._is_dummy)[rows].any():
                continue
            size = strategy.problem.space.num_architectures
            num_fidelities = max(1, len(strategy.problem.fidelities))
            answer = strategy.ask(row_idle[rows])
            proposals = checked_proposals(self.name, answer, row_idle[rows], size, num_fidelities=num_fidelities)
            architectures[rows] = proposals.architectures
            if proposals.fidelities is not None:
                fidelities[rows] = proposals.fidelities
            if proposals.extra_cost_s is not None:
                extra_cost_s[rows] = proposals.extra_cost_s
        is_asked = row_idle & self._is_dummy
        self._dummy_proposals = np.where(is_asked, architectures, self._dummy_proposals)
        return Proposals(architectures[self._rows], fidelities[self._rows], extra_cost_s[self._rows])

    def tell(self, results: Results) -> None:
        """Tell every group its runs' results; dummies get a loss of 0."""
        row_results = {field.name: self._spread(getattr(results, field.name)) for field in fields(Results)}
        answered = self._dummy_proposals >= 0
        tickets = np.where(answered, self._dummy_tickets, -1)
        row_results["architectures"][self._is_dummy] = self._dummy_proposals[self._is_dummy]
        row_results["ticket"][self._is_dummy] = tickets[self._is_dummy]
        self._dummy_tickets += answered
        row_results["status"][answered] = Status.OK
        for strategy, rows in zip(self._strategies, self._groups(), strict=True):
            if (row_results["status"][rows] != Status.NONE).any():
                strategy.tell(Results(**{name: values[rows] for name, values in row_results.items()}))
        self._dummy_proposals[:] = -1

    def recommend(self) -> Ints:
        """Recommendations of the batch's runs, −1 for the incumbent."""
        parts = []
        for strategy in self._strategies:
            answer = strategy.recommend()
            size = strategy.problem.space.num_architectures
            part = np.full(self._tile, -1) if answer is None else answer
            parts.append(checked_architectures(self.name, "recommend()", part, self._tile, size))
        of_runs: Ints = np.concatenate(parts)[self._rows]
        return of_runs

    def lookup_counts(self) -> dict[str, Ints]:
        """How many values of each free metric each run of the batch read, shape (num_runs,)."""
        of_groups = [strategy.problem.lookup_counts(self._tile) for strategy in self._strategies]
        names = {name: None for counts in of_groups for name in counts}
        none = np.zeros(self._tile, dtype=np.int64)
        return {name: np.concatenate([counts.get(name, none) for counts in of_groups])[self._rows] for name in names}

    def close(self) -> None:
        """Close every group."""
        for strategy in self._strategies:
            strategy.close()

    def _groups(self) -> list[slice]:
        return [slice(first, first + self._tile) for first in range(0, self._num_rows, self._tile)]

    def _spread(self, values: AnyArray) -> AnyArray:
        rows = np.zeros((self._num_rows, *values.shape[1:]), dtype=values.dtype)
        rows[self._rows] = values
        return rows
