"""Strategies with several evaluations pending: what they propose, and what becomes of late results."""

import numpy as np
import pytest
from nasbench_strategies.evolution.regularized_evolution import RegularizedEvolution
from nasbench_strategies.local.local_search import LocalSearch

from nasbench_harness import Problem, Results, RunStreams
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task


@pytest.fixture
def problem() -> Problem:
    return load_task("nb201-cifar100").problem(Protocol())


def one_run(cls, problem, **parameters):
    return cls(problem, RunStreams(np.array([7], dtype=np.uint64)), **parameters)


def ask(strategy):
    return int(strategy.ask(np.ones(1, dtype=bool)).architectures[0])


def tell(strategy, ticket, architecture, loss):
    zero = np.zeros(1)
    status = np.array([Status.OK], dtype=np.int8)
    strategy.tell(
        Results(
            np.array([ticket]),
            np.array([architecture]),
            zero.astype(int),
            np.array([[loss]]),
            zero,
            zero,
            status,
            status > 0,
        )
    )


def are_neighbors(problem, first, second):
    return second in problem.space.neighbors(first)


def test_the_first_proposals_of_evolution_are_random_even_if_none_is_answered(problem):
    strategy = one_run(RegularizedEvolution, problem, population_size=6, sample_size=6)
    plain = RunStreams(np.array([7], dtype=np.uint64))
    proposals = [ask(strategy) for _ in range(6)]
    assert proposals == [int(problem.space.sample(plain)[0]) for _ in range(6)]
    tell(strategy, 3, proposals[3], 50.0)
    assert are_neighbors(problem, proposals[3], ask(strategy))  # the only member that there is
    tell(strategy, 1, proposals[1], 40.0)
    assert are_neighbors(problem, proposals[1], ask(strategy))


def test_evolution_without_any_result_proposes_random_architectures(problem):
    strategy = one_run(RegularizedEvolution, problem, population_size=2, sample_size=2)
    proposals = [ask(strategy) for _ in range(8)]
    assert len(set(proposals)) == 8


def test_a_late_result_does_not_replace_a_younger_member(problem):
    strategy = one_run(RegularizedEvolution, problem, population_size=2, sample_size=2)
    proposals = [ask(strategy) for _ in range(4)]
    tell(strategy, 2, proposals[2], 30.0)  # the slot of ticket 0
    tell(strategy, 0, proposals[0], 10.0)  # better, but older
    assert are_neighbors(problem, proposals[2], ask(strategy))


@pytest.mark.parametrize("acceptance", ["first", "steepest"])
def test_a_center_is_not_stuck_while_neighbors_are_pending(problem, acceptance):
    strategy = one_run(LocalSearch, problem, acceptance=acceptance, num_initial=1)
    center = ask(strategy)
    assert ask(strategy) == -1  # the only random architecture is not answered yet
    tell(strategy, 0, center, 30.0)
    neighbors = [ask(strategy) for _ in range(24)]
    assert sorted(neighbors) == sorted(problem.space.neighbors(center))
    assert ask(strategy) == -1
    for position in range(23, 0, -1):
        tell(strategy, 1 + position, neighbors[position], 40.0)
        assert ask(strategy) == -1
    tell(strategy, 1, neighbors[0], 20.0)
    assert are_neighbors(problem, neighbors[0], ask(strategy))


def test_a_late_neighbor_of_an_earlier_center_counts_if_it_is_better(problem):
    strategy = one_run(LocalSearch, problem, num_initial=1)
    center = ask(strategy)
    tell(strategy, 0, center, 30.0)
    first, second, third = (ask(strategy) for _ in range(3))
    tell(strategy, 2, second, 25.0)
    assert are_neighbors(problem, second, ask(strategy))
    tell(strategy, 1, first, 27.0)  # better than its own center, not than the present one
    assert are_neighbors(problem, second, ask(strategy))
    tell(strategy, 3, third, 20.0)
    assert are_neighbors(problem, third, ask(strategy))


def test_a_late_neighbor_is_no_center_while_the_search_starts_again(problem):
    strategy = one_run(LocalSearch, problem, num_initial=1)
    center = ask(strategy)
    tell(strategy, 0, center, 30.0)
    late = ask(strategy)
    better = ask(strategy)
    tell(strategy, 2, better, 25.0)
    neighbors = [ask(strategy) for _ in range(24)]
    for position, neighbor in enumerate(neighbors):
        tell(strategy, 3 + position, neighbor, 26.0)
    restart = ask(strategy)
    tell(strategy, 1, late, 24.0)
    assert ask(strategy) == -1
    tell(strategy, 27, restart, 60.0)
    assert are_neighbors(problem, restart, ask(strategy))
