"""The lockstep loop: asks a strategy, charges the ledger, tells the strategy, records the trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.engine.checks import checked_architectures, checked_proposals
from nasbench_harness.engine.strategy import Results, Strategy
from nasbench_harness.engine.trace import Trace
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.ledger import Ledger, expected_evaluations
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task

_MAX_PROGRESS = 100_000  # in a row, without an evaluation: a strategy that never ends

StrategyFactory = Callable[[], Strategy]


@dataclass
class Batch:
    """A finished batch.

    Attributes:
        trace: Its rows.
        strategy_seconds: Real seconds spent inside the strategy.
        num_evaluations: Evaluations that were charged to its runs.
        num_empty: Runs that ended without an evaluation or a recommendation: nothing to be scored by.
    """

    trace: Trace
    strategy_seconds: float
    num_evaluations: int
    num_empty: int


def run_batch(
    make_strategy: StrategyFactory, task: Task, protocol: Protocol, study_seed: int, run_seeds: Ints
) -> Batch:
    """Advance all runs of a batch until each has spent its budget or has nothing more to propose.

    Args:
        make_strategy: Builds the strategy for exactly these runs.
        task: What is searched.
        protocol: The rules.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).

    Raises:
        StrategyError: The strategy broke its contract.
    """
    return _Loop(make_strategy(), task, protocol, Ledger(task, protocol, study_seed, run_seeds)).run()


class _Loop:
    def __init__(self, strategy: Strategy, task: Task, protocol: Protocol, ledger: Ledger) -> None:
        self.strategy, self.task, self.ledger = strategy, task, ledger
        self.num_runs = len(ledger.counted)
        self.value_names = [f"value_{objective.metric.name}" for objective in task.objectives]
        self.trace = Trace(self.num_runs, self.value_names, expected_evaluations(task, protocol))
        self.tickets = np.zeros(self.num_runs, dtype=np.int64)
        self.no_fidelity = np.zeros(self.num_runs, dtype=np.int64)
        self.name = strategy.name
        # Decided by the class, not by what a batch happens to return: blocks must not depend on their batch.
        self.recommends = strategy.can_recommend
        self.last_recommended = np.full(self.num_runs, -1)
        self.nobody = np.zeros(self.num_runs, dtype=bool)
        self.seconds = 0.0

    def run(self) -> Batch:
        active = np.ones(self.num_runs, dtype=bool)
        while np.count_nonzero(active):
            architectures, started = self.ask(active)
            if np.count_nonzero(started) < np.count_nonzero(active):
                self.end(active & ~started & self.ledger.has_budget())
            active &= started
            if np.count_nonzero(started):
                self.advance(architectures, started)
                active &= self.ledger.has_budget()
        self.strategy.close()
        has_nothing = (self.ledger.counted == 0) & (self.last_recommended < 0)
        return Batch(self.trace, self.seconds, int(self.ledger.counted.sum()), int(has_nothing.sum()))

    def ask(self, active: Bools) -> tuple[Ints, Bools]:
        """One proposal of every active run that has any; the others have ended. Progress is recorded on the way."""
        architectures = np.zeros(self.num_runs, dtype=np.int64)
        started = self.nobody.copy()
        idle = active
        for _ in range(_MAX_PROGRESS):
            answer = self.timed(self.strategy.ask, read_only(idle))
            proposals = checked_proposals(self.name, answer, idle, self.task.space.num_architectures, self.task.name)
            proposes = proposals.architectures >= 0
            np.copyto(architectures, proposals.architectures, where=proposes)
            started |= proposes
            if proposals.extra_cost_s is None:
                return architectures, started
            idle = self.spend(proposals.extra_cost_s, proposes)
            if not np.count_nonzero(idle):
                return architectures, started
        raise StrategyError(f"{self.name} made progress {_MAX_PROGRESS:,} times in a row without an evaluation")

    def spend(self, seconds: Floats, proposes: Bools) -> Bools:
        """Charge declared search time; returns the runs that made progress only and are asked again."""
        progressed: Bools = ~proposes & (seconds > 0)
        charged_s, late = self.ledger.spend(seconds)
        if np.count_nonzero(progressed):
            self.record_progress(progressed, charged_s, late)
        return progressed & self.ledger.has_budget()

    def end(self, ended: Bools) -> None:
        """Keep what runs recommended as they ended, e.g. what a generator returned."""
        if self.recommends:
            recommended = self.recommended()
            changed = ended & (recommended >= 0) & (recommended != self.last_recommended)
            if np.count_nonzero(changed):
                self.record_progress(changed, np.zeros(self.num_runs))

    def advance(self, architectures: Ints, started: Bools) -> None:
        """Evaluate what was proposed, tell the strategy, record the row."""
        entries = self.ledger.evaluate(architectures, started)
        everyone = np.count_nonzero(started) == self.num_runs
        results = Results(
            ticket=read_only(self.tickets if everyone else np.where(started, self.tickets, -1)),
            architectures=read_only(architectures if everyone else np.where(started, architectures, -1)),
            fidelities=read_only(self.no_fidelity),
            values=read_only(entries.losses),
            cost_s=read_only(entries.cost_s),
            finished_s=read_only(entries.finished_s),
            status=read_only(entries.status),
        )
        self.tickets = self.tickets + started
        self.timed(self.strategy.tell, results)
        self.record(
            None,
            architecture=architectures,
            replicate=entries.replicates,
            training=entries.trainings,
            cost_s=entries.cost_s,
            finished_s=entries.finished_s,
            status=entries.status,
            **dict(zip(self.value_names, entries.natural.T, strict=True)),
        )

    def record_progress(self, runs: Bools, seconds: Floats, late: Bools | None = None) -> None:
        """Rows without an evaluation; what ``late`` runs would recommend came too late."""
        self.record(
            late,
            architecture=np.full(self.num_runs, -1),
            cost_s=seconds,
            finished_s=self.ledger.clock_s,
            status=np.where(runs, Status.PROGRESS, Status.NONE),
            **dict.fromkeys(self.value_names, np.full(self.num_runs, np.nan)),
        )

    def record(self, late: Bools | None, **columns: AnyArray) -> None:
        if self.recommends:
            recommended = self.recommended()
            if late is not None:
                recommended = np.where(late, self.last_recommended, recommended)
            columns["recommended"] = self.last_recommended = recommended
        self.trace.append(**columns)

    def recommended(self) -> Ints:
        """What each run would return now; −1 for the incumbent."""
        answer = self.strategy.recommend()
        if answer is None:
            return np.full(self.num_runs, -1)
        return checked_architectures(self.name, "recommend()", answer, self.num_runs, self.task.space.num_architectures)

    def timed(self, call: Callable[..., Any], argument: Any) -> Any:
        start = perf_counter()
        result = call(argument)
        self.seconds += perf_counter() - start
        return result


def read_only(array: AnyArray) -> AnyArray:
    """A view that strategies cannot write to: what they get is also what is recorded."""
    view = array.view()
    view.flags.writeable = False
    return view
