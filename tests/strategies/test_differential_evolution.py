"""Differential evolution against a plain generator written from its definition, constraints, and impossible trials."""

import numpy as np
import pytest
from nasbench_strategies._models.relaxed import Relaxed
from nasbench_strategies.evolution.differential_evolution import DifferentialEvolution

from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.studies.references import parse_strategy, resolve

NAME = "differential-evolution"


def plain_differential_evolution(problem, rng, *, population_size=10, mutation_factor=0.5, crossover_probability=0.5):
    space = problem.space
    sizes = [int(size) for size in space.num_choices]

    def random():
        architecture = space.sample(rng)
        choices = space.choices(np.array([architecture]))[0].tolist()
        draws = [rng.uniform() for _ in sizes]
        return architecture, [(choice + draw) / size for choice, draw, size in zip(choices, draws, sizes, strict=True)]

    def child(place):
        others = [points[other + (other >= place)] for other in rng.subset(population_size - 1, 3)]
        replacements, crossings = [rng.uniform() for _ in sizes], [rng.uniform() for _ in sizes]
        forced, point = int(rng.uniform() * len(sizes)), []
        for decision, (first, second, third) in enumerate(zip(*others, strict=True)):
            mutant = first + mutation_factor * (second - third)
            if not 0 <= mutant < 1:
                mutant = replacements[decision]
            crosses = decision == forced or crossings[decision] < crossover_probability
            point.append(mutant if crosses else points[place][decision])
        choices = [int(number * size) for number, size in zip(point, sizes, strict=True)]
        architecture = int(space.from_choices(np.array([choices]))[0])
        return (architecture, point) if architecture >= 0 else random()

    points, keys = [None] * population_size, [(True, np.inf)] * population_size
    while True:
        trials = [random() if points[place] is None else child(place) for place in range(population_size)]
        for place, (architecture, point) in enumerate(trials):
            evaluation = yield architecture
            key = (not evaluation.feasible, evaluation.loss)
            if key <= keys[place]:
                points[place], keys[place] = point, key


@pytest.mark.parametrize(
    ("task", "protocol"),
    [
        ("nb201-cifar100", {"evaluations": 150}),
        ("nb201-cifar100", {"evaluations": 150, "constraints": "latency_ms<=q25"}),
        ("nb201-cifar100", {"evaluations": 150, "duplicates": "forbid", "noise": "mean"}),
        ("nb201-cifar100", {"simulated_seconds": 300_000.0, "duplicates": "free"}),
        ("graph-cora", {"evaluations": 100}),  # most combinations of choices are no architecture
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "parameters",
    [(10, 0.5, 0.5), *(pytest.param(values, marks=pytest.mark.thorough) for values in ((4, 1.5, 0.0), (25, 0.9, 1.0)))],
    ids=str,
)
def test_a_plain_generator_has_the_same_traces(run, run_plain, assert_same_traces, task, protocol, parameters):
    named = dict(zip(("population_size", "mutation_factor", "crossover_probability"), parameters, strict=True))
    text = f"{NAME}({','.join(f'{name}={value}' for name, value in named.items())})"
    lockstep = run(text, task, 12, **protocol)
    plain = run_plain(plain_differential_evolution, NAME, task, 12, named, **protocol)
    assert_same_traces(plain, lockstep)


def test_points_and_architectures_are_inverse():
    space = load_task("graph-cora").space
    relaxed, architectures = Relaxed(space, 0.5, 0.5), np.arange(space.num_architectures)
    for draw in (0.0, 0.3, 0.999):
        points = relaxed.points(architectures, np.full((len(architectures), space.num_decisions), draw))
        np.testing.assert_array_equal(relaxed.architectures(points), architectures)
    highest = relaxed.points(architectures, np.full((len(architectures), space.num_decisions), np.nextafter(1.0, 0.0)))
    assert highest.max() < 1  # although it is rounded


def test_without_crossover_a_trial_changes_one_number_of_its_target():
    relaxed = Relaxed(NASBench201Space(), 0.5, 0.0)
    rng = np.random.default_rng(0)
    targets, parents = rng.random((500, 6)), rng.random((500, 3, 6))
    trials = relaxed.trials(targets, parents, rng.random((500, 13)))
    assert ((trials >= 0) & (trials < 1)).all()
    assert ((trials != targets).sum(axis=1) == 1).all()
    assert ((trials != targets).sum(axis=0) > 50).all()


def strategy_on(space, **hyperparameters):
    streams = RunStreams(np.array([7], dtype=np.uint64))
    return DifferentialEvolution(Problem(space, (), Budget(200)), streams, **hyperparameters)


def test_a_feasible_trial_replaces_a_better_infeasible_member_and_never_the_other_way_round():
    strategy, run = strategy_on(ProductSpace("s", [["a", "b", "c", "d"]] * 3), population_size=4), np.array([0])
    generations = [
        ([5.0, 5.0, 5.0, np.inf], [False, True, True, True]),
        ([9.0, 1.0, 5.0, np.inf], [True, False, True, True]),  # wins, loses, wins the tie, wins the tie
    ]
    points = []
    for losses, feasible in generations:
        strategy.propose(run)
        points.append(strategy._trials[0].copy())
        strategy.generation_feasible[:] = feasible
        strategy.update(run, np.zeros((1, 4), dtype=int), np.array([losses]))
    assert strategy._losses[0].tolist() == [9.0, 5.0, 5.0, np.inf]
    assert strategy._feasible[0].tolist() == [True, True, True, True]
    np.testing.assert_array_equal(strategy._points[0], np.where([[True], [False], [True], [True]], *points[::-1]))


def test_constraints_lead_the_search(run):
    """The fastest quarter: a uniform sample meets it in a quarter of the evaluations."""
    columns = run(NAME, "nb201-cifar10", 60, evaluations=150, constraints="latency_ms<=q25")
    problem = load_task("nb201-cifar10").problem(Protocol())
    latency = problem.lookup("latency_ms", columns["architecture"]).reshape(60, 150)
    bound = np.quantile(problem.lookup("latency_ms", np.arange(15_625)), 0.25)
    # Five standard errors of a uniform sample.
    assert (latency[:, -50:] <= bound).mean() > 0.25 + 5 * np.sqrt(0.25 * 0.75 / 3_000)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("population_size=3", "population_size must be at least 4, not 3"),
        ("mutation_factor=0.0", "mutation_factor must be in 0 … 2 .0 excluded., not 0.0"),
        ("crossover_probability=1.5", "crossover_probability must be in 0 … 1, not 1.5"),
    ],
)
def test_hyperparameters_without_sense_are_refused(parameter, message):
    with pytest.raises(InvalidInputError, match=f"{NAME}: {message}"):
        resolve(parse_strategy(f"{NAME}({parameter})"))
