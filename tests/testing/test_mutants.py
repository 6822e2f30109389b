"""Every rule of a contract can fail: code that breaks it is told so."""

import gc
import inspect
import itertools
import random
import re
import sys
import time

import numpy as np
import pytest
from kit.cases import fast_first
from kit.contracts import failures

from nasbench_harness import Progress, Proposals, Strategy
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import InvalidInputError, StrategyError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.oracle import TableOracle
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.testing import (
    Contract,
    Finding,
    OracleContract,
    SpaceContract,
    StrategyContract,
    TableContract,
    playing,
    run_contract,
)
from nasbench_harness.testing.tables import _padded_share
from nasbench_harness.testing.traces import trace_of
from nasbench_harness.testing.watching import watched

COUNTER = itertools.count()
TASK = load_task("nb201-cifar10")
MEAN = MetricArray(Metric("loss", "", "minimize", "search"), np.ones((2, 1, 1)))
OPTIMUM = 6_111  # read from no table: the import is watched


def of_strategy(strategy, *rules):
    target = strategy if isinstance(strategy, str | type) else staticmethod(strategy)
    contract = type("Mutant", (StrategyContract,), {"strategy": target, "tasks": ("nb201-cifar10",)})()
    return failures(contract, *rules)


class NeverProposes(Strategy):
    def ask(self, idle):
        return Proposals(np.full(len(idle), -1), extra_cost_s=np.full(len(idle), 1e-9))

    def tell(self, results):
        pass


def off_by_one(problem, rng):
    while True:
        yield 1 + rng.integers(problem.space.num_architectures)


def has_a_generator_of_its_own(problem, rng):
    own = np.random.default_rng()
    while True:
        yield int(own.integers(problem.space.num_architectures))


def test_an_index_that_is_off_by_one_is_found_in_a_small_space():
    message = of_strategy(off_by_one, "a_small_space_is_searched_without_an_error")
    assert "yielded 64: an architecture is in 0 … 63" in message["a_small_space_is_searched_without_an_error"]


def test_a_generator_without_a_seed_is_a_usual_cause():
    rule = "a_run_is_the_same_in_any_batch"
    assert "np.random.default_rng()" in of_strategy(has_a_generator_of_its_own, rule)[rule]


def test_the_play_with_pending_evaluations_ends_by_itself(monkeypatch):
    monkeypatch.setattr(playing, "_MAX_PROGRESS", 50)
    strategy = NeverProposes(TASK.problem(Protocol()), RunStreams(np.arange(2, dtype=np.uint64)))
    ledger = Ledger(TASK, Protocol(), 0, np.arange(2))
    with pytest.raises(StrategyError, match="made progress 50 times in a row without an evaluation"):
        playing.play_with_pending(strategy, ledger, np.arange(2))


def global_generator(problem, rng):
    while True:
        yield random.randrange(problem.space.num_architectures)


def same_for_all_seeds(problem, rng):
    architecture = 0
    while True:
        yield architecture
        architecture += 1


def short_and_the_same_for_all_seeds(problem, rng):
    yield 5


def shared_state(problem, rng):
    while True:
        yield next(COUNTER) % 100 + problem.space.sample(rng) // 2


class LooksUpForAll(Strategy):
    """Looks the proposals of all runs up for every run."""

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle)
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        self.problem.lookup("latency_ms", architectures[runs])
        return Proposals(architectures)

    def tell(self, results):
        pass


def needs_a_budget(problem, rng):
    for _ in range(problem.budget.evaluations):
        yield problem.space.sample(rng)


def needs_a_value(problem, rng):
    while True:
        evaluation = yield problem.space.sample(rng) % 20
        yield problem.space.sample(rng) + 0 * int(evaluation.loss)


class DrawsForAll(Strategy):
    def ask(self, idle):
        return Proposals(self.problem.space.sample(self.rng))

    def tell(self, results):
        pass


class WritesIntoResults(DrawsForAll):
    def tell(self, results):
        results.values[:] = 0


class CouplesItsRuns(Strategy):
    """Mutates the best of the whole batch."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.best, self.loss = None, np.inf

    def ask(self, idle):
        runs = np.flatnonzero(idle)
        architectures = np.full(len(idle), -1)
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        if self.best is not None:
            parents = np.full(len(runs), self.best)
            architectures[runs] = self.problem.space.mutate(parents, self.rng, runs)
        return Proposals(architectures)

    def tell(self, results):
        if results.losses.min() < self.loss:
            self.best, self.loss = int(results.architectures[results.losses.argmin()]), float(results.losses.min())


@pytest.mark.parametrize(
    ("strategy", "rule", "cause"),
    [
        (global_generator, "global_generators_are_untouched", "instead of the rng that is handed over"),
        (same_for_all_seeds, "different_seeds_give_different_runs", "is_random = False"),
        (short_and_the_same_for_all_seeds, "different_seeds_give_different_runs", "expected: 2 different traces"),
        (shared_state, "a_run_is_the_same_in_any_batch", "a variable that one run changes"),
        (needs_a_budget, "every_rule_of_a_protocol_is_survived", "problem.budget.evaluations being None"),
        (needs_a_value, "every_rule_of_a_protocol_is_survived", "a loss of +inf"),
        (DrawsForAll, "only_idle_runs_draw", "rng is called without runs="),
        (WritesIntoResults, "it_can_be_played", "read-only"),
        (LooksUpForAll, "a_run_is_the_same_in_any_batch", "lookup() without runs="),
        (CouplesItsRuns, "a_run_is_the_same_in_any_batch", "a variable that one run changes"),
    ],
)
def test_broken_strategies_are_told_why(strategy, rule, cause):
    assert cause in of_strategy(strategy, rule)[rule]


def test_a_hash_dependent_strategy_is_found_by_another_process(tmp_path, monkeypatch):
    (tmp_path / "hashing_search.py").write_text(
        "def search(problem, rng):\n"
        "    offset = hash('a') % 1000\n"
        "    while True:\n"
        "        yield (problem.space.sample(rng) + offset) % problem.space.num_architectures\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = of_strategy("hashing_search:search")
    assert "PYTHONHASHSEED" in found["another_process_and_hash_seed_give_the_same_trace"]
    assert list(found) == ["another_process_and_hash_seed_give_the_same_trace"]


def knows_the_optimum(problem, rng):
    while True:
        yield OPTIMUM
        yield problem.space.sample(rng)


def asks_for_the_scores(problem, rng):
    scores = load_task("nb201-cifar10").scores["val"].values
    while True:
        architecture = problem.space.sample(rng)
        yield architecture + 0 * int(scores[architecture])


def asks_for_the_table(problem, rng):
    accuracy = load_table("nb201").column("cifar10", "val_accuracy").values
    while True:
        architecture = problem.space.sample(rng)
        yield architecture + 0 * int(accuracy[architecture, 0, 0])


def rummages(problem, rng):
    views = [held for held in gc.get_objects() if type(held).__name__ == "ScoreView"]
    while True:
        yield problem.space.sample(rng) + 0 * len(views)


def climbs_the_stack(problem, rng):
    while True:
        frame = inspect.currentframe()
        yield problem.space.sample(rng) + 0 * bool(frame.f_back)


class ScoresInLockstep(DrawsForAll):
    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle)
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        assert len(TASK.scores["val"].grid_values)
        return Proposals(architectures)


@pytest.mark.parametrize(
    ("strategy", "what"),
    fast_first(
        [
            (asks_for_the_scores, "scores of a Task, values of a ScoreView"),
            (ScoresInLockstep, "grid_values of a ScoreView"),
            (asks_for_the_table, "column of a Table"),
            (rummages, r"gc.get_objects()"),
            (climbs_the_stack, "sys._getframe()"),
        ],
        2,
    ),
)
def test_a_strategy_that_reads_scores_is_named(strategy, what):
    assert what in of_strategy(strategy, "no_scores_are_read")["no_scores_are_read"]


def test_a_strategy_that_knows_the_optimum_is_named():
    assert TASK.scores["val"].optimum == OPTIMUM
    found = of_strategy(knows_the_optimum, "the_optimum_is_not_known_from_the_start", "no_scores_are_read")
    assert "in 12 of 12" in found["the_optimum_is_not_known_from_the_start"]
    assert "no_scores_are_read" not in found


def knows_the_optimum_and_looks_one_value_up(problem, rng):
    problem.lookup("meco", [0])  # the optimum of CIFAR-100 is among the first by this score
    yield 9_930
    while True:
        yield problem.space.sample(rng)


def test_one_lookup_does_not_lead_to_the_optimum():
    assert load_task("nb201-cifar100").scores["val"].optimum == 9_930
    members = {"strategy": staticmethod(knows_the_optimum_and_looks_one_value_up), "tasks": ("nb201-cifar100",)}
    rule = "the_optimum_is_not_known_from_the_start"
    assert "in 12 of 12" in failures(type("Mutant", (StrategyContract,), members)(), rule)[rule]


class StallsAndEnds(DrawsForAll):
    """Generations of four; the next one begins only if the last ticket of one comes last. Ends after 150."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.asked, self.told = np.zeros(rng.num_runs, dtype=np.int64), np.zeros(rng.num_runs, dtype=np.int64)
        self.is_open = np.ones(rng.num_runs, dtype=bool)

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle & self.is_open & (self.asked < 150))
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        self.asked[runs] += 1
        self.is_open[runs] = self.asked[runs] % 4 != 0
        return Proposals(architectures)

    def tell(self, results):
        runs = np.flatnonzero(results.ticket >= 0)
        self.told[runs] += 1
        last = runs[results.ticket[runs] % 4 == 3]
        self.is_open[last] = self.told[last] % 4 == 0


def test_a_stall_with_several_workers_is_found_before_an_end_of_its_own():
    rule = "evaluations_may_be_pending_and_finish_out_of_order"
    assert "expected: 150 evaluations" in of_strategy(StallsAndEnds, rule)[rule]


def raises_without_text(problem, rng):
    yield problem.space.sample(rng)
    raise InvalidInputError("")


def test_an_error_of_the_package_without_text_is_a_finding():
    found = of_strategy(raises_without_text)["it_can_be_played"]
    assert found.startswith("InvalidInputError, at test_mutants.py:")


def test_reads_of_the_harness_itself_are_no_findings():
    with watched(__name__) as reads:
        trace_of(resolve(StrategyRef("random-search")), load_task("nb201-cifar10"), np.arange(3), {"evaluations": 5})
    assert not reads
    assert "__getattribute__" not in vars(type(TASK.scores["val"]))


def hangs(problem, rng):
    yield problem.space.sample(rng)
    time.sleep(600)


def never_ends(problem, rng):
    while True:
        yield Progress(1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("strategy", [hangs, never_ends])
def test_a_check_ends_by_itself(strategy):
    start = time.monotonic()
    members = {"strategy": staticmethod(strategy), "tasks": ("nb201-cifar10",), "max_seconds": 1.0}
    played, *others = run_contract(type("Mutant", (StrategyContract,), members)())
    assert time.monotonic() - start < 15
    assert "real time, its limit" in played.failure
    assert not any(finding.was_tried for finding in others)


class Hangs(Contract):
    max_seconds = 0.2

    def test_holds(self):
        """It holds."""

    def test_hangs(self):
        """It hangs."""
        time.sleep(600)

    def test_comes_too_late(self):
        """It would hold."""


def test_rules_without_time_are_not_tried():
    holds, hung, late = run_contract(Hangs())
    assert holds == Finding("holds", "It holds.")
    assert "real time, its limit" in hung.failure
    reason = "not tried: the time of the check was used up before"
    assert late == Finding("comes_too_late", "It would hold.", reason, was_tried=False)


def out_of_range(problem, rng):
    while True:
        yield problem.space.sample(rng) + 10_000


class OutOfRange(DrawsForAll):
    def ask(self, idle):
        return Proposals(np.where(idle, self.problem.space.num_architectures, -1))


class OutOfRangeWhenPending(Strategy):
    """Right with one worker."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.pending = np.zeros(rng.num_runs, dtype=np.int64)

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle)
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        self.pending += idle
        return Proposals(np.where(idle & (self.pending > 1), 10**6, architectures))

    def tell(self, results):
        self.pending -= results.architectures >= 0


@pytest.mark.parametrize("strategy", [out_of_range, OutOfRange])
def test_one_rule_names_an_architecture_that_does_not_exist(strategy):
    target = strategy if isinstance(strategy, type) else staticmethod(strategy)
    findings = run_contract(type("Mutant", (StrategyContract,), {"strategy": target})())
    broken = [finding for finding in findings if finding.was_tried]
    assert [finding.name for finding in broken] == ["it_can_be_played"]
    assert "15624" in broken[0].failure
    assert len({finding.name for finding in findings}) == len(findings) > 10
    assert {finding.failure for finding in findings[1:]} == {
        f"not tried: fix this first: {findings[0].rule}",
    }


@pytest.mark.thorough
def test_an_architecture_that_does_not_exist_is_named_with_evaluations_pending_too():
    found = of_strategy(OutOfRangeWhenPending)
    assert list(found) == [
        "evaluations_may_be_pending_and_finish_out_of_order",
        "every_rule_of_a_protocol_is_survived",
    ]
    assert "{'workers': 4, 'mode': 'async'}" in found["every_rule_of_a_protocol_is_survived"]
    assert "−1 … 15624: got" in found["evaluations_may_be_pending_and_finish_out_of_order"]


def test_an_exit_is_a_finding():
    def leaves(problem, rng):
        yield 1
        sys.exit(0)

    assert "sys.exit(0)" in of_strategy(leaves)["it_can_be_played"]


def asserts(problem, rng):
    yield problem.space.sample(rng)
    raise AssertionError  # as a bare assert does


def asserts_on_another_task(problem, rng):
    while True:
        yield problem.space.sample(rng)
        if problem.task != "nb201-cifar10":
            raise AssertionError


def test_an_assertion_of_the_code_under_test_is_a_finding():
    assert "raised AssertionError, at test_mutants.py" in of_strategy(asserts)["it_can_be_played"]
    members = {"strategy": staticmethod(asserts_on_another_task), "tasks": ("nb201-cifar10", "graph-cora")}
    found = failures(type("Mutant", (StrategyContract,), members)(), "it_can_be_played")
    assert "raised AssertionError" in found["it_can_be_played"]


class Asserts(TableOracle):
    def evaluate(self, architectures, fidelities, replicates):
        raise AssertionError


def test_an_assertion_of_an_oracle_is_a_finding():
    body = {"make_oracle": lambda self: Asserts([MEAN], MEAN), "num_architectures": 2}
    found = failures(type("Mutant", (OracleContract,), body)())
    assert len(found) == 7
    assert all("raised AssertionError" in failure for failure in found.values())


def expects_feasible(problem, rng):
    while True:
        evaluation = yield problem.space.sample(rng)
        assert evaluation.feasible


def expects_one_fidelity(problem, rng):
    while True:
        evaluation = yield problem.space.sample(rng)
        assert evaluation.fidelity == 0


def expects_evaluations(problem, rng):
    assert problem.budget.epochs is None
    while True:
        yield problem.space.sample(rng)


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [
        (expects_feasible, "{'constraints': 'latency_ms<=q25'}"),
        (expects_one_fidelity, "{'fidelity': 'all', 'continuation': 'checkpoint'}"),
        (expects_evaluations, "'epochs': 180"),
    ],
)
def test_a_rule_that_a_strategy_does_not_survive_is_named(strategy, rule):
    contract = type("Mutant", (StrategyContract,), {"strategy": staticmethod(strategy), "tasks": ("nb201-cifar10",)})()
    with pytest.raises(AssertionError, match=re.escape(rule)):
        contract.test_every_rule_of_a_protocol_is_survived()


class FiledByOrder(Strategy):
    """Walks from its latest proposal, taking each result for that of the latest one, and stops if it is another."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.latest = np.zeros(rng.num_runs, dtype=np.int64)
        self.is_lost = np.zeros(rng.num_runs, dtype=bool)

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle & ~self.is_lost)
        architectures[runs] = self.latest[runs] = self.problem.space.sample(self.rng, runs)
        return Proposals(architectures)

    def tell(self, results):
        told = results.architectures >= 0
        self.is_lost |= told & (results.architectures != self.latest)


@pytest.mark.thorough
def test_a_strategy_that_expects_results_in_order_is_found():
    found = of_strategy(FiledByOrder)
    assert list(found) == ["evaluations_may_be_pending_and_finish_out_of_order"]
    assert "then −1 with nothing pending" in found["evaluations_may_be_pending_and_finish_out_of_order"]


class IdentityMutation(NASBench201Space):
    def mutate(self, parents, rng, runs=None):
        children = super().mutate(parents, rng, runs)
        return np.where(np.asarray(parents) % 10 == 0, parents, children) if np.ndim(children) else children


class OneStreamForAll(NASBench201Space):
    def sample(self, rng, runs=None):
        draws = rng.integers(self.num_architectures, None)
        return draws if runs is None else draws[runs]


class NeighborsWithItself(NASBench201Space):
    def neighbors(self, architectures):
        neighbors = super().neighbors(architectures).copy()
        neighbors[:, 0] = architectures
        return neighbors


class FirstDecisionOnly(ProductSpace):
    def mutate(self, parents, rng, runs=None):
        children = np.asarray(self.choices(np.atleast_1d(parents))).copy()
        children[:, 0] = 1 - children[:, 0]
        found = self.from_choices(children)
        return found if np.ndim(parents) else int(found[0])


class CrossoverBySampling(ProductSpace):
    def crossover(self, first, second, rng, runs=None):
        return self.sample(rng, runs)


class NeighborsInReverse(ProductSpace):
    def neighbors(self, architectures):
        found = super().neighbors(architectures)
        return found[::-1] if isinstance(found, list) else found[:, ::-1]


class HotInReverse(ProductSpace):
    def one_hot(self, architectures):
        return super().one_hot(architectures)[:, ::-1]


class OneClass(ProductSpace):
    def canonical(self, architectures):
        return np.zeros_like(super().canonical(architectures))


class Renumbered(ProductSpace):
    def from_string(self, text):
        return super().from_string(":".join(reversed(text.split(":"))))


def letters(kind):
    return kind("letters", [["a", "b"], ["a", "b"], ["a", "b"]])


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (IdentityMutation, "mutate_never_returns_the_parent"),
        (OneStreamForAll, "a_draw_for_some_runs_leaves_the_others_alone"),
        (NeighborsWithItself, "neighbors_are_distinct_others_padded_with_minus_one"),
        (lambda: letters(Renumbered), "strings_come_back"),
        (lambda: letters(FirstDecisionOnly), "mutate_reaches_every_decision"),
        (lambda: letters(CrossoverBySampling), "crossover_takes_every_choice_from_a_parent"),
        (lambda: letters(NeighborsInReverse), "neighbors_differ_in_one_decision"),
        (lambda: letters(HotInReverse), "one_hot_marks_every_choice"),
        (lambda: letters(OneClass), "canonical_names_a_member_of_the_class"),
    ],
)
def test_broken_spaces(make, rule):
    contract = type("Mutant", (SpaceContract,), {"make_space": lambda self: make()})()
    assert rule in failures(contract)


class Forgetful(TableOracle):
    """Answers depend on how many questions came before."""

    count = 0

    def evaluate(self, architectures, fidelities, replicates):
        self.count += 1
        answers = super().evaluate(architectures, fidelities, replicates)
        return answers._replace(values=answers.values + self.count)


class Padded(TableOracle):
    def evaluate(self, architectures, fidelities, replicates):
        answers = super().evaluate(architectures, fidelities, replicates)
        return answers._replace(values=np.nan_to_num(answers.values))


class FirstAsMean(TableOracle):
    def evaluate(self, architectures, fidelities, replicates):
        return super().evaluate(architectures, fidelities, np.maximum(replicates, 0))


class FreeMean(TableOracle):
    def evaluate(self, architectures, fidelities, replicates):
        answers = super().evaluate(architectures, fidelities, replicates)
        return answers._replace(cost_s=np.where(replicates < 0, 0.0, answers.cost_s))


class Falling(TableOracle):
    """The cost of one replicate falls, that of the mean does not."""

    def evaluate(self, architectures, fidelities, replicates):
        answers = super().evaluate(architectures, fidelities, replicates)
        return answers._replace(cost_s=np.where(replicates == 1, 9.0 - fidelities, answers.cost_s))


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Forgetful, "the_same_query_has_the_same_answer_in_any_order_and_batch"),
        (Padded, "missing_is_said_and_has_no_value"),
        (FirstAsMean, "the_mean_is_over_the_replicates_that_exist"),
        (FreeMean, "the_mean_is_over_the_replicates_that_exist"),
    ],
)
def test_broken_oracles(kind, rule):
    task = load_task("nb201-cifar10")
    cost = task.table.metrics("cifar10", "cost")[0]
    body = {"make_oracle": lambda self: kind([task.under(Protocol()).search], cost), "num_architectures": 15_625}
    assert rule in failures(type("Mutant", (OracleContract,), body)())


def test_a_falling_cost_of_one_replicate_is_seen():
    column = MetricArray(Metric("cost_s", "s", "minimize", "cost"), np.cumsum(np.ones((4, 2, 3)), axis=2))
    body = {"num_architectures": 4, "num_fidelities": 3}
    whole = type("Whole", (OracleContract,), {**body, "make_oracle": lambda self: TableOracle([column], column)})()
    assert not failures(whole)
    broken = type("Mutant", (OracleContract,), {**body, "make_oracle": lambda self: Falling([column], column)})()
    assert "cost_does_not_fall_with_fidelity" in failures(broken)


def changed(**changes):
    table = load_table("nb201")
    dataset = table.datasets["cifar10"]
    columns = dict(dataset.columns)
    for name, change in changes.items():
        columns[name] = MetricArray(columns[name].metric, change(np.array(columns[name].values)))
    return Table("t", {"one": Dataset("One", dataset.space, columns, dataset.fidelities)}, Provenance("s", "1", "MIT"))


def padded(values):
    return np.where(np.isnan(values), values[:, :1], values)


def one_training(values):
    """Half of the cells have one training, which stands for all."""
    values[::2, 1:] = values[::2, :1]
    return values


def one_training_of_two(values):
    return one_training(values[:, :2])


def first_padded(values):
    values[::2, 0] = values[::2, 1]
    return values


@pytest.mark.parametrize(("images", "noise"), [(200, 0.2), (500, 0.2), (1_000, 0.2), (10_000, 0.5)])
def test_replicates_with_little_noise_on_a_coarse_grid_are_honest(images, noise):
    rng = np.random.default_rng(0)
    exact = rng.normal(75, 10, (3_000, 1)) + rng.normal(0, noise, (3_000, 3))
    assert _padded_share(np.round(exact * images / 100) * 100 / images) == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (padded, "replicates_that_exist_come_from_the_source"),
        (one_training, "replicates_that_exist_come_from_the_source"),
        (first_padded, "replicates_that_exist_come_from_the_source"),
        (one_training_of_two, "replicates_that_exist_come_from_the_source"),
        (lambda values: values[:-1], "arrays_have_a_row_for_every_architecture"),
        (lambda values: np.repeat(values[:, :1], 3, axis=1), "replicates_that_exist_come_from_the_source"),
        (lambda values: values + 0.001, "values_lie_on_their_grid"),
        (lambda values: np.where(values > 91, np.inf, values), "values_are_finite_or_absent"),
        (lambda values: values * np.nan, "every_data_set_can_be_searched"),
    ],
)
def test_broken_tables(change, rule):
    contract = type("Mutant", (TableContract,), {"make_table": lambda self: changed(val_accuracy=change)})()
    assert rule in failures(contract)
