"""The charged trainings that are under way when a run has several workers."""

from __future__ import annotations

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints


class InFlight:
    """The latest trainings of each run, at least all that have not finished.

    Args:
        num_workers: Trainings of one run that may be under way at once.
        num_runs: Runs in the batch.
    """

    def __init__(self, num_workers: int, num_runs: int) -> None:
        shape = (num_workers, num_runs)
        self._slots = np.full(shape, -1, dtype=np.int64)
        self._finished_s = np.full(shape, -np.inf)
        self._has_value = np.ones(shape, dtype=bool)

    def add(self, slots: Ints, finished_s: Floats, has_value: Bools, started: Bools) -> None:
        """Add a training of each run that started one.

        Args:
            slots: Which architecture of which run is trained, shape (num_runs,).
            finished_s: Simulated time when the training finishes, same shape.
            has_value: Whether its value may be used, same shape.
            started: Runs that started a training, same shape.
        """
        runs = np.flatnonzero(started)
        # A run that starts a training has a free worker, so the training that finishes first has ended.
        place = self._finished_s[:, runs].argmin(axis=0)
        self._slots[place, runs] = slots[runs]
        self._finished_s[place, runs] = finished_s[runs]
        self._has_value[place, runs] = has_value[runs]

    def find(self, slots: Ints) -> tuple[Floats, Bools]:
        """End of the training of each run's architecture, −inf if there is none; and whether its value may be used.

        Args:
            slots: Which architecture of which run, shape (num_runs,).
        """
        is_same = self._slots == slots
        finished_s: Floats = np.where(is_same, self._finished_s, -np.inf).max(axis=0)
        return finished_s, (self._has_value | ~is_same).all(axis=0)
