"""The ledger of a batch of runs: visits, noise, budgets and the simulated clock."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.in_flight import InFlight
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.protocol import MAX_EVALUATIONS, Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task
from nasbench_harness.evaluation.trainings import Found, Trainings
from nasbench_harness.evaluation.view import TaskView

# Looking up a member of an enumeration costs more than a small array operation.
_NONE, _OK, _DUPLICATE, _OVERRUN, _REJECTED, _MISSING = (
    int(status)
    for status in (Status.NONE, Status.OK, Status.DUPLICATE, Status.OVERRUN, Status.REJECTED, Status.MISSING)
)
# A run ends after this many answers in a row that spent nothing: it has nothing new to propose.
MAX_STREAK = {"charge": 1_000, "free": 1_000, "forbid": 100}


class Charges(NamedTuple):
    """One evaluation per run: shapes (num_runs,), but for natural values and losses.

    Attributes:
        natural: Measured values, shape (num_runs, num_metrics).
        losses: Shape (num_runs, num_objectives).
    """

    status: npt.NDArray[np.int8]
    replicates: Ints
    trainings: Ints
    natural: Floats
    losses: Floats
    cost_s: Floats
    started_s: Floats
    finished_s: Floats


class Ledger:
    """Charges evaluations to runs and answers them through the task's oracle.

    Args:
        task: The searched task.
        protocol: Rules of noise, duplicates and budget.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).

    Attributes:
        clock_s: Simulated seconds that each run has spent, shape (num_runs,); NaN if the task has no cost.
        counted: Evaluations that were charged to each run, shape (num_runs,).
        epochs: Epochs that were charged to each run, shape (num_runs,); only counted if the protocol bounds them.
        ended_by_sources: Runs whose time ended with an evaluation of a source: nothing after it counts, shape
            (num_runs,); None: there are none.
        num_objectives: Number of losses of an evaluation.
        num_architectures: Size of the space.

    Raises:
        InvalidInputError: A budget in seconds if the task has no cost, or a replicate that rows do not have.
    """

    def __init__(self, task: Task, protocol: Protocol, study_seed: int, run_seeds: Ints) -> None:
        num_runs, num_architectures = len(run_seeds), task.space.num_architectures
        self._protocol = protocol
        view = task.under(protocol)
        self._oracle, self._objectives, self._measures = view.oracle, view.objectives, view.measures
        self.num_objectives = len(view.objectives)
        self.num_architectures = num_architectures
        self._seconds = protocol.simulated_seconds
        check_budget(task, protocol)
        self._noise = Noise(protocol, view.oracle, num_architectures, study_seed, run_seeds)
        self._has_checkpoints = protocol.continuation == "checkpoint"
        self._trainings = None
        if len(view.fidelities) > 1:
            charges = protocol.duplicates == "charge"
            num_slots = num_runs * num_architectures
            self._trainings = Trainings(num_slots, len(view.fidelities), self._has_checkpoints, charges)
        num_visited = num_runs * num_architectures if self._trainings is None else 0
        self._visits = np.zeros(num_visited, dtype=visit_type(protocol))
        self._first_slot = np.arange(num_runs) * num_architectures
        self._no_fidelity = np.zeros(num_runs, dtype=np.int64)
        self._streak = np.zeros(num_runs, dtype=np.int64)
        self._epochs = protocol.epochs
        self._epochs_at = np.array([*view.fidelities, 0])  # the last one stands for the fidelity −1
        waits = protocol.workers > 1 and task.has_cost
        waits = waits and (protocol.duplicates == "free" or self._trainings is not None)
        self._in_flight = InFlight(protocol.workers, num_runs) if waits else None
        # What counts as the same architecture, and which of its members a run trained first (−1: none yet).
        by_class = protocol.duplicates_by == "class"
        self._class_of = _classes(view) if by_class else None
        self._first_of_class = np.full(num_runs * num_architectures if by_class else 0, -1, dtype=np.int32)
        self.clock_s = np.full(num_runs, 0.0 if task.has_cost else np.nan)
        self.counted = np.zeros(num_runs, dtype=np.int64)
        self.epochs = np.zeros(num_runs, dtype=np.int64)
        self.ended_by_sources: Bools | None = None

    def evaluate(self, architectures: Ints, started: Bools, fidelities: Ints | None = None) -> Charges:
        """Start and finish one evaluation of every run that starts one (see ``start``); for runs with one worker."""
        entries = self.start(architectures, started, fidelities=fidelities)
        self.finish(entries.finished_s, started)
        return entries

    def finish(self, finished_s: Floats, finished: Bools) -> None:
        """Move the clocks of the runs whose evaluation finished to that time; both shapes (num_runs,)."""
        everyone = np.count_nonzero(finished) == len(finished)
        self.clock_s = finished_s if everyone else np.where(finished, finished_s, self.clock_s)

    def start(
        self,
        architectures: Ints,
        started: Bools,
        delays_s: Floats | None = None,
        fidelities: Ints | None = None,
    ) -> Charges:
        """Charge one evaluation of every run that starts one now, and answer it: only ``finish`` moves the clocks.

        Args:
            architectures: One index per run; read if ``started``, but a valid index everywhere.
            started: Which runs evaluate, shape (num_runs,).
            delays_s: Seconds from now to the start of each evaluation, shape (num_runs,); None: 0.
            fidelities: Index on the task's fidelity axis, shape (num_runs,); None: 0.

        Returns:
            Charges whose status is NONE if nothing was started.
        """
        if self._class_of is not None:
            architectures, slots = self._by_class(self._class_of, architectures, started)
        else:
            slots = self._first_slot + architectures
        charges_all = self._protocol.duplicates == "charge"
        at = self._no_fidelity if fidelities is None else fidelities
        found: Found | None = None
        visits: Ints | None = None
        trainings: Ints
        if self._trainings is None:
            visits = self._visits[slots].astype(np.int64)
            is_repeat = started if charges_all else visits > 0  # if all are charged, nobody asks
            trainings = visits if charges_all else np.zeros_like(visits)
        else:
            found = self._trainings.find(slots, at)
            trainings, is_repeat = found.numbers, found.is_repeat
        if self._protocol.noise == "per_run":
            trainings = np.zeros_like(trainings)
        replicates = self._noise.replicates(architectures, trainings)
        # Runs that start nothing ask what another one asks, so that an oracle which trains has nothing more to do.
        asked = architectures if started.all() else np.where(started, architectures, architectures[started.argmax()])
        values, cost_s, status = self._oracle.evaluate(asked, at, replicates)
        if found is not None and self._has_checkpoints:
            # If replicates have gaps, a mean over others may fall: the clock does not.
            cost_s = np.maximum(cost_s - self._paid_s(asked, found.continues_from, replicates), 0.0)
        losses = self._losses(values)
        started_s = self.clock_s if delays_s is None else self._later(delays_s)
        if found is not None and self._in_flight is not None:
            continues = started & (found.continues_from >= 0)
            ends_s = np.where(continues, self._in_flight.end_of(slots, found.numbers), -np.inf)
            started_s = np.maximum(started_s, ends_s)
        charged = started
        if not charges_all:
            charged = started & ~is_repeat
            self._answer_repeats(is_repeat, cost_s, status)
        if np.count_nonzero(started) < len(started):
            status[~started] = _NONE
            cost_s = np.where(started, cost_s, 0.0)
        if np.count_nonzero(status == _OK) < len(status):
            cost_s = np.where(status == _MISSING, 0.0, cost_s)  # no training, no time
            no_value = (status != _OK) & (status != _DUPLICATE)
            losses[no_value] = np.inf
            values = np.where(no_value[:, None], np.nan, values)
        if self.ended_by_sources is not None:
            too_late = charged & self.ended_by_sources
            status[too_late], losses[too_late] = _OVERRUN, np.inf
            values, cost_s = np.where(too_late[:, None], np.nan, values), np.where(too_late, 0.0, cost_s)
        finished_s = started_s + cost_s
        epochs_before = self.epochs
        if self._epochs is not None:
            too_long = self._spend_epochs(self._epochs, at, found, charged & (status == _OK))
            if np.count_nonzero(too_long):
                status[too_long], losses[too_long] = _OVERRUN, np.inf
                values = np.where(too_long[:, None], np.nan, values)
        if self._seconds is not None and self._protocol.overrun == "discard":
            late = charged & (finished_s > self._seconds)
            if np.count_nonzero(late):
                status[late], losses[late] = _OVERRUN, np.inf
                values = np.where(late[:, None], np.nan, values)
                cost_s = np.where(late, np.maximum(self._seconds - started_s, 0.0), cost_s)
                finished_s = np.where(late, np.maximum(self._seconds, started_s), finished_s)
        if self._in_flight is not None:
            waits = started & (status == _DUPLICATE)
            ends_s, has_value = self._in_flight.answering(slots, at)
            finished_s = np.where(waits, np.maximum(finished_s, ends_s), finished_s)
            losses[waits & ~has_value] = np.inf
            values = np.where((waits & ~has_value)[:, None], np.nan, values)
            above = np.full_like(at, -1) if found is None else found.continues_from
            above = above if self._has_checkpoints else at - 1
            numbers = trainings if found is None else found.numbers
            self._in_flight.add(slots, numbers, above, at, finished_s, status != _OVERRUN, charged)
        if self._can_stand_still:
            spends = charged
            if self._protocol.evaluations is None:
                spends = charged & ((cost_s > 0) | (self.epochs > epochs_before))
            self._streak = np.where(spends, 0, self._streak + started)
        if self._trainings is not None and found is not None:
            self._trainings.add(slots, at, found, charged)
        elif visits is not None:
            self._visits[slots] = visits + charged
        self.counted += charged
        return Charges(status, replicates, trainings, values, losses, cost_s, started_s, finished_s)

    def spend(self, seconds: Floats) -> tuple[Floats, Bools]:
        """Advance the clock by time that the search itself declared.

        Args:
            seconds: Declared time of each run, shape (num_runs,).

        Returns:
            Seconds charged, and which runs ran out of time on the way so that their next proposal is discarded;
            both (num_runs,). Under ``overrun=count`` nothing is discarded.
        """
        after_s, late = self.clock_s + seconds, np.zeros(len(seconds), dtype=bool)
        if self._seconds is not None and self._protocol.overrun == "discard":
            late = (after_s > self._seconds) & (seconds > 0)
            seconds = np.where(late, np.maximum(self._seconds - self.clock_s, 0.0), seconds)
            after_s = np.where(late, self._seconds, after_s)  # the very number, not a sum that misses it by a bit
        self.clock_s = after_s
        return seconds, late

    def has_budget(self) -> Bools:
        """Which runs may start another evaluation, shape (num_runs,)."""
        within = np.ones(len(self.counted), dtype=bool)
        if self._protocol.evaluations is not None:
            within = self.counted < self._protocol.evaluations
        if self._seconds is not None:
            within &= self.clock_s < self._seconds
        if self._epochs is not None:
            within &= self.epochs < self._epochs
        if self._can_stand_still:
            within &= self._streak < MAX_STREAK[self._protocol.duplicates]
        return within

    def _paid_s(self, architectures: Ints, continues_from: Ints, replicates: Ints) -> Floats:
        """Seconds that the trainings to be continued have cost, 0 for new ones, shape (num_runs,)."""
        continues = continues_from >= 0
        if not np.count_nonzero(continues):
            return np.zeros(len(architectures))
        before = self._oracle.evaluate(architectures, np.maximum(continues_from, 0), replicates)
        return np.where(continues & (before.status == _OK), before.cost_s, 0.0)

    def _spend_epochs(self, budget: int, fidelities: Ints, found: Found | None, charged: Bools) -> Bools:
        """Charge epochs; returns the runs whose evaluation needs more than are left, if such results are discarded."""
        before = 0 if found is None or not self._has_checkpoints else self._epochs_at[found.continues_from]
        epochs = np.where(charged, self._epochs_at[fidelities] - before, 0)
        left = budget - self.epochs
        discards = self._protocol.overrun == "discard"
        self.epochs = self.epochs + (np.minimum(epochs, left) if discards else epochs)
        too_long: Bools = charged & (epochs > left) & discards
        return too_long

    def _later(self, seconds: Floats) -> Floats:
        """Time of each run after so many seconds, at most the end of its budget if late results are discarded."""
        later_s: Floats = self.clock_s + seconds
        if self._seconds is None or self._protocol.overrun == "count":
            return later_s
        return np.minimum(later_s, self._seconds)

    @property
    def _can_stand_still(self) -> bool:
        """Whether a run may go on for ever without spending its budget."""
        return self._protocol.duplicates != "charge" or self._protocol.evaluations is None

    def _by_class(self, class_of: Ints, architectures: Ints, started: Bools) -> tuple[Ints, Ints]:
        """Architecture that answers each proposal (the first trained one of its class), and the class's slot."""
        slots = self._first_slot + class_of[architectures]
        first = self._first_of_class[slots]
        answering = np.where(first >= 0, first, architectures)
        self._first_of_class[slots[started]] = answering[started]
        return answering, slots

    def _losses(self, values: Floats) -> Floats:
        if self._measures.is_plain:
            return self._objectives[0].loss(values) + 0.0  # a copy: the caller may overwrite it
        return self._measures.losses(values)

    def _answer_repeats(self, repeated: Bools, cost_s: Floats, status: npt.NDArray[np.int8]) -> None:
        cost_s[repeated] = 0.0
        if self._protocol.duplicates == "free":
            status[repeated & (status == _OK)] = _DUPLICATE
        else:
            status[repeated] = _REJECTED


def _classes(view: TaskView) -> Ints:
    """Number of the class of each architecture, below num_architectures; one without a value is alone in its class."""
    everyone = np.arange(view.space.num_architectures)
    classes = np.where(view.has_value, view.space.canonical(everyone), len(everyone) + everyone)
    numbers: Ints = np.unique(classes, return_inverse=True)[1]
    return numbers


def visit_type(protocol: Protocol) -> type[np.unsignedinteger]:
    """Smallest integer that counts every visit of one architecture in one run."""
    return np.uint16 if protocol.evaluations is not None and protocol.evaluations < 2**16 else np.uint32


def check_budget(task: Task, protocol: Protocol) -> None:
    """Refuse a budget that the task has no numbers for, or that allows too many evaluations.

    Raises:
        InvalidInputError: The budget is one of these.
    """
    if protocol.simulated_seconds is not None and not task.has_cost:
        raise InvalidInputError(
            f"task {task.name} has no training times: a budget of simulated_seconds needs them; "
            "leave the task out or use evaluations"
        )
    if protocol.epochs is not None and not task.under(protocol).fidelities:
        raise InvalidInputError(
            f"task {task.name} does not say after how many epochs its values were read: a budget of epochs needs "
            "that; leave the task out or use evaluations"
        )
    num_expected = expected_evaluations(task, protocol)
    if num_expected > MAX_EVALUATIONS:
        raise InvalidInputError(
            f"the budget allows about {num_expected:,} evaluations of a run on task {task.name}: lower it, or set "
            f"evaluations to at most {MAX_EVALUATIONS:,}"
        )


def expected_evaluations(task: Task, protocol: Protocol) -> int:
    """About how many evaluations a run will have; exact if only evaluations are bounded."""
    bounds = [] if protocol.evaluations is None else [protocol.evaluations]
    typical_s = task.under(protocol).typical_cost_s
    if protocol.simulated_seconds is not None and typical_s > 0:  # false without costs, NaN, and if most are 0
        bounds.append(protocol.workers * (math.ceil(protocol.simulated_seconds / typical_s) + 1))
    if protocol.epochs is not None and task.under(protocol).fidelities:
        epochs = task.under(protocol).fidelities
        bounds.append(protocol.epochs // epochs[len(epochs) // 2] + 1)
    return min(bounds, default=MAX_EVALUATIONS)
