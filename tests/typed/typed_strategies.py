"""Strategies as users write them in an editor, with types; ``mypy --strict`` checks this file with the package."""

from typing import assert_type

import numpy as np

from nasbench_harness import (
    Bools,
    Evaluation,
    Floats,
    Ints,
    Problem,
    Progress,
    ProgressGenerator,
    Proposal,
    Proposals,
    Results,
    RunStream,
    RunStreams,
    SearchGenerator,
    Strategy,
    Study,
    compare,
    load_task,
)


def my_search(problem: Problem, rng: RunStream, *, patience: int = 30) -> SearchGenerator:
    """Climb by single mutations; start again after `patience` failures."""
    while True:
        best = yield problem.space.sample(rng)
        assert_type(best, Evaluation)
        failures = 0
        while failures < patience:
            evaluation = yield problem.space.mutate(best.architecture, rng)
            failures += 1
            if evaluation.loss < best.loss:
                best, failures = evaluation, 0


def all_operators(problem: Problem, rng: RunStream) -> SearchGenerator:
    """Every operator and draw of one run."""
    first, second = problem.space.sample(rng), problem.space.sample(rng)
    assert_type(first, int)
    child = problem.space.crossover(first, second, rng)
    assert_type(child, int)
    neighbors = problem.space.neighbors(child)
    assert_type(neighbors, list[int])
    assert_type(rng.uniform(), float)
    assert_type(rng.uniform(3), Floats)
    assert_type(rng.integers(5), int)
    assert_type(rng.integers(5, 3), Ints)
    assert_type(rng.subset(5, 2), list[int])
    assert_type(rng.choice(["a", "b"]), str)
    evaluation = yield Proposal(rng.choice(neighbors))
    assert_type(evaluation.loss, float)
    yield child
    return first


def slow_thinker(problem: Problem, rng: RunStream) -> ProgressGenerator:
    """A run that spends time of its own: only then an answer may be None."""
    answer = yield Progress(10.0)
    assert answer is None
    evaluation = yield problem.space.sample(rng)
    return None if evaluation is None else evaluation.architecture


class MutateTheBest(Strategy):
    """Always mutate the best architecture of the run."""

    def __init__(self, problem: Problem, rng: RunStreams) -> None:
        super().__init__(problem, rng)
        self.best: Ints = np.full(rng.num_runs, -1)
        self.loss: Floats = np.full(rng.num_runs, np.inf)

    def ask(self, idle: Bools) -> Proposals:
        """A random architecture first, then mutants of the best."""
        architectures: Ints = np.full(len(idle), -1)
        beginners, others = np.flatnonzero(idle & (self.best < 0)), np.flatnonzero(idle & (self.best >= 0))
        drawn = self.problem.space.sample(self.rng, beginners)
        assert_type(drawn, Ints)
        assert_type(self.problem.space.neighbors(drawn), Ints)
        assert_type(self.rng.uniform(runs=beginners), Floats)
        architectures[beginners] = drawn
        architectures[others] = self.problem.space.mutate(self.best[others], self.rng, others)
        return Proposals(architectures)

    def tell(self, results: Results) -> None:
        """Keep the best."""
        better = (results.losses < self.loss) & (results.architectures >= 0)
        self.best = np.where(better, results.architectures, self.best)
        self.loss = np.where(better, results.losses, self.loss)


def compare_them() -> Study:
    """The fields of the protocol are known."""
    assert_type(load_task("nb201-cifar100").query(0), dict[str, float])
    return compare([my_search, MutateTheBest, "random-search"], ["nb201-cifar100"], evaluations=20, duplicates="free")


def mistakes(problem: Problem, one: RunStream, many: RunStreams) -> None:
    """Each line is an error; an ignored line without an error is one, too."""
    problem.space.sample(one, np.array([0]))  # type: ignore[call-overload]
    problem.space.mutate(3, many)  # type: ignore[call-overload]
    problem.space.neighbors("3")  # type: ignore[call-overload]
    one.integers(0, "n")  # type: ignore[call-overload]
    compare(evaluation=20)  # type: ignore[call-arg]
    compare(duplicates="never")  # type: ignore[arg-type]
