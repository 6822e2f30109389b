"""The lockstep loop: asks a strategy, charges the ledger, tells the strategy, records the trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats, Ints
from nasbench_harness.engine.strategy import Proposals, Results, Strategy
from nasbench_harness.engine.trace import Trace
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task

StrategyFactory = Callable[[], Strategy]


@dataclass
class Batch:
    """A finished batch: its trace and the real seconds spent inside the strategy."""

    trace: Trace
    strategy_seconds: float


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
        self.trace = Trace(self.num_runs, self.value_names, protocol.evaluations)
        self.tickets = np.zeros(self.num_runs, dtype=np.int64)
        self.no_fidelity = np.zeros(self.num_runs, dtype=np.int64)
        self.nobody = np.zeros(self.num_runs, dtype=bool)
        self.seconds = 0.0

    def run(self) -> Batch:
        active = np.ones(self.num_runs, dtype=bool)
        while np.count_nonzero(active):
            architectures, started = self.ask(active)
            active &= started
            if np.count_nonzero(started):
                self.advance(architectures, started)
                active &= self.ledger.has_budget()
        close = getattr(self.strategy, "close", None)
        if close is not None:
            close()
        return Batch(self.trace, self.seconds)

    def ask(self, active: Bools) -> tuple[Ints, Bools]:
        """One proposal of every active run that has any; the others have ended. Progress is recorded on the way."""
        architectures = np.zeros(self.num_runs, dtype=np.int64)
        started = np.zeros(self.num_runs, dtype=bool)
        idle = active
        while np.count_nonzero(idle):
            proposals = self.timed(self.strategy.ask, idle)
            proposed = self.checked(proposals, idle)
            proposes = idle & (proposed >= 0)
            np.copyto(architectures, proposed, where=proposes)
            started |= proposes
            idle = self.spend(proposals.extra_cost_s, idle, proposes)
        return architectures, started

    def spend(self, extra_cost_s: Floats | None, idle: Bools, proposes: Bools) -> Bools:
        """Charge declared search time; returns the runs that made progress only and are asked again."""
        if extra_cost_s is None:
            return self.nobody
        seconds = np.where(idle, extra_cost_s, 0.0)
        if not (np.isfinite(seconds) & (seconds >= 0)).all():
            raise StrategyError(f"{self.name}: extra_cost_s must be finite and not negative")
        self.ledger.spend(seconds)
        progressed: Bools = idle & ~proposes & (seconds > 0)
        if progressed.any():
            self.record(
                architecture=np.full(self.num_runs, -1),
                cost_s=seconds,
                finished_s=self.ledger.clock_s,
                status=np.where(progressed, Status.PROGRESS, Status.NONE),
                **dict.fromkeys(self.value_names, np.full(self.num_runs, np.nan)),
            )
        return progressed

    def advance(self, architectures: Ints, started: Bools) -> None:
        """Evaluate what was proposed, tell the strategy, record the row."""
        entries = self.ledger.evaluate(architectures, started)
        everyone = np.count_nonzero(started) == self.num_runs
        results = Results(
            ticket=self.tickets if everyone else np.where(started, self.tickets, -1),
            architectures=architectures if everyone else np.where(started, architectures, -1),
            fidelities=self.no_fidelity,
            values=entries.losses,
            cost_s=entries.cost_s,
            finished_s=entries.finished_s,
            status=entries.status,
        )
        self.tickets = self.tickets + started
        self.timed(self.strategy.tell, results)
        self.record(
            architecture=architectures,
            replicate=entries.replicates,
            training=entries.trainings,
            cost_s=entries.cost_s,
            finished_s=entries.finished_s,
            status=entries.status,
            **dict(zip(self.value_names, entries.natural.T, strict=True)),
        )

    def record(self, **columns: AnyArray) -> None:
        recommended = self.strategy.recommend()
        if recommended is not None:
            self.check_range("recommend()", recommended)
            columns["recommended"] = recommended
        self.trace.append(**columns)

    def checked(self, proposals: Proposals, idle: Bools) -> Ints:
        architectures = np.asarray(proposals.architectures)
        if architectures.shape != (self.num_runs,) or architectures.dtype.kind != "i":
            raise StrategyError(
                f"{self.name}: ask() must return integer architectures of shape ({self.num_runs},) (num_runs), "
                f"not {architectures.dtype} of shape {architectures.shape}"
            )
        if np.count_nonzero(idle) < self.num_runs:
            architectures = np.where(idle, architectures, -1)
        self.check_range("ask()", architectures)
        if proposals.fidelities is not None and np.asarray(proposals.fidelities)[idle].any():
            raise StrategyError(f"{self.name}: task {self.task.name} has one fidelity, but ask() named another")
        return architectures

    def check_range(self, call: str, architectures: Ints) -> None:
        size = self.task.space.num_architectures
        # Seen as unsigned, a negative number is huge: one comparison covers both ends.
        in_range = (architectures + 1).astype(np.int64, copy=False).view(np.uint64).max(initial=0) <= size
        if architectures.shape != (self.num_runs,) or not in_range:
            raise StrategyError(
                f"{self.name}: {call} must return one architecture per run, −1 … {size - 1}: "
                f"got {architectures.min()} … {architectures.max()} in shape {architectures.shape}"
            )

    @property
    def name(self) -> str:
        return type(self.strategy).__name__

    def timed(self, call: Callable[..., Any], argument: Any) -> Any:
        start = perf_counter()
        result = call(argument)
        self.seconds += perf_counter() - start
        return result
