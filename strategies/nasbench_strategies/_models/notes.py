"""Notes on proposals, kept until their results come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nasbench_harness import AnyArray, Ints, Results

_NUM_SLOTS = 8  # at first


class Notes:
    """A note of each run on every proposal of its own that has no result yet.

    Results may come in any order: while one evaluation is slow, other workers finish any number of proposals.

    Args:
        num_runs: Runs of the batch.
        shape: Shape of a note.
        dtype: Type of its numbers.
    """

    def __init__(self, num_runs: int, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self._num_runs, self._everyone = num_runs, np.arange(num_runs)
        self._num_proposed = np.zeros(num_runs, dtype=np.int64)
        # A ring of slots by ticket, each for all runs; it grows if the next slot is taken. −1: nothing is noted.
        self._num_slots = _NUM_SLOTS
        self._tickets = np.full(_NUM_SLOTS * num_runs, -1)
        self._notes = np.zeros((_NUM_SLOTS * num_runs, *shape), dtype=dtype)

    def add(self, runs: Ints, notes: AnyArray) -> None:
        """Note the next proposal of some runs.

        Args:
            runs: Runs that propose, shape (len(runs),).
            notes: A note for each, shape (len(runs), …).
        """
        tickets = self._num_proposed[runs]
        while (self._tickets.take(self._places(tickets, runs)) >= 0).any():
            self._grow()
        places = self._places(tickets, runs)
        self._tickets.put(places, tickets)
        self._notes[places] = notes
        self._num_proposed[runs] += 1

    def take(self, results: Results) -> AnyArray:
        """Notes on the proposals that these results answer, shape (num_runs, …); anything for runs without a result."""
        places = self._places(results.ticket, self._everyone)
        self._tickets.put(places[results.ticket >= 0], -1)
        return self._notes[places]

    def _places(self, tickets: Ints, runs: Ints) -> Ints:
        return tickets % self._num_slots * self._num_runs + runs

    def _grow(self) -> None:
        """Twice as many slots."""
        kept = np.flatnonzero(self._tickets >= 0)
        tickets, notes = self._tickets[kept], self._notes[kept]
        self._num_slots *= 2
        self._tickets = np.full(2 * len(self._tickets), -1)
        self._notes = np.zeros((2 * len(self._notes), *notes.shape[1:]), dtype=notes.dtype)
        places = self._places(tickets, kept % self._num_runs)
        self._tickets[places], self._notes[places] = tickets, notes
