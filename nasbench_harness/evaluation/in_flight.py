"""The charged trainings that are under way when a run has several workers."""

from __future__ import annotations

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints


class InFlight:
    """The latest trainings of each run, at least all that have not finished.

    Args:
        num_workers: Trainings of one run that may be under way at once.
        num_runs: Runs in the batch.
    """

    def __init__(self, num_workers: int, num_runs: int) -> None:
        shape = (num_workers, num_runs)
        self._slots = np.full(shape, -1, dtype=np.int64)
        self._numbers, self._above, self._up_to = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        self._finished_s = np.full(shape, -np.inf)
        self._has_value = np.ones(shape, dtype=bool)

    def add(
        self,
        slots: Ints,
        numbers: Ints,
        above: Ints,
        up_to: Ints,
        finished_s: Floats,
        has_value: Bools,
        started: Bools,
    ) -> None:
        """Add a training of each run that started one; all shapes (num_runs,).

        Args:
            slots: Which architecture of which run is trained.
            numbers: Number of the training among those of the architecture.
            above: The fidelity above which it shows values.
            up_to: The highest fidelity at which it shows one.
            finished_s: Simulated time when it finishes.
            has_value: Whether its value may be used.
            started: Runs that started a training.
        """
        runs = np.flatnonzero(started)
        # A run that starts a training has a free worker, so the training that finishes first has ended.
        place = self._finished_s[:, runs].argmin(axis=0)
        new: list[tuple[AnyArray, AnyArray]] = [
            (self._slots, slots),
            (self._numbers, numbers),
            (self._above, above),
            (self._up_to, up_to),
            (self._finished_s, finished_s),
            (self._has_value, has_value),
        ]
        for stored, given in new:
            stored[place, runs] = given[runs]

    def answering(self, slots: Ints, fidelities: Ints) -> tuple[Floats, Bools]:
        """End of the training that shows an architecture at a fidelity, and whether its value may be used.

        Args:
            slots: Which architecture of which run, shape (num_runs,).
            fidelities: Index on the fidelity axis, shape (num_runs,).

        Returns:
            Times and whether there is a value, shape (num_runs,); −inf and true if no training is under way.
        """
        shows = (self._slots == slots) & (self._above < fidelities) & (fidelities <= self._up_to)
        return self._end(shows), (self._has_value | ~shows).all(axis=0)

    def end_of(self, slots: Ints, numbers: Ints) -> Floats:
        """End of a training that is to be continued, −inf if it is not under way; all shapes (num_runs,)."""
        return self._end((self._slots == slots) & (self._numbers == numbers))

    def _end(self, is_meant: Bools) -> Floats:
        ends_s: Floats = np.where(is_meant, self._finished_s, -np.inf).max(axis=0)
        return ends_s
