"""The ledger of a batch of runs: visits, noise, budgets and the simulated clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task

# Looking up a member of an enumeration costs more than a small array operation.
_NONE, _OK, _DUPLICATE, _REJECTED, _MISSING = (
    int(status) for status in (Status.NONE, Status.OK, Status.DUPLICATE, Status.REJECTED, Status.MISSING)
)
# A run ends after this many uncounted answers in a row: it has nothing new to propose.
MAX_STREAK = {"charge": 0, "free": 1_000, "forbid": 100}


class Entries(NamedTuple):
    """One finished evaluation per run: shapes (num_runs,); ``natural`` and ``losses`` (num_runs, num_objectives)."""

    status: npt.NDArray[np.int8]
    replicates: Ints
    trainings: Ints
    natural: Floats
    losses: Floats
    cost_s: Floats
    finished_s: Floats


class Ledger:
    """Charges evaluations to runs and answers them through the task's oracle.

    Args:
        task: What is searched.
        protocol: Rules of noise, duplicates and budget.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).
    """

    def __init__(self, task: Task, protocol: Protocol, study_seed: int, run_seeds: Ints) -> None:
        num_runs, num_architectures = len(run_seeds), task.space.num_architectures
        self._task, self._protocol = task, protocol
        self._noise = Noise(protocol, task.oracle, num_architectures, study_seed, run_seeds)
        self._visits = np.zeros(num_runs * num_architectures, dtype=visit_type(protocol))
        self._first_slot = np.arange(num_runs) * num_architectures
        self._no_fidelity = np.zeros(num_runs, dtype=np.int64)
        self._streak = np.zeros(num_runs, dtype=np.int64)
        self.clock_s = np.zeros(num_runs)
        self.counted = np.zeros(num_runs, dtype=np.int64)

    def evaluate(self, architectures: Ints, started: Bools) -> Entries:
        """Charge and answer one evaluation of every run that started one.

        Args:
            architectures: One index per run; read where ``started``, but a valid index everywhere.
            started: Which runs evaluate, shape (num_runs,).

        Returns:
            Entries whose status is NONE where nothing was started.
        """
        slots = self._first_slot + architectures
        visits = self._visits[slots].astype(np.int64)
        charges_all = self._protocol.duplicates == "charge"
        trainings = visits if charges_all and self._protocol.noise != "per_run" else np.zeros_like(visits)
        replicates = self._noise.replicates(architectures, trainings)
        values, cost_s, status = self._task.oracle.evaluate(architectures, self._no_fidelity, replicates)
        losses = self._losses(values)
        charged = started
        if not charges_all:
            charged = started & (visits == 0)
            self._answer_repeats(visits > 0, cost_s, status)
            self._streak = np.where(charged, 0, self._streak + started)
        if np.count_nonzero(started) < len(started):
            status[~started] = _NONE
            cost_s = np.where(started, cost_s, 0.0)
        if np.count_nonzero(status == _OK) < len(status):
            cost_s = np.where(status == _MISSING, 0.0, cost_s)  # no training, no time
            no_value = (status != _OK) & (status != _DUPLICATE)
            losses[no_value] = np.inf
            values = np.where(no_value[:, None], np.nan, values)
        self._visits[slots] = visits + charged
        self.counted += charged
        self.clock_s = self.clock_s + cost_s
        return Entries(status, replicates, trainings, values, losses, cost_s, self.clock_s)

    def spend(self, seconds: Floats) -> None:
        """Advance the clock by time that the search itself declared, shape (num_runs,)."""
        self.clock_s = self.clock_s + seconds

    def has_budget(self) -> Bools:
        """Which runs may start another evaluation, shape (num_runs,)."""
        within = self.counted < self._protocol.evaluations
        if self._protocol.duplicates != "charge":
            within &= self._streak < MAX_STREAK[self._protocol.duplicates]
        return within

    def _losses(self, values: Floats) -> Floats:
        if len(self._task.objectives) == 1:
            return self._task.objectives[0].loss(values) + 0.0  # a copy: the caller may overwrite it
        losses = np.empty_like(values)
        for position, objective in enumerate(self._task.objectives):
            losses[:, position] = objective.loss(values[:, position])
        return losses

    def _answer_repeats(self, repeated: Bools, cost_s: Floats, status: npt.NDArray[np.int8]) -> None:
        cost_s[repeated] = 0.0
        if self._protocol.duplicates == "free":
            status[repeated & (status == _OK)] = _DUPLICATE
        else:
            status[repeated] = _REJECTED


def visit_type(protocol: Protocol) -> type[np.unsignedinteger]:
    """Smallest integer that counts every visit of one architecture in one run."""
    return np.uint16 if protocol.evaluations < 2**16 else np.uint32
