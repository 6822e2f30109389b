"""The trainings that runs have begun, on tasks whose fidelity the strategy chooses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nasbench_harness.arrays import Bools, Ints

_BEGUN, _REACHED = np.dtype(np.int32), np.dtype(np.int16)
BYTES_PER_SLOT = _BEGUN.itemsize + _REACHED.itemsize


class Found(NamedTuple):
    """How a proposal of each run relates to the trainings before it; all shapes (num_runs,).

    Attributes:
        numbers: Number of the training that answers, from 0 for each architecture of a run.
        is_repeat: Whether a training that the run has begun shows the answer.
        continues_from: Fidelity that the training had reached before, −1 if it is a new one.
    """

    numbers: Ints
    is_repeat: Bools
    continues_from: Ints


class Trainings:
    """Counts trainings and the fidelity that each architecture's latest one reached.

    With checkpoints a proposal above that fidelity continues the training, and any other is a repeat. With restarts
    every training is new, and a repeat has the same fidelity as an earlier one.

    Args:
        num_slots: Number of runs times number of architectures.
        num_fidelities: Length of the task's fidelity axis.
        has_checkpoints: Whether a training can be continued.
        charges_repeats: Whether a repeat is a new training, too.
    """

    def __init__(self, num_slots: int, num_fidelities: int, has_checkpoints: bool, charges_repeats: bool) -> None:
        self._num_fidelities, self._has_checkpoints = num_fidelities, has_checkpoints
        self._charges_repeats = charges_repeats
        self._begun = np.zeros(num_slots, dtype=_BEGUN)
        self._reached = np.full(num_slots, -1, dtype=_REACHED)
        self._first: dict[int, int] = {}  # of slot and fidelity: number of the first training; for restarts

    def find(self, slots: Ints, fidelities: Ints) -> Found:
        """Relate a proposal of each run to the trainings before it.

        Args:
            slots: Which architecture of which run, shape (num_runs,).
            fidelities: Index on the fidelity axis, shape (num_runs,).
        """
        begun, reached = self._begun[slots].astype(np.int64), self._reached[slots].astype(np.int64)
        none = np.full(len(slots), -1)
        if self._has_checkpoints:
            is_repeat = fidelities <= reached
            numbers = np.maximum(begun - 1, 0)
            if self._charges_repeats:
                numbers = np.where(is_repeat, begun, numbers)
            return Found(numbers, is_repeat, np.where(is_repeat, -1, reached))
        if self._charges_repeats:
            return Found(begun, np.zeros(len(slots), dtype=bool), none)
        keys = (slots * self._num_fidelities + fidelities).tolist()
        first = np.array([self._first.get(key, -1) for key in keys], dtype=np.int64)
        return Found(np.where(first >= 0, first, begun), first >= 0, none)

    def add(self, slots: Ints, fidelities: Ints, found: Found, charged: Bools) -> None:
        """Count the trainings that were charged.

        Args:
            slots: Which architecture of which run, shape (num_runs,).
            fidelities: Index on the fidelity axis, shape (num_runs,).
            found: Result of ``find`` for them.
            charged: Runs that were charged, shape (num_runs,).
        """
        runs = np.flatnonzero(charged)
        of_runs = slots[runs]
        self._begun[of_runs] = found.numbers[runs] + 1
        self._reached[of_runs] = fidelities[runs]
        if not self._has_checkpoints and not self._charges_repeats:
            keys = of_runs * self._num_fidelities + fidelities[runs]
            for key, number in zip(keys.tolist(), found.numbers[runs].tolist(), strict=True):
                self._first.setdefault(key, number)
