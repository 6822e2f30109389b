"""Contract of strategies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from inspect import getattr_static
from typing import Any, ClassVar

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.engine.batches import Rules
from nasbench_harness.engine.needs import granted_problem
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, load_task, restricted_task
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.testing.contract import Contract, fail, global_generators_untouched
from nasbench_harness.testing.elsewhere import fail_for_reads, play_elsewhere
from nasbench_harness.testing.playing import play_at_random_times, play_with_pending
from nasbench_harness.testing.rules import rules_to_survive
from nasbench_harness.testing.sources import sources_of
from nasbench_harness.testing.traces import LOOKUPS, trace_of
from nasbench_harness.testing.watching import watched
from nasbench_harness.untrusted import first_line

_SEEDS = np.arange(12)
_LONGER = 4
_FIRST_PROPOSALS = 5
_MANY_LOOKUPS = 20  # a climb by a free metric needs more; a run that knows the optimum needs none
_MIN_ARCHITECTURES = 1_000  # of a space in which a first proposal that is the optimum is no chance
_OWN_GENERATOR = (
    "a generator without a seed, as np.random.default_rng() makes it (rng.numpy_generator() has the run's seed)"
)
_LEFT_OUT = "none,nor_conv_1x1,avg_pool_3x3"  # two choices are left for each of six edges


class StrategyContract(Contract):
    """Sentences about a strategy.

    Attributes:
        strategy: A class, a generator function, or a text ``[label=]reference[(key=value, …)]``.
        tasks: Tasks of the trial; spaces of different shapes show choices that are written into the code.
        evaluations: Budget of the runs.
        sources: Sources of a strategy that needs them, which it reads beside the budget; empty: for each task the first
            other one of its space that does not hold its data.
        source_evaluations: Most evaluations of sources of a run.
        is_random: Whether different seeds must give different traces.
        max_seconds: Real seconds for all rules together, if ``run_contract`` tries them.
    """

    max_seconds: ClassVar[float | None] = 300.0
    first: ClassVar[str | None] = "test_it_can_be_played"

    strategy: ClassVar[Any] = None
    tasks: ClassVar[tuple[str, ...]] = ("nb201-cifar10", "nb201-imagenet16-120")
    evaluations: ClassVar[int] = 50
    is_random: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ()
    source_evaluations: ClassVar[int] = 40

    @cached_property
    def spec(self) -> ResolvedStrategy:
        """The strategy, found and with all its hyperparameters."""
        use = getattr_static(self, "strategy")  # a function stays a function
        use = use.__func__ if isinstance(use, staticmethod) else use
        return resolve(
            parse_strategy(use) if isinstance(use, str) else use if isinstance(use, StrategyRef) else StrategyRef(use)
        )

    @cached_property
    def _sources(self) -> tuple[str, ...]:
        return self.sources or sources_of(self.tasks)

    def rules(self, **others: Any) -> dict[str, Any]:
        """Fields of the protocol of a trial, with all fidelities or with sources if the strategy needs them."""
        asks = self.spec.needs.fidelities and all(map(_has_fidelities, self.tasks))  # others are refused with a reason
        chosen: dict[str, Any] = {"fidelity": "all"} if asks else {}
        if self.spec.needs.sources:
            chosen["sources"] = self._sources
            chosen |= {"source_evaluations": self.source_evaluations, "source_cost": "reported"}
        return {"evaluations": self.evaluations, **chosen, **others}

    def trace(self, seeds: Ints, task: str, **protocol: Any) -> dict[int, dict[str, AnyArray]]:
        """Rows of every seed's run."""
        return trace_of(self.spec, load_task(task), seeds, self.rules(**protocol))

    def problem(self, task: Task, protocol: Protocol, seeds: Ints) -> Problem:
        """The task as the strategy sees it."""
        return granted_problem(self.spec, task.under(protocol), study_seed=0, run_seeds=seeds)

    reads: Mapping[str, str]

    @cached_property
    def together(self) -> dict[str, dict[int, dict[str, AnyArray]]]:
        """Traces of all seeds in one batch, by task."""
        with watched(getattr(self.spec.target, "__module__", "")) as self.reads:
            return {task: self.trace(_SEEDS, task) for task in self.tasks}

    def test_it_can_be_played(self) -> None:
        """It plays without an error: proposals have the right types, shapes and ranges."""
        _ = self.together
        if not self.spec.needs.training_data:  # a supernet would train once more
            self.trace(_SEEDS[:1], self.tasks[0], evaluations=Protocol().evaluations)

    def test_runs_spend_exactly_their_budget(self) -> None:
        """A run starts exactly as many evaluations as the budget has, unless it ends by itself."""
        for task, traces in self.together.items():
            for seed, rows in traces.items():
                count = int((rows["status"] != Status.PROGRESS).sum())
                if count > self.evaluations or count == 0:
                    fail(
                        f"1 … {self.evaluations} evaluations in every run",
                        f"{count} in the run with seed {seed} on {task}",
                        "budgets are exact: N, never N + 1",
                        "the generator returns before it yields",
                    )

    def test_global_generators_are_untouched(self) -> None:
        """Neither Python's nor NumPy's global generator is used."""
        with global_generators_untouched(self.spec.label):
            self.trace(_SEEDS[:2], self.tasks[0])

    def test_a_run_is_the_same_in_any_batch(self) -> None:
        """A run's trace depends on its identity only, not on the runs that share its batch."""
        for task, traces in self.together.items():
            for seeds in ([3], [7], [0, 11], [11, 5, 3, 0, 7]):
                for seed, rows in self.trace(np.array(seeds), task).items():
                    where = f"seed {seed} on {task} in the batch {seeds} instead of all twelve"
                    _same(
                        rows,
                        traces[seed],
                        where,
                        _cause(
                            self.spec, "lookup() without runs=, a draw for all runs at once, or a product without tile="
                        ),
                    )

    def test_only_idle_runs_draw(self) -> None:
        """Runs that are asked at different times give the traces that they give together."""
        task, rules = load_task(self.tasks[0]), Rules(Protocol(**self.rules()), 0)
        seeds = _SEEDS[: self.spec.max_runs]
        problem = self.problem(task, rules.protocol, seeds)
        strategy = self.spec.make(problem, task.name, rules.study_seed, seeds)
        ledger, num_fidelities = Ledger(task, rules.protocol, 0, seeds), max(1, len(problem.fidelities))
        proposals = play_at_random_times(strategy, ledger, self.evaluations, num_fidelities)
        for seed in seeds.tolist():
            expected = self.together[task.name][seed]
            places = expected.get("fidelity", np.zeros(len(expected["status"]), dtype=np.int64))
            whole = list(zip(expected["architecture"].tolist(), places.tolist(), strict=True))
            whole = [whole[row] for row in np.flatnonzero(expected["status"] != Status.PROGRESS)]
            if proposals[seed] != whole:
                fail(
                    "the same proposals (architecture, fidelity) when only some runs are idle at a time",
                    f"seed {seed} proposes {proposals[seed][:8]}… instead of {whole[:8]}…",
                    "only idle runs are read, and only they may draw",
                    _cause(
                        self.spec, "rng is called without runs=, or state of runs that are not idle is changed in ask()"
                    ),
                )

    def test_evaluations_may_be_pending_and_finish_out_of_order(self) -> None:
        """With 4 evaluations pending, finishing out of order, runs go on and do not depend on their batch."""
        if self.spec.is_generator:
            return  # a generator has one evaluation pending by its form
        budget = _LONGER * self.evaluations  # states that rarely occur, such as a local optimum, need longer runs
        task, rules = load_task(self.tasks[0]), Rules(Protocol(**self.rules(evaluations=budget)), 0)
        seeds = _SEEDS[: self.spec.max_runs]

        def play(part: Ints) -> dict[int, list[int]]:
            problem = self.problem(task, rules.protocol, part)
            strategy = self.spec.make(problem, task.name, rules.study_seed, part)
            num_fidelities = max(1, len(problem.fidelities))
            return play_with_pending(strategy, Ledger(task, rules.protocol, 0, part), part, num_fidelities)

        proposals = play(seeds)
        early = np.array([seed for seed in seeds.tolist() if len(proposals[seed]) < budget], dtype=np.int64)
        alone_too = self.trace(early, task.name, evaluations=budget) if len(early) else {}
        counts = {seed: int((rows["status"] != Status.PROGRESS).sum()) for seed, rows in alone_too.items()}
        # Its own end may depend on the order of results, so one short run is no stall.
        stalls = (
            bool(counts) and np.median([len(proposals[seed]) / max(count, 1) for seed, count in counts.items()]) < 0.5
        )
        for seed, count in counts.items():
            if count == budget or (stalls and len(proposals[seed]) < count / 2):
                fail(
                    f"{count} evaluations in the run with seed {seed}, as with one worker",
                    f"{len(proposals[seed])}, then −1 with nothing pending",
                    "with several workers a run is asked again before its results are in",
                    "a state that waits for a result which came in another order, or for the last of a generation",
                )
        for seed in seeds[:2]:
            alone = play(np.array([seed]))[int(seed)]
            if alone != proposals[int(seed)]:
                fail(
                    f"the same proposals of seed {seed} alone and among {len(seeds)}",
                    f"{alone[:8]}… instead of {proposals[int(seed)][:8]}…",
                    "a run must depend on its identity and its results only",
                    "results filed by the order of calls instead of by ticket",
                )

    def test_another_process_and_hash_seed_give_the_same_trace(self) -> None:
        """In another process, under another hash seed and after other tasks, a run has the same trace."""
        play_elsewhere(self.spec, self.together, self.rules())

    def test_different_seeds_give_different_runs(self) -> None:
        """Runs with different seeds are different runs."""
        if not self.is_random:
            return
        for task, traces in self.together.items():
            distinct = len({rows["architecture"].tobytes() for rows in traces.values()})
            # Two runs of very few evaluations may be equal by chance, but not all of them.
            is_short = max(len(rows["architecture"]) for rows in traces.values()) < _FIRST_PROPOSALS
            if distinct < (2 if is_short else len(traces)):
                fail(
                    f"{2 if is_short else len(traces)} different traces on {task}",
                    f"{distinct}",
                    "equal runs make every interval too narrow",
                    "a generator seeded with a constant; for a deterministic strategy subclass StrategyContract with "
                    "is_random = False",
                )

    def test_every_rule_of_a_protocol_is_survived(self) -> None:
        """No rule about repeats, budgets, workers, constraints or fidelities ends a run with an error."""
        for task, rule in rules_to_survive(self.spec, load_task(self.tasks[0])):
            protocol = self.rules(**rule)
            try:
                trace_of(self.spec, task, _SEEDS[:4], protocol)
            except Exception as error:
                fail(
                    f"runs under {rule}",
                    f"{type(error).__name__}: {first_line(error)}",
                    "a protocol belongs to the study, not to the strategy",
                    "a loss of +inf (no value), problem.budget.evaluations being None, or results in another order",
                )

    def test_a_small_space_is_searched_without_an_error(self) -> None:
        """Every proposal is an architecture of the space, if it has 64 only."""
        task = load_task(self.tasks[0])
        if not isinstance(task.space, NASBench201Space) or self.spec.needs.sources or self.spec.needs.training_data:
            return
        try:
            trace_of(self.spec, restricted_task(task.table, task.dataset, _LEFT_OUT), _SEEDS[:4], self.rules())
        except Exception as error:
            fail(
                "runs on 64 cells, which chance would leave soon",
                f"{type(error).__name__}: {first_line(error)}",
                "a strategy may be used on any space",
                "an index that is off by one, or the size of one space as a number in the code",
            )

    def test_the_optimum_is_not_known_from_the_start(self) -> None:
        """The table's optimum is not among the first proposals of most seeds."""
        for name, traces in self.together.items():
            task = load_task(name)
            if task.space.num_architectures < _MIN_ARCHITECTURES or not task.scores["val"].has_optimum:
                continue
            optima = [view.optimum for view in task.scores.values()]
            if _is_led_to(task.problem(Protocol(**self.rules())), optima, traces.values()):
                continue
            first = [rows["architecture"][rows["architecture"] >= 0][:_FIRST_PROPOSALS] for rows in traces.values()]
            count = sum(bool(np.isin(proposals, optima).any()) for proposals in first)
            if count > len(traces) / 2:
                fail(
                    f"the optimum of {name} among the first {_FIRST_PROPOSALS} proposals in few of {len(traces)} runs",
                    f"in {count} of {len(traces)}",
                    f"chance finds one of {task.space.num_architectures:,} architectures in hardly any run",
                    "the best architecture is written into the code, or read from the table; if free metrics that it "
                    "looks up lead there together, name other tasks",
                )

    def test_no_scores_are_read(self) -> None:
        """Tables, scores and the memory of the harness are not read."""
        _ = self.together  # plays the runs, which are watched
        if self.reads:
            fail_for_reads(self.reads)

    def test_results_are_never_changed(self) -> None:
        """Nothing that a strategy receives is changed by it."""
        self.trace(_SEEDS[:2], self.tasks[0])  # the engine hands out read-only arrays: writing raises

    def test_hyperparameters_are_json(self) -> None:
        """Hyperparameters are JSON values: they are part of a run's identity."""
        json.dumps(dict(self.spec.parameters))


def note_on(contract: StrategyContract) -> str:
    """A line about runs that end by themselves; empty if none does."""
    traces = [rows for of_task in contract.together.values() for rows in of_task.values()]
    counts = [int((rows["status"] != Status.PROGRESS).sum()) for rows in traces]
    early = sum(count < contract.evaluations for count in counts)
    first = f"the first after {min(counts)} of {contract.evaluations} evaluations"
    return f"{early} of {len(counts)} runs end by themselves, {first}" if early else ""


def _is_led_to(problem: Problem, optima: list[int], traces: Iterable[Mapping[str, AnyArray]]) -> bool:
    """Whether an optimum is among the first by a free metric that each run looked up often enough to climb by it."""
    size = problem.space.num_architectures
    needed = min(size / 10, _MANY_LOOKUPS)
    counts = [{name: int(rows[name].sum()) for name in rows if name.startswith(LOOKUPS)} for rows in traces]
    for column in sorted({name for of_run in counts for name in of_run}):
        if min(of_run.get(column, 0) for of_run in counts) < needed:
            continue
        values = problem.lookup(column.removeprefix(LOOKUPS), np.arange(size))
        for signed in (values, -values):
            if np.isin(np.argsort(signed, kind="stable")[:_FIRST_PROPOSALS], optima).any():
                return True
    return False


def _has_fidelities(name: str) -> bool:
    task = load_task(name)
    return len(task.table.datasets[task.dataset].fidelities) > 1


def _cause(spec: ResolvedStrategy, of_classes: str) -> str:
    """The usual cause of traces that are not those of the run alone, for the form of the strategy."""
    shared = f"a variable that one run changes and another reads, or {_OWN_GENERATOR}"
    return shared if spec.is_generator else f"{of_classes}, or {shared}"


def _same(found: dict[str, AnyArray], expected: dict[str, AnyArray], where: str, cause: str) -> None:
    for name in {**expected, **found}:
        equal_nan = name in expected and expected[name].dtype.kind == "f"
        if name in expected and name in found and np.array_equal(found[name], expected[name], equal_nan=equal_nan):
            continue
        fail(
            f"the same trace for {where}",
            f"another {name}",
            "a run must depend on its identity only",
            cause,
        )
