"""A strategy that reads more than its sources answer, or the target, fails its contract."""

import numpy as np
import pytest
from kit.contracts import failures

from nasbench_harness import Needs, declare, load_task
from nasbench_harness.tables.extending import with_columns
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing import StrategyContract
from nasbench_harness.testing.sources import sources_for

of_sources = declare(needs=Needs(sources=True))


def of_strategy(search, *rules):
    members = {"strategy": staticmethod(search), "tasks": ("nb201-cifar10",), "evaluations": 20}
    return failures(type("Mutant", (StrategyContract,), members)(), *rules)


@of_sources
def best_of_a_sample(problem, rng):
    while True:
        drawn = np.array([problem.space.sample(rng) for _ in range(8)])
        source = next(iter(problem.sources.values()))
        number = min(len(drawn), problem.sources.left)
        losses = source.evaluate(drawn[:number])
        yield int(drawn[losses.argmin() if number else 0])


@of_sources
def reads_the_oracle_behind_a_source(problem, rng):
    reads = problem.sources.reads
    tasks = reads._tasks
    means = tasks["nb201-cifar100"].oracle._means
    for architecture in np.argsort(-means[:, 0])[: 20 + problem.space.sample(rng) % 7].tolist():  # noqa: UP028 - a list takes no answers from the engine
        yield architecture


@of_sources
def reads_the_target_by_the_name_of_its_source(problem, rng):
    (name,) = problem.sources
    target = load_task(name.replace("cifar100", "cifar10"))
    values = target.scores["val"].values
    drawn = np.array([problem.space.sample(rng) for _ in range(50)])
    for architecture in drawn[np.argsort(-values[drawn])].tolist():  # noqa: UP028 - a list takes no answers from the engine
        yield architecture


@of_sources
def reads_the_table_of_a_source(problem, rng):
    (name,) = problem.sources
    column = load_task(name).table.column("cifar10", "val_accuracy")
    drawn = np.array([problem.space.sample(rng) for _ in range(50)])
    for architecture in drawn[np.argsort(-column.values[drawn, 0, 0])].tolist():  # noqa: UP028 - a list takes no answers from the engine
        yield architecture


@of_sources
def opens_reads_again(problem, rng):
    problem.sources.reads.bound(np.full(12, 10**6), np.zeros(12))
    while True:
        yield problem.space.sample(rng)


@of_sources
def looks_up_the_search_metric(problem, rng):
    problem.lookup("val_accuracy", np.arange(15_625))
    while True:
        yield problem.space.sample(rng)


@of_sources
def renames_its_source(problem, rng):
    (source,) = problem.sources.values()
    source.name = "nb201-cifar10"
    source.evaluate(np.array([1]))
    while True:
        yield problem.space.sample(rng)


@of_sources
def reads_for_another_run(problem, rng):
    (source,) = problem.sources.of_run(0).values()
    while True:
        source.evaluate(problem.space.sample(rng))
        yield problem.space.sample(rng)


@of_sources
def gives_itself_reads(problem, rng):
    for counts in problem.sources.reads.counts.values():
        counts[:] = -1_000
    while True:
        yield problem.space.sample(rng)


def test_an_honest_strategy_holds_every_rule():
    assert of_strategy(best_of_a_sample) == {}


@pytest.mark.parametrize(
    ("cheat", "seen"),
    [
        (reads_the_oracle_behind_a_source, "_tasks of a SourceReads"),
        (reads_the_target_by_the_name_of_its_source, "scores of a Task"),
        (reads_the_table_of_a_source, "table of a Task"),
        (opens_reads_again, "bound of a SourceReads"),
        (gives_itself_reads, "counts of a SourceReads"),
    ],
)
def test_a_strategy_that_reads_values_past_its_sources_is_seen(cheat, seen):
    assert seen in of_strategy(cheat, "no_scores_are_read")["no_scores_are_read"]


@pytest.mark.parametrize(
    ("cheat", "message"),
    [
        (looks_up_the_search_metric, "unknown free metric 'val_accuracy'"),
        (renames_its_source, "KeyError: 'nb201-cifar10'"),
        (reads_for_another_run, "no run reads in the place of another"),
    ],
)
def test_a_strategy_that_asks_for_more_than_its_sources_is_refused(cheat, message):
    assert message in of_strategy(cheat)["it_can_be_played"]


def test_the_contract_finds_sources_for_each_task():
    assert sources_for("nb201-cifar10") == ["nb201-cifar100", "nb201-imagenet16-120"]
    assert sources_for("graph-proteins") == []
    assert sources_for("nb201-cifar100@without=none")[0] == "nb201-cifar10@without=none"


@pytest.mark.thorough
def test_a_table_without_a_fitting_task_gets_sources_of_other_tables(filled):
    register_table(with_columns(load_table("nb201"), "cifar10", [], "mine", "a copy"))
    register_table(with_columns(load_table("nb201"), "cifar10", [], "nb201-phone", "a copy"))
    for task in ("mine-cifar10", "nb201-phone-cifar10"):  # not nb201-cifar10, which holds their own data
        assert sources_for(task) == ["nb201-cifar100", "nb201-imagenet16-120"]
    tasks = ("mine-cifar10", "nb201-cifar100")  # the first source of one is the data of the other
    members = {"strategy": staticmethod(best_of_a_sample), "tasks": tasks, "evaluations": 5}
    assert failures(type("Copy", (StrategyContract,), members)(), "it_can_be_played") == {}
