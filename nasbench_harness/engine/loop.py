"""The lockstep loop: asks a strategy, charges the ledger, tells the strategy, records the trace."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Never

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.engine.checks import checked_architectures, checked_proposals
from nasbench_harness.engine.lifting import NOT_OF_STRATEGIES, LiftedGenerators, as_exception
from nasbench_harness.engine.limits import TimeLimit
from nasbench_harness.engine.pending import Pending
from nasbench_harness.engine.results import own_copy, results_of
from nasbench_harness.engine.source_charges import SourceCharges
from nasbench_harness.engine.strategy import Proposals, Strategy
from nasbench_harness.engine.trace import Batch, Trace
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.instances import Labels, labels_of
from nasbench_harness.evaluation.ledger import Ledger, expected_evaluations
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.sources import SourceReads
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task

_MAX_PROGRESS = 100_000  # rows of a run in a row without an evaluation: a strategy that never ends

StrategyFactory = Callable[[], Strategy]


class StrategyFailed(Exception):  # noqa: N818 - no error of its own: it carries the strategy's
    """A strategy raised or broke its contract, and nobody knows for which run; ``__cause__`` says how.

    Attributes:
        num_evaluations: Evaluations that were charged to all runs before it failed.
    """

    num_evaluations = 0


def run_batch(
    make_strategy: StrategyFactory,
    task: Task,
    protocol: Protocol,
    study_seed: int,
    run_seeds: Ints,
    sources: SourceReads | None = None,
) -> Batch:
    """Advance all runs of a batch until each has spent its budget or has nothing more to propose.

    Args:
        make_strategy: Builds the strategy for exactly these runs.
        task: The searched task.
        protocol: The rules.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).
        sources: Reads of sources by the strategy's problem; None: it reads none.

    Raises:
        StrategyError: The strategy broke its contract; its other exceptions are raised as they are.
    """
    try:
        batch = play(make_strategy(), task, protocol, study_seed, run_seeds, sources=sources)
    except StrategyFailed as failed:
        raise (failed.__cause__ or failed) from None
    for error in batch.failures.values():
        raise error
    return batch


def play(
    strategy: Strategy,
    task: Task,
    protocol: Protocol,
    study_seed: int,
    run_seeds: Ints,
    run_timeout: float | None = None,
    sources: SourceReads | None = None,
) -> Batch:
    """Advance all runs like ``run_batch``; a run that fails alone is listed and the others go on.

    Args:
        strategy: A strategy for exactly these runs, which has not played.
        task: The searched task.
        protocol: The rules.
        study_seed: Seed of the study.
        run_seeds: Seed of each run, shape (num_runs,).
        run_timeout: Real seconds that the strategy may use: a lifted generator for each run, a class for the batch.
        sources: Reads of sources by the strategy's problem; None: it reads none.

    Raises:
        StrategyFailed: A class raised, broke its contract or ran out of time.
    """
    if isinstance(strategy, LiftedGenerators):
        strategy.limit(run_timeout)
        run_timeout = None
    ledger, labels = (
        Ledger(task, protocol, study_seed, run_seeds),
        labels_of(task.space, protocol, study_seed, run_seeds),
    )
    try:
        return _Loop(strategy, task, protocol, ledger, run_timeout, sources, labels).run()
    except StrategyFailed as failed:
        failed.num_evaluations = int(ledger.counted.sum())
        raise


class _Loop:
    def __init__(
        self,
        strategy: Strategy,
        task: Task,
        protocol: Protocol,
        ledger: Ledger,
        run_timeout: float | None,
        sources: SourceReads | None = None,
        labels: Labels | None = None,
    ) -> None:
        self.strategy, self.task, self.ledger, self.labels = strategy, task, ledger, labels
        self.charges: SourceCharges | None = None
        if sources is not None:
            self.charges = SourceCharges(sources, ledger, protocol, self.record_without_value)
        self.num_runs = len(ledger.counted)
        self.measures = task.under(protocol).measures
        self.value_names = self.measures.names
        self.num_workers, self.is_sync = protocol.workers, protocol.mode == "sync"
        self.pending = Pending(self.num_workers, self.num_runs)
        self.trace = Trace(
            self.num_runs, self.value_names, expected_evaluations(task, protocol), has_workers=self.num_workers > 1
        )
        self.tickets = np.zeros(self.num_runs, dtype=np.int64)
        self.no_fidelity = np.zeros(self.num_runs, dtype=np.int64)
        self.num_fidelities = max(1, len(task.under(protocol).fidelities))
        self.fidelities: Ints | None = None  # of the proposals that have not started, if the strategy may choose
        self.is_bounded = bool(self.measures.constraints)
        self.name = strategy.name
        # Decided by the class, not by what a batch happens to return: blocks must not depend on their batch.
        self.recommends = strategy.can_recommend
        self.last_recommended = np.full(self.num_runs, -1)
        self.nobody = np.zeros(self.num_runs, dtype=bool)
        self.delays_s: Floats | None = None  # of the proposals that have not started, if a run has several workers
        self.num_progress = np.zeros(self.num_runs, dtype=np.int64)  # rows in a row without an evaluation
        self.progress_at = np.zeros(self.num_runs, dtype=np.int64)  # tickets given when these rows began
        self.seconds = 0.0
        self.limit = None if run_timeout is None else TimeLimit(run_timeout, self.name)

    def run(self) -> Batch:
        active = np.ones(self.num_runs, dtype=bool)
        while True:
            active = self.fill(active)
            if not np.count_nonzero(self.pending.counts):
                break
            self.advance()
            active &= self.ledger.has_budget()
        self.of_strategy(self.strategy.close)
        num_source_rows = 0 if self.charges is None else self.charges.num_rows
        is_empty = (self.ledger.counted == num_source_rows) & (self.last_recommended < 0)
        failures = self.strategy.failures if isinstance(self.strategy, LiftedGenerators) else {}
        return Batch(self.trace, self.seconds, int(self.ledger.counted.sum()), is_empty, failures)

    def fill(self, active: Bools) -> Bools:
        """Start evaluations until no run is idle or has more to propose; returns the runs that have not ended."""
        idle = active & (self.pending.counts == 0 if self.is_sync else self.pending.has_room)
        while np.count_nonzero(idle):
            architectures, started = self.ask(idle)
            if np.count_nonzero(started) < np.count_nonzero(idle):
                has_ended = idle & ~started & (self.pending.counts == 0)
                self.end(has_ended & self.ledger.has_budget())
                active = active & ~has_ended
            if not np.count_nonzero(started):
                break
            self.start(architectures, started)
            if self.num_workers == 1:
                break
            idle = started & self.pending.has_room & self.ledger.has_budget()
        return active

    def ask(self, active: Bools) -> tuple[Ints, Bools]:
        """One proposal of every active run that has any; the others have ended. Progress is recorded on the way."""
        architectures = np.zeros(self.num_runs, dtype=np.int64)
        started = self.nobody.copy()
        idle = active
        while True:
            if self.charges is not None:
                self.charges.open()
            proposals = self.of_strategy(self.proposals, idle)
            proposes = proposals.architectures >= 0
            np.copyto(architectures, proposals.architectures, where=proposes)
            started |= proposes
            if self.num_fidelities > 1:
                self.choose(proposals.fidelities, proposes)
            if proposals.extra_cost_s is None and self.charges is None:
                return architectures, started
            has_read = self.nobody if self.charges is None else self.charges.close() & ~proposes
            progressed = self.nobody
            if proposals.extra_cost_s is not None:
                seconds = proposals.extra_cost_s
                if self.num_workers > 1:
                    self.delay(seconds, proposes)
                    seconds = np.where(proposes, 0.0, seconds)
                progressed = self.spend(seconds, proposes)
            idle = (has_read | progressed) & self.ledger.has_budget()
            if not np.count_nonzero(idle):
                return architectures, started

    def choose(self, fidelities: Ints | None, proposes: Bools) -> None:
        """Keep the fidelities of proposals; the highest for a strategy that names none."""
        highest = np.full(self.num_runs, self.num_fidelities - 1)
        before = highest if self.fidelities is None else self.fidelities
        self.fidelities = np.where(proposes, highest if fidelities is None else fidelities, before)

    def proposals(self, idle: Bools) -> Proposals:
        """The strategy's checked proposals; ``ask`` gets its own copy of ``idle``."""
        answer = self.strategy.ask(own_copy(idle))
        size = self.task.space.num_architectures
        proposals = checked_proposals(self.name, answer, idle, size, self.task.name, self.num_fidelities)
        if self.labels is None:
            return proposals
        return proposals._replace(architectures=self.labels.own(proposals.architectures))

    def delay(self, seconds: Floats, proposes: Bools) -> None:
        """Let search time delay its own proposal, and not the evaluations that are under way."""
        before = np.zeros(self.num_runs) if self.delays_s is None else self.delays_s
        self.delays_s = np.where(proposes, seconds, before)

    def spend(self, seconds: Floats, proposes: Bools) -> Bools:
        """Charge declared search time; returns the runs that made progress only and are asked again."""
        progressed: Bools = ~proposes & (seconds > 0)
        charged_s, late = self.ledger.spend(seconds)
        if np.count_nonzero(progressed):
            self.record_progress(progressed, charged_s, late)
            is_in_a_row = self.tickets == self.progress_at
            self.num_progress = np.where(is_in_a_row, self.num_progress, 0) + progressed
            self.progress_at = self.tickets.copy()
            if self.num_progress.max() >= _MAX_PROGRESS:
                self.of_strategy(self.refuse_progress)
        return progressed & self.ledger.has_budget()

    def refuse_progress(self) -> Never:
        fault = f"{self.name} made progress {_MAX_PROGRESS:,} times in a row without an evaluation"
        raise StrategyError(f"{fault}: propose an architecture, or end the run")

    def end(self, ended: Bools) -> None:
        """Keep recommendations of runs that ended, e.g. the return values of generators."""
        if self.recommends:
            recommended = self.of_strategy(self.recommended)
            changed = ended & (recommended >= 0) & (recommended != self.last_recommended)
            if np.count_nonzero(changed):
                self.record_progress(changed, np.zeros(self.num_runs))

    def start(self, architectures: Ints, started: Bools) -> None:
        """Charge the proposals."""
        fidelities = self.no_fidelity if self.fidelities is None else self.fidelities
        entries = self.ledger.start(architectures, started, self.delays_s, fidelities)
        self.delays_s = self.fidelities = None
        columns = {
            **entries._asdict(),
            "ticket": self.tickets,
            "architectures": architectures,
            "fidelities": fidelities,
        }
        self.pending.start(columns, started)
        self.tickets = self.tickets + started

    def advance(self) -> None:
        """Finish the earliest evaluation of every run that has any: move its clock, record its row, tell."""
        columns, finished = self.pending.finish()
        if np.count_nonzero(finished) < self.num_runs:
            columns |= {"status": np.where(finished, columns["status"], Status.NONE)}
        others = {} if self.num_fidelities == 1 else {"fidelity": columns["fidelities"]}
        if self.num_workers > 1:
            others |= {name: columns[name] for name in ("worker", "started_s")}
            # Progress moves the clock: a result that comes in meanwhile is taken afterwards.
            columns["finished_s"] = np.maximum(columns["finished_s"], self.ledger.clock_s)
        self.ledger.finish(columns["finished_s"], finished)
        self.trace.append(
            architecture=columns["architectures"],
            replicate=columns["replicates"],
            training=columns["trainings"],
            cost_s=columns["cost_s"],
            finished_s=columns["finished_s"],
            status=columns["status"],
            **others,
            **dict(zip(self.value_names, columns["natural"].T, strict=True)),
        )
        feasible = finished & self.measures.is_feasible(columns["natural"]) if self.is_bounded else finished
        if self.labels is not None:
            columns = {**columns, "architectures": self.labels.shown(columns["architectures"])}
        results = results_of(columns, finished, feasible, self.ledger.clock_s)
        self.of_strategy(self.strategy.tell, results)
        if self.recommends:
            self.last_recommended = self.of_strategy(self.recommended)
            self.trace.recommend(self.last_recommended)

    def record_progress(self, runs: Bools, seconds: Floats, late: Bools | None = None) -> None:
        """Rows without an evaluation; recommendations of ``late`` runs came too late."""
        self.record_without_value(runs, Status.PROGRESS, seconds)
        if self.recommends:
            recommended = self.of_strategy(self.recommended)
            if late is not None:
                recommended = np.where(late, self.last_recommended, recommended)
            self.last_recommended = recommended
            self.trace.recommend(recommended)

    def record_without_value(self, runs: Bools, status: Status, seconds: Floats) -> None:
        """A row of some runs without an evaluation of the task; recommendations stay."""
        self.trace.append(
            architecture=np.full(self.num_runs, -1),
            cost_s=seconds,
            finished_s=self.ledger.clock_s,
            status=np.where(runs, status, Status.NONE),
            **dict.fromkeys(self.value_names, np.full(self.num_runs, np.nan)),
        )
        if self.recommends:
            self.trace.recommend(self.last_recommended)

    def recommended(self) -> Ints:
        """Recommendation of each run now, −1 for the incumbent; that of a run whose sources took the rest stays."""
        answer = self.strategy.recommend()
        recommended = np.full(self.num_runs, -1)
        if answer is not None:
            size = self.task.space.num_architectures
            recommended = checked_architectures(self.name, "recommend()", answer, self.num_runs, size)
            # A copy: a strategy may keep one array and change it.
            recommended = recommended.copy() if self.labels is None else self.labels.own(recommended)
        ended = self.ledger.ended_by_sources
        return recommended if ended is None else np.where(ended, self.last_recommended, recommended)

    def of_strategy(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call the strategy, or a check of its answer, on its time.

        Raises:
            StrategyFailed: It raised, broke its contract or ran out of time.
        """
        start = perf_counter()
        try:
            if self.limit is not None:
                return self.limit.call(None, call, *arguments)
            return call(*arguments)
        except NOT_OF_STRATEGIES:
            raise
        except BaseException as error:
            raise StrategyFailed from as_exception(self.name, error)
        finally:
            self.seconds += perf_counter() - start
