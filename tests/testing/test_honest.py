"""Strategies that are right, and look like some that are not, hold their contract."""

import numpy as np
import pytest
from kit.contracts import failures

from nasbench_harness import Proposals, Strategy
from nasbench_harness.testing import StrategyContract


def contract_of(strategy, task="nb201-cifar10", **members):
    target = strategy if isinstance(strategy, str | type) else staticmethod(strategy)
    return type("Honest", (StrategyContract,), {"strategy": target, "tasks": (task,), "evaluations": 5, **members})()


def by_score(problem, rng):
    """The best architecture of CIFAR-100 is among the first five by this score."""
    scores = problem.lookup("synflow", np.arange(problem.space.num_architectures))
    order = np.argsort(-scores, kind="stable")[:5].tolist()
    rng.shuffle(order)
    for architecture in order:  # noqa: UP028 - a list takes no answers from the engine
        yield architecture


def test_a_score_may_lead_to_the_optimum():
    assert failures(contract_of(by_score, "nb201-cifar100"), "the_optimum_is_not_known_from_the_start") == {}


class EndsByItself(Strategy):
    """Proposes eight architectures."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.left = np.full(rng.num_runs, 8)

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle & (self.left > 0))
        architectures[runs] = self.problem.space.sample(self.rng, runs)
        self.left[runs] -= 1
        return Proposals(architectures)

    def tell(self, results):
        pass


def test_a_strategy_may_end_with_one_worker_and_with_several():
    assert failures(contract_of(EndsByItself), "evaluations_may_be_pending_and_finish_out_of_order") == {}


class EndsEarlierWithSeveral(EndsByItself):
    """Ends after four proposals, if a result came after a later one."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.last = np.full(rng.num_runs, -1)

    def tell(self, results):
        self.left[(results.ticket >= 0) & (results.ticket < self.last) & (self.left <= 4)] = 0
        self.last = np.maximum(self.last, results.ticket)


def test_results_in_another_order_may_end_a_run_earlier():
    rule = "evaluations_may_be_pending_and_finish_out_of_order"
    assert failures(contract_of(EndsEarlierWithSeveral), rule) == {}


class Patient(Strategy):
    """Climbs from the best architecture, and ends after 15 results without a better one."""

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.best, self.parent = np.full(rng.num_runs, np.inf), np.full(rng.num_runs, -1)
        self.since = np.zeros(rng.num_runs, dtype=np.int64)

    def ask(self, idle):
        architectures = np.full(len(idle), -1)
        runs = np.flatnonzero(idle & (self.since < 15))
        new, old = runs[self.parent[runs] < 0], runs[self.parent[runs] >= 0]
        architectures[new] = self.problem.space.sample(self.rng, new)
        architectures[old] = self.problem.space.mutate(self.parent[old], self.rng, old)
        return Proposals(architectures)

    def tell(self, results):
        told = results.ticket >= 0
        better = told & (results.losses < self.best)
        self.best, self.parent = (
            np.where(better, new, old)
            for new, old in ((results.losses, self.best), (results.architectures, self.parent))
        )
        self.since = np.where(better, 0, self.since + told)


def test_one_short_run_with_several_workers_is_no_stall():
    contract = contract_of(Patient, evaluations=50)
    assert failures(contract, "evaluations_may_be_pending_and_finish_out_of_order") == {}


def climb_by_score(problem, rng):
    """Ascent on a free metric from one architecture; its best ones come first."""
    here, seen = problem.space.sample(rng), {}
    while True:
        near = problem.space.neighbors(np.array([here]))[0]
        near = near[near >= 0]
        seen |= dict(zip(near.tolist(), problem.lookup("synflow", near).tolist(), strict=True))
        best = max(seen, key=seen.__getitem__)
        if best == here:
            break
        here = best
    for architecture in sorted(seen, key=seen.__getitem__, reverse=True):  # noqa: UP028 - a list takes no answers
        yield architecture


def test_a_climb_by_a_score_may_lead_to_the_optimum():
    contract = contract_of(climb_by_score, "nb201-cifar100")
    assert failures(contract, "the_optimum_is_not_known_from_the_start") == {}


def test_a_contract_of_a_function_is_inherited():
    base = type(contract_of(by_score))
    assert type("Inherited", (base,), {"tasks": ("nb201-cifar100",)})().spec.label.endswith(":by_score")


def test_a_strategy_without_its_fidelities_is_told_to_choose_another_task():
    found = failures(contract_of("successive-halving"), "it_can_be_played")
    assert "choose a task whose table has several" in found["it_can_be_played"]


@pytest.mark.parametrize(("is_random", "expected"), [(True, ["different_seeds_give_different_runs"]), (False, [])])
def test_a_strategy_may_be_deterministic(is_random, expected):
    def ascending(problem, rng):
        for architecture in range(100):  # noqa: UP028 - a range takes no answers from the engine
            yield architecture

    contract = contract_of(ascending, is_random=is_random)
    assert list(failures(contract, "different_seeds_give_different_runs")) == expected
