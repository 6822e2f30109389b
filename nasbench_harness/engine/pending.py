"""The evaluations of a batch that are under way: a table of width num_workers."""

from __future__ import annotations

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints

Columns = dict[str, AnyArray]


class Pending:
    """Up to ``num_workers`` evaluations of each run.

    Args:
        num_workers: Evaluations of one run that may be under way at once.
        num_runs: Runs in the batch.

    Attributes:
        counts: Evaluations of each run that are under way, shape (num_runs,).
    """

    def __init__(self, num_workers: int, num_runs: int) -> None:
        self._num_workers, self._num_runs = num_workers, num_runs
        self._columns: Columns = {}  # (num_runs, …) for one worker, else (num_workers, num_runs, …)
        self._is_pending = np.zeros((num_workers, num_runs), dtype=bool)
        self.counts: Ints = np.zeros(num_runs, dtype=np.int64)

    @property
    def has_room(self) -> Bools:
        """Runs that may start another evaluation, shape (num_runs,)."""
        room: Bools = self.counts < self._num_workers
        return room

    def start(self, columns: Columns, started: Bools) -> None:
        """Add an evaluation of each run that started one.

        Args:
            columns: All that is known about them, shapes (num_runs, …), with ``finished_s`` and ``ticket``.
            started: Runs that have room, shape (num_runs,).
        """
        if self._num_workers == 1:  # the common case costs nothing
            self._columns, self.counts = columns, started.astype(np.int8)
            return
        self.counts = self.counts + started
        runs = np.flatnonzero(started)
        slots = self._is_pending[:, runs].argmin(axis=0)  # the first free one
        for name, values in columns.items():
            if name not in self._columns:
                self._columns[name] = np.zeros((self._num_workers, *values.shape), dtype=values.dtype)
            self._columns[name][slots, runs] = values[runs]
        self._is_pending[slots, runs] = True

    def finish(self) -> tuple[Columns, Bools]:
        """Remove the earliest evaluation of each run that has any, of equals the one with the smallest ticket.

        Returns:
            Their columns, and the runs that they belong to, shape (num_runs,); other rows mean nothing. With several
            workers the column ``worker`` says which of them trained.
        """
        finished = self.counts > 0
        if self._num_workers == 1:
            columns = self._columns
        else:
            times = np.where(self._is_pending, self._columns["finished_s"], np.inf)
            is_earliest = self._is_pending & (times == times.min(axis=0))
            # Without costs there are no times: tickets alone decide.
            is_earliest |= self._is_pending & np.isnan(times).any(axis=0)
            tickets = np.where(is_earliest, self._columns["ticket"], np.iinfo(np.int64).max)
            slots, runs = tickets.argmin(axis=0), np.arange(self._num_runs)
            columns = {name: values[slots, runs] for name, values in self._columns.items()}
            columns["worker"] = slots
            self._is_pending[slots[finished], runs[finished]] = False
        self.counts = self.counts - finished
        return columns, finished
