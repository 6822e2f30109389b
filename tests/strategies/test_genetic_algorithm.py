"""The genetic algorithm against a plain generator written from its definition, and the reference values."""

from typing import NamedTuple

import numpy as np
import pytest
from kit.cases import fast_first
from nasbench_strategies.evolution.genetic_algorithm import GeneticAlgorithm

from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.studies.catalog import describe
from nasbench_harness.studies.references import parse_strategy, resolve

NAME = "genetic-algorithm"
DATASETS = ("cifar10", "cifar100", "imagenet16-120")
# Accuracy of the incumbent, mean of 3,000 runs, by noise and evaluations.
REFERENCE = {
    ("mean", 200): [91.547, 73.361, 46.518],
    ("mean", 300): [91.574, 73.466, 46.594],
    ("per_query", 200): [91.517, 73.152, 46.216],
    ("per_query", 300): [91.553, 73.250, 46.240],
}
CASES = [
    (*key, dataset, means[position]) for key, means in REFERENCE.items() for position, dataset in enumerate(DATASETS)
]


class Member(NamedTuple):
    """Compared in this order: the best is the smallest, the older on ties."""

    loss: float
    birth: int
    architecture: int


def plain_genetic_algorithm(problem, rng, *, population_size=20, tournament_size=3, mutation_probability=0.5):
    space, population, birth = problem.space, [], 0

    def winner():
        return min(population[rng.integers(population_size)] for _ in range(tournament_size)).architecture

    def child():
        first, second = winner(), winner()
        result = space.crossover(first, second, rng)
        if result < 0:
            result = first
        if rng.uniform() < mutation_probability or result == first:
            result = space.mutate(result, rng)
        return result

    while True:
        generation = [child() if population else space.sample(rng) for _ in range(population_size)]
        for architecture in generation:
            evaluation = yield architecture
            population.append(Member(evaluation.loss, birth, architecture))
            birth += 1
        # Members are drawn by place: a tournament needs some order, and this one is at hand.
        population = sorted(population)[:population_size]


def test_the_docstring_names_the_papers():
    text = describe(NAME).text
    assert "Goldberg and Deb" in text
    assert "Syswerda" in text


def test_the_defaults():
    defaults = {"population_size": 20, "tournament_size": 3, "mutation_probability": 0.5}
    assert resolve(parse_strategy(NAME)).parameters == defaults


PROTOCOLS = [
    {"evaluations": 150},
    {"evaluations": 150, "duplicates": "free"},
    {"evaluations": 150, "duplicates": "forbid", "noise": "mean"},
    {"simulated_seconds": 300_000.0},
]
PARAMETERS = [(20, 3, 0.5), (10, 2, 0.0), (7, 7, 1.0), (1, 1, 0.3), (5, 1, 0.9), (30, 40, 0.5)]
# The strategy does not see the protocol, so each set of parameters meets two protocols and each protocol three sets.
PAIRS = [(PROTOCOLS[case % 4], PARAMETERS[case % 6]) for case in range(12)]


@pytest.mark.parametrize(("protocol", "parameters"), fast_first(PAIRS, 4), ids=str)
def test_a_plain_generator_has_the_same_traces(run, run_plain, assert_same_traces, protocol, parameters):
    named = dict(zip(("population_size", "tournament_size", "mutation_probability"), parameters, strict=True))
    text = f"{NAME}({','.join(f'{name}={value}' for name, value in named.items())})"
    lockstep = run(text, "nb201-cifar100", 8, **protocol)
    plain = run_plain(plain_genetic_algorithm, NAME, "nb201-cifar100", 8, named, **protocol)
    assert_same_traces(plain, lockstep)


def test_every_child_is_a_mixture_of_survivors_but_for_one_mutation(run):
    space = load_task("nb201-cifar100").space
    columns = run(NAME, "nb201-cifar100", 500, evaluations=300, noise="mean")
    num_free = []
    for seed in range(0, 500, 25):
        rows = columns["run"] == seed
        architectures, losses = columns["architecture"][rows], -columns["value_val_accuracy"][rows]
        for first in range(20, 300, 20):
            order = sorted(range(first), key=lambda row, losses=losses: (losses[row], row))
            members = space.choices(architectures[order[:20]])
            children = space.choices(architectures[first : first + 20])
            is_inherited = (children[:, None] == members).any(axis=1)
            num_free.extend((~is_inherited).sum(axis=1))
    assert max(num_free) == 1  # some mutations are seen, and never two decisions that no survivor has


def test_a_population_of_one_climbs_by_mutation(run):
    columns = run(f"{NAME}(population_size=1,mutation_probability=0.0)", "nb201-cifar100", 20, evaluations=100)
    space = load_task("nb201-cifar100").space
    for seed in range(20):
        rows = columns["run"] == seed
        choices, values = space.choices(columns["architecture"][rows]), columns["value_val_accuracy"][rows]
        for step in range(1, 100):
            assert (choices[step] != choices[values[:step].argmax()]).sum() == 1


def test_the_first_proposals_are_uniform(run):
    columns = run(NAME, "nb201-cifar100", 500, evaluations=300, noise="mean")
    first = load_task("nb201-cifar100").space.choices(columns["architecture"].reshape(500, 300)[:, :20].ravel())
    # Each of 20 choices is taken 2,000 times of 10,000; the bounds are five standard deviations.
    for decision in first.T:
        assert (np.abs(np.bincount(decision, minlength=5) - 2_000) < 5 * np.sqrt(10_000 * 0.2 * 0.8)).all()


def strategy_on(space, num_runs=1, **hyperparameters):
    keys = np.random.default_rng(0).integers(0, 2**64, num_runs, dtype=np.uint64)
    return GeneticAlgorithm(Problem(space, (), Budget(200)), RunStreams(keys), **hyperparameters)


def test_the_older_survives_a_tie():
    """Parent 0 and children 2, 3 are equal: the older two survive, and with them nothing else is left to mix."""
    strategy, run = strategy_on(ProductSpace("s", [["a", "b", "c", "d"]]), population_size=2), np.array([0])
    strategy.update(run, np.array([[0, 1]]), np.array([[5.0, 9.0]]))
    strategy.update(run, np.array([[2, 3]]), np.array([[5.0, 5.0]]))
    strategy.update(run, np.array([[1, 1]]), np.array([[5.0, np.inf]]))
    winners = {int(strategy._winners(run)[0]) for _ in range(200)}
    assert winners == {0, 2}


def test_values_that_are_missing_from_the_start_do_not_stop_the_search():
    strategy, run = strategy_on(NASBench201Space(), population_size=2), np.array([0])
    strategy.update(run, np.array([[40, 41]]), np.full((1, 2), np.inf))
    assert {int(strategy._winners(run)[0]) for _ in range(50)} == {40, 41}
    strategy.update(run, np.array([[42, 43]]), np.array([[np.inf, 3.0]]))
    assert {int(strategy._winners(run)[0]) for _ in range(50)} == {40, 43}


def test_an_impossible_child_is_the_first_parent_mutated():
    class Sterile(NASBench201Space):
        def crossover(self, first, second, rng, runs=None):
            return np.full(len(runs), -1)

    space = Sterile()
    strategy, runs = strategy_on(space, 300, population_size=4, mutation_probability=0.0), np.arange(300)
    members = np.array([100, 2_000, 7_000, 15_000])
    strategy.update(runs, np.tile(members, (300, 1)), np.tile([1.0, 2.0, 3.0, 4.0], (300, 1)))
    children = space.choices(strategy.propose(runs).ravel())
    distance = (children[:, None] != space.choices(members)).sum(axis=2)
    assert (distance == 1).any(axis=1).all()


@pytest.mark.thorough
@pytest.mark.parametrize(("noise", "evaluations", "dataset", "mean"), CASES)
def test_reference_values(scores, assert_near, noise, evaluations, dataset, mean):
    assert_near(scores(NAME, dataset, noise, evaluations), mean, 3_000)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("population_size=0", "population_size must be at least 1, not 0"),
        ("tournament_size=-1", "tournament_size must be at least 1, not -1"),
        ("mutation_probability=1.5", "mutation_probability must be in 0 … 1, not 1.5"),
        ("mutation_probability=-0.1", "mutation_probability must be in 0 … 1, not -0.1"),
        ("mutation_probability=nan", "mutation_probability must be in 0 … 1, not nan"),
    ],
)
def test_hyperparameters_without_sense_are_refused(parameter, message):
    with pytest.raises(InvalidInputError, match=f"{NAME}: {message}"):
        resolve(parse_strategy(f"{NAME}({parameter})"))
