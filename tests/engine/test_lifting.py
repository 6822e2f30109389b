"""Strategies written as generators of one run."""

import numpy as np
import pytest

from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.strategy import Evaluation, Progress, Proposal
from nasbench_harness.engine.streams import RunStream, stream_keys
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status

OK, DUPLICATE, REJECTED, PROGRESS = Status.OK, Status.DUPLICATE, Status.REJECTED, Status.PROGRESS


def test_a_generator_yields_ints_numpy_integers_proposals_and_progress(search):
    received = []

    def mixed(problem, rng):
        received.append((yield 3))
        received.append((yield np.int64(4)))
        received.append((yield np.uint8(5)))
        received.append((yield Proposal(6, fidelity=0, extra_cost_s=2.5, recommendation=4)))
        received.append((yield Progress(1.5, recommendation=np.int32(3))))
        received.append((yield Proposal(np.int16(7))))

    (trace,) = search(mixed, noise="mean")
    assert trace["architecture"].tolist() == [3, 4, 5, 6, -1, 7]
    assert trace["status"].tolist() == [OK, OK, OK, OK, PROGRESS, OK]
    assert trace["recommended"].tolist() == [-1, -1, -1, 4, 3, 3]
    assert received[4] is None
    evaluations = [answer for answer in received if answer is not None]
    assert all(type(evaluation) is Evaluation for evaluation in evaluations)
    assert all(evaluation.status is Status.OK for evaluation in evaluations)
    assert [evaluation.architecture for evaluation in evaluations] == [3, 4, 5, 6, 7]
    assert [evaluation.ticket for evaluation in evaluations] == [0, 1, 2, 3, 4]
    is_ok = trace["status"] == OK
    assert [evaluation.loss for evaluation in evaluations] == (100.0 - trace["value_val_accuracy"][is_ok]).tolist()
    assert [evaluation.values for evaluation in evaluations] == [(evaluation.loss,) for evaluation in evaluations]
    assert [evaluation.cost_s for evaluation in evaluations] == trace["cost_s"][is_ok].tolist()
    assert [evaluation.finished_s for evaluation in evaluations] == trace["finished_s"][is_ok].tolist()
    assert {(evaluation.fidelity, evaluation.status) for evaluation in evaluations} == {(0, OK)}
    costs = trace["cost_s"].copy()
    costs[3] += 2.5
    np.testing.assert_allclose(trace["finished_s"], np.cumsum(costs), rtol=1e-15)


def test_a_generator_sees_what_became_of_duplicates(search):
    seen = []

    def repeats(problem, rng):
        while True:
            evaluation = yield 5
            seen.append((evaluation.status, evaluation.loss))

    search(repeats, duplicates="forbid")
    assert len(seen) == 100  # the 101st answer ends the run
    assert seen[0][0] == OK
    assert set(seen[1:]) == {(REJECTED, np.inf)}
    seen.clear()
    search(repeats, duplicates="free")
    assert [status for status, _ in seen] == [OK] + [DUPLICATE] * 999
    assert len({loss for _, loss in seen}) == 1


def test_each_generator_has_its_runs_stream(search):
    def draws(problem, rng):
        assert type(rng) is RunStream
        while True:
            yield rng.integers(256)

    traces = search(draws, seeds=[0, 7, 3])
    reference = f"{draws.__module__}:{draws.__qualname__}"
    for trace, key in zip(traces, stream_keys(0, reference, "tiny-set", np.array([0, 7, 3])).tolist(), strict=True):
        stream = RunStream(key)
        assert trace["architecture"].tolist() == [stream.integers(256) for _ in range(10)]


def test_generators_end_when_they_return(search):
    def ends(problem, rng):
        for architecture in range(rng.integers(8)):
            evaluation = yield architecture
            assert evaluation.architecture == architecture

    traces = search(ends, seeds=range(40))
    lengths = [len(trace["status"]) for trace in traces]
    assert set(lengths) == set(range(8))
    assert [trace["architecture"].tolist() for trace in traces] == [list(range(length)) for length in lengths]


def test_what_a_generator_returns_is_its_recommendation(search):
    def returns(problem, rng):
        yield 1
        yield Proposal(2, recommendation=1)
        return 200

    def returns_nothing(problem, rng):
        yield 1
        yield Proposal(2, recommendation=1)

    (trace,) = search(returns)
    assert trace["recommended"].tolist()[-1] == 200
    (trace,) = search(returns_nothing)
    assert trace["recommended"].tolist() == [-1, 1]


def test_what_a_generator_returns_does_not_depend_on_its_batch(search, assert_same):
    def returns(problem, rng):
        for architecture in range(1 + rng.integers(8)):
            evaluation = yield architecture
            assert evaluation.architecture == architecture
        return 200

    together = search(returns, seeds=range(8))
    for seed in range(8):
        (alone,) = search(returns, seeds=[seed])
        assert_same(alone, together[seed])


def test_a_run_that_recommends_changes_nothing_of_its_neighbors(search, assert_same):
    def some_recommend(problem, rng):
        recommends = rng.integers(2)
        while True:
            yield Proposal(rng.integers(256), recommendation=3 if recommends else None)

    together = search(some_recommend, seeds=range(8))
    assert {trace["recommended"][0] for trace in together} == {-1, 3}
    for seed in range(8):
        (alone,) = search(some_recommend, seeds=[seed])
        alone.setdefault("recommended", np.full_like(alone["architecture"], -1))  # rows without any have no column
        assert_same(alone, together[seed])


def test_generators_are_closed_when_the_budget_ends(play, tiny):
    closed = []

    def careful(problem, rng):
        try:
            while True:
                yield Proposal(rng.integers(256), recommendation=17)
        finally:
            closed.append("closed")

    # Held here, else the garbage collector would close what the engine does not.
    lifted = LiftedGenerators(tiny.problem(Protocol()), np.arange(5, dtype=np.uint64), careful, {})
    traces = play(lifted, num_runs=5)
    assert closed == ["closed"] * 5
    assert all(trace["recommended"].tolist() == [17] * 10 for trace in traces)


def test_a_generator_is_not_resumed_after_the_last_evaluation(search):
    resumed = []

    def counts(problem, rng):
        for architecture in range(100):
            yield architecture
            resumed.append(architecture)

    search(counts, evaluations=4)
    assert resumed == [0, 1, 2]


@pytest.mark.parametrize(
    "nonsense", ["|none~0|", 1.5, None, [1], np.array([1, 2]), Proposal(1.5), Proposal("a"), Proposal(None)], ids=repr
)
def test_nonsense_is_refused_with_what_to_yield(search, nonsense):
    def my_search(problem, rng):
        yield 1
        yield nonsense

    with pytest.raises(StrategyError, match=r"my_search yielded .*: yield an architecture .* a Proposal or Progress"):
        search(my_search)


def test_an_evaluation_in_place_of_its_architecture_says_so(search):
    def yields_it(problem, rng):
        yield (yield 1)

    with pytest.raises(StrategyError, match=r"^yields_it yielded an Evaluation: yield its architecture, evaluation\."):
        search(yields_it)

    def recommends_it(problem, rng):
        return (yield 1)

    with pytest.raises(StrategyError, match=r"recommended an Evaluation: recommend \(or return\) its architecture"):
        search(recommends_it)


@pytest.mark.parametrize("wrong", [256, -2, 2**63, 2**70, Proposal(256)], ids=repr)
def test_an_architecture_out_of_range_is_refused_under_the_functions_name(search, wrong):
    def my_search(problem, rng):
        yield 1
        yield wrong

    with pytest.raises(StrategyError, match=r"my_search.* 0 … 255"):
        search(my_search)


def test_a_recommendation_out_of_range_is_refused_under_the_functions_name(search):
    def my_search(problem, rng):
        yield Proposal(1, recommendation=256)

    with pytest.raises(StrategyError, match=r"my_search.* 0 … 255"):
        search(my_search)


@pytest.mark.parametrize("recommendation", [1.5, "a"])
def test_a_recommendation_that_is_no_integer_is_refused(search, recommendation):
    def my_search(problem, rng):
        yield Proposal(1, recommendation=recommendation)

    with pytest.raises(StrategyError, match="my_search"):
        search(my_search)


@pytest.mark.parametrize("seconds", [0, 0.0, -1.0, float("nan")])
def test_progress_must_cost_time(search, seconds):
    def my_search(problem, rng):
        yield Progress(seconds)

    with pytest.raises(StrategyError, match=r"my_search yielded Progress of .* must cost simulated seconds"):
        search(my_search)


def test_a_fidelity_that_the_task_lacks_is_refused(search):
    def my_search(problem, rng):
        yield Proposal(1, fidelity=1)

    with pytest.raises(StrategyError, match="my_search: the task has one fidelity, but it yielded 1"):
        search(my_search)


def test_a_return_value_below_zero_is_refused(search):
    def returns_minus_one(problem, rng):
        yield 1
        return -1

    with pytest.raises(StrategyError, match="returns_minus_one recommended -1: an architecture is in 0 … 255"):
        search(returns_minus_one)


def test_return_ends_the_run_and_minus_one_is_refused(search):
    def gives_up(problem, rng):
        yield 1

    def pads(problem, rng):
        yield 1
        yield -1  # e.g. the padding of neighbors()

    (trace,) = search(gives_up)
    assert trace["architecture"].tolist() == [1]
    with pytest.raises(StrategyError, match=r"pads yielded -1: an architecture is in 0 … 255; return ends a run"):
        search(pads)


def test_exceptions_propagate(search):
    def breaks(problem, rng):
        yield 1
        raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        search(breaks)


def test_hyperparameters_reach_the_generator(search):
    def constant(problem, rng, *, architecture=1, twice=False):
        while True:
            yield architecture * (2 if twice else 1)

    (trace,) = search(constant, parameters={"architecture": 50, "twice": True})
    assert trace["architecture"].tolist() == [100] * 10


def test_a_run_that_names_no_fidelity_asks_for_the_highest_whatever_its_neighbors_name(tiny):
    def named(problem, rng):
        is_named = rng.integers(2)
        while True:
            yield Proposal(1, fidelity=0 if is_named else None)

    lifted = LiftedGenerators(tiny.problem(Protocol()), np.arange(20, dtype=np.uint64), named, {})
    assert set(lifted.ask(np.ones(20, dtype=bool)).fidelities.tolist()) == {0, -1}
