"""Regularized evolution against a plain generator written like the paper, and the reference values."""

from collections import deque

import numpy as np
import pytest
from kit.cases import fast_first

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.catalog import describe
from nasbench_harness.studies.references import parse_strategy, resolve

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
LARGE = "regularized-evolution"
SMALL = "regularized-evolution(population_size=10,sample_size=3)"
# Accuracy of the incumbent, mean of 20,000 runs, by strategy, noise and evaluations.
REFERENCE = {
    (LARGE, "mean", 150): [91.518, 73.294, 46.492],
    (LARGE, "mean", 200): [91.538, 73.410, 46.584],
    (LARGE, "mean", 300): [91.553, 73.477, 46.663],
    (LARGE, "per_query", 150): [91.473, 73.083, 46.181],
    (LARGE, "per_query", 200): [91.502, 73.208, 46.251],
    (LARGE, "per_query", 300): [91.528, 73.277, 46.275],
    (SMALL, "mean", 150): [91.470, 72.938, 46.339],
    (SMALL, "mean", 200): [91.516, 73.119, 46.448],
    (SMALL, "mean", 300): [91.557, 73.290, 46.553],
    (SMALL, "per_query", 150): [91.422, 72.731, 46.065],
    (SMALL, "per_query", 200): [91.470, 72.916, 46.161],
    (SMALL, "per_query", 300): [91.518, 73.095, 46.245],
}
# One run's standard deviation at 200 evaluations with the default hyperparameters.
STDS = {"mean": [0.146, 0.273, 0.189], "per_query": [0.168, 0.353, 0.335]}
CASES = [
    (*key, dataset, means[position]) for key, means in REFERENCE.items() for position, dataset in enumerate(DATASETS)
]


def plain_regularized_evolution(problem, rng, *, population_size=30, sample_size=10):
    ring, num_results = [None] * population_size, 0
    while True:
        if num_results < population_size:
            child = problem.space.sample(rng)
        else:
            sample = [ring[slot] for slot in rng.subset(population_size, sample_size)]
            child = problem.space.mutate(min(sample, key=lambda member: member[1])[0], rng)
        evaluation = yield child
        ring[num_results % population_size] = (child, evaluation.loss)
        num_results += 1


def evolution_as_in_the_paper(problem, rng, *, population_size, sample_size):
    """A queue: the child is added on the right, the oldest is popped on the left; entrants are found by value only."""
    population = deque()
    while len(population) < population_size:
        population.append((yield problem.space.sample(rng)))
    age = 0
    while True:
        # Slot s of the ring holds the member that came in last among those with number ≡ s.
        members = [population[(slot - age) % population_size] for slot in rng.subset(population_size, sample_size)]
        best = members[int(np.argmin([member.loss for member in members]))]
        population.append((yield problem.space.mutate(best.architecture, rng)))
        population.popleft()
        age += 1


def test_the_docstring_names_the_paper():
    assert "Real, Aggarwal, Huang and Le" in describe("regularized-evolution").text
    assert "AAAI 2019" in describe("regularized-evolution").text


@pytest.mark.parametrize("protocol", [{}, {"duplicates": "free"}, {"duplicates": "forbid", "noise": "mean"}], ids=str)
@pytest.mark.parametrize("search", [plain_regularized_evolution, evolution_as_in_the_paper])
@pytest.mark.parametrize(("population_size", "sample_size"), fast_first([(30, 10), (5, 5), (10, 3), (7, 1), (1, 1)], 2))
def test_a_plain_generator_has_the_same_traces(
    run, run_plain, assert_same_traces, search, protocol, population_size, sample_size
):
    text = f"regularized-evolution(population_size={population_size},sample_size={sample_size})"
    lockstep = run(text, "nb201-cifar100", 10, evaluations=150, **protocol)
    parameters = {"population_size": population_size, "sample_size": sample_size}
    plain = run_plain(search, LARGE, "nb201-cifar100", 10, parameters, evaluations=150, **protocol)
    assert_same_traces(plain, lockstep)


@pytest.mark.parametrize("task", ["graph-cora", "graph-proteins"])
def test_a_plain_generator_has_the_same_traces_where_mutations_are_drawn_again(
    run, run_plain, assert_same_traces, task
):
    lockstep = run(SMALL, task, 20, evaluations=150)
    parameters = {"population_size": 10, "sample_size": 3}
    plain = run_plain(plain_regularized_evolution, LARGE, task, 20, parameters, evaluations=150)
    assert_same_traces(plain, lockstep)


def test_every_child_is_one_mutation_of_a_living_member(run):
    columns = run(SMALL, "nb201-cifar100", 500, evaluations=300, noise="mean")
    architectures = columns["architecture"].reshape(500, 300)
    choices = load_task("nb201-cifar100").space.choices(architectures)
    for step in range(10, 300):
        differs = (choices[:, step, None] != choices[:, step - 10 : step]).sum(axis=2)
        assert (differs == 1).any(axis=1).all(), step


def test_the_first_proposals_are_uniform(run):
    columns = run(LARGE, "nb201-cifar100", 500, evaluations=300, noise="mean")
    first = load_task("nb201-cifar100").space.choices(columns["architecture"].reshape(500, 300)[:, :30].ravel())
    # Each of 30 choices is taken 3,000 times of 15,000; the bounds are five standard deviations.
    for decision in first.T:
        assert (np.abs(np.bincount(decision, minlength=5) - 3_000) < 5 * np.sqrt(15_000 * 0.2 * 0.8)).all()


@pytest.mark.thorough
@pytest.mark.parametrize(("text", "noise", "evaluations", "dataset", "mean"), CASES)
def test_reference_values(scores, assert_near, assert_std_near, text, noise, evaluations, dataset, mean):
    sample = scores(text, dataset, noise, evaluations)
    has_std = (text, evaluations) == (LARGE, 200)
    std = STDS[noise][DATASETS.index(dataset)] if has_std else None
    assert_near(sample, mean, 20_000, std)
    if std is not None:
        assert_std_near(sample, std)


@pytest.mark.parametrize(
    ("population_size", "sample_size", "message"),
    [
        (30, 31, "sample_size must be in 1 … population_size 30, not 31"),
        (9, 10, "sample_size must be in 1 … population_size 9, not 10"),
        (5, 0, "sample_size must be in 1 … population_size 5, not 0"),
        (0, 0, "population_size must be at least 1, not 0"),
    ],
)
def test_a_tournament_must_fit_the_population(population_size, sample_size, message):
    with pytest.raises(InvalidInputError, match=f"regularized-evolution: {message}"):
        resolve(parse_strategy(f"regularized-evolution(population_size={population_size},sample_size={sample_size})"))


@pytest.mark.parametrize("parameters", ["population_size=30.5", "sample_size=2.5", "population_size='many'"])
def test_sizes_must_be_whole_numbers(parameters):
    with pytest.raises(InvalidInputError, match="regularized-evolution: "):
        resolve(parse_strategy(f"regularized-evolution({parameters})"))
