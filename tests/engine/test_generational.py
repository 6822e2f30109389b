"""Generations: proposed whole, answered in any order, told when they are complete."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness import Generational
from nasbench_harness.engine.strategy import Results
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status


class Recorder(Generational):
    """Generations of three random architectures; keeps what it was called with."""

    generation_size = 3

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.proposed, self.updates = [], []

    def propose(self, runs):
        generation = self.rng.integers(self.problem.space.num_architectures, self.generation_size, runs)
        self.proposed.append((runs.copy(), generation.copy()))
        return generation

    def update(self, runs, architectures, losses):
        self.updates.append((runs.copy(), architectures.copy(), losses.copy()))


@pytest.fixture
def problem(tiny) -> Problem:
    return tiny.problem(Protocol())


def streams(num_runs, seed=0):
    return RunStreams(np.random.default_rng(seed).integers(0, 2**64, num_runs, dtype=np.uint64))


def results(num_runs, answers):
    """``answers``: (run, ticket, architecture, loss) of at most one evaluation per run."""
    arrays = {name: np.full(num_runs, -1) for name in ("ticket", "architectures")}
    values, status = np.zeros((num_runs, 1)), np.full(num_runs, Status.NONE)
    for run, ticket, architecture, loss in answers:
        arrays["ticket"][run], arrays["architectures"][run] = ticket, architecture
        values[run], status[run] = loss, Status.OK if np.isfinite(loss) else Status.MISSING
    zeros = np.zeros(num_runs)
    return Results(
        fidelities=zeros.astype(int),
        values=values,
        cost_s=zeros,
        finished_s=zeros,
        status=status,
        feasible=status > 0,
        **arrays,
    )


def test_generations_are_proposed_and_told_whole_and_in_order(problem, play):
    strategy = Recorder(problem, streams(4))
    traces = play(strategy, 4, evaluations=9)
    assert len(strategy.proposed) == len(strategy.updates) == 3
    for generation, ((runs, proposed), (told_runs, told, losses)) in enumerate(
        zip(strategy.proposed, strategy.updates, strict=True)
    ):
        assert runs.tolist() == told_runs.tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(told, proposed)
        for run, trace in enumerate(traces):
            rows = slice(3 * generation, 3 * generation + 3)
            np.testing.assert_array_equal(trace["architecture"][rows], proposed[run])
            np.testing.assert_array_equal(100 - trace["value_val_accuracy"][rows], losses[run])


@pytest.mark.parametrize(("evaluations", "num_updates"), [(2, 0), (3, 1), (5, 1), (6, 2), (7, 2)])
def test_a_generation_that_the_budget_cuts_is_never_told(problem, play, evaluations, num_updates):
    strategy = Recorder(problem, streams(2))
    play(strategy, 2, evaluations=evaluations)
    assert len(strategy.updates) == num_updates


def test_rejected_proposals_count_as_answered(problem, play):
    class Repeats(Recorder):
        def propose(self, runs):
            return np.tile([len(self.updates), 7, 100 + len(self.updates)], (len(runs), 1))

    strategy = Repeats(problem, streams(1))
    play(strategy, 1, evaluations=6, duplicates="forbid")
    assert [np.isinf(losses[0]).tolist() for _, _, losses in strategy.updates] == [[False] * 3, [False, True, False]]


def test_missing_values_are_infinite_and_in_place(problem):
    strategy = Recorder(problem, streams(1))
    for ticket in range(3):
        (architecture,) = strategy.ask(np.ones(1, dtype=bool)).architectures
        strategy.tell(results(1, [(0, ticket, architecture, np.inf if ticket == 1 else 5.0)]))
    ((_, _, losses),) = strategy.updates
    assert losses.tolist() == [[5.0, np.inf, 5.0]]


@pytest.mark.thorough
@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 5))
def test_results_may_come_in_any_order(tiny, random, num_runs, num_workers):
    strategy = Recorder(tiny.problem(Protocol()), streams(num_runs))
    pending, tickets, losses = [[] for _ in range(num_runs)], [0] * num_runs, [[] for _ in range(num_runs)]
    for _ in range(40):
        while True:
            idle = np.array([len(waiting) < num_workers for waiting in pending])
            asked = strategy.ask(idle).architectures
            assert (asked[~idle] == -1).all()
            if (asked < 0).all():
                break
            for run in np.flatnonzero(asked >= 0):
                losses[run].append(random.choice([random.uniform(0, 100), float("inf")]))
                pending[run].append((run, tickets[run], asked[run], losses[run][-1]))
                tickets[run] += 1
        assert all(pending)  # a run without anything pending would have ended
        finished = [run for run in range(num_runs) if random.random() < 0.7]
        strategy.tell(results(num_runs, [pending[run].pop(random.randrange(len(pending[run]))) for run in finished]))
        for runs, _ in strategy.proposed[1:]:
            assert len(set(runs.tolist())) == len(runs)
    for run in range(num_runs):
        proposed = [generation[runs == run][0].tolist() for runs, generation in strategy.proposed if run in runs]
        told = [(some[runs == run][0].tolist(), got[runs == run][0].tolist()) for runs, some, got in strategy.updates
                if run in runs]  # fmt: skip
        assert len(proposed) - len(told) in (0, 1)  # the next generation comes after the last is told
        for generation, (architectures, values) in enumerate(told):
            assert architectures == proposed[generation]
            assert values == losses[run][3 * generation : 3 * generation + 3]


def test_nobody_proposes_while_results_are_missing(problem):
    strategy, everyone = Recorder(problem, streams(1)), np.ones(1, dtype=bool)
    asked = [strategy.ask(everyone).architectures[0] for _ in range(5)]
    assert [architecture >= 0 for architecture in asked] == [True] * 3 + [False] * 2
    for ticket in (2, 0):
        strategy.tell(results(1, [(0, ticket, asked[ticket], 1.0)]))
        assert strategy.ask(everyone).architectures[0] == -1
    assert not strategy.updates
    strategy.tell(results(1, [(0, 1, asked[1], 2.0)]))
    assert strategy.updates[0][2].tolist() == [[1.0, 2.0, 1.0]]
    assert strategy.ask(everyone).architectures[0] >= 0


def test_only_idle_runs_are_read_and_draw(problem):
    strategy, idle = Recorder(problem, streams(4)), np.array([False, True, False, True])
    np.testing.assert_array_equal(strategy.ask(idle).architectures >= 0, idle)
    ((runs, _),) = strategy.proposed
    assert runs.tolist() == [1, 3]
    untouched = streams(4)
    np.testing.assert_array_equal(strategy.rng.uniform(runs=np.array([0, 2])), untouched.uniform()[[0, 2]])


def test_a_run_has_its_trace_in_any_batch(search, assert_same):
    together = search(Recorder, range(20), evaluations=20, duplicates="forbid")
    for seed in (0, 7, 19):
        (alone,) = search(Recorder, [seed], evaluations=20, duplicates="forbid")
        assert_same(alone, together[seed])


def test_arrays_belong_to_the_subclass(problem, play):
    class Overwrites(Recorder):
        def propose(self, runs):
            generation = super().propose(runs)
            runs[:] = -5
            return generation

        def update(self, runs, architectures, losses):
            super().update(runs, architectures, losses)
            runs[:], architectures[:], losses[:] = -5, -5, np.nan

    careless, careful = Overwrites(problem, streams(3)), Recorder(problem, streams(3))
    for first, second in zip(play(careless, 3), play(careful, 3), strict=True):
        np.testing.assert_array_equal(first["architecture"], second["architecture"])


class Answers(Generational):
    generation_size = 2

    def __init__(self, problem, rng, answer):
        super().__init__(problem, rng)
        self.answer = answer

    def propose(self, runs):
        return self.answer

    def update(self, runs, architectures, losses):
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            np.zeros(3, int),
            r"integer architectures of shape \(3, 2\) \(len\(runs\), generation_size\), not int64 of sh",
        ),
        (np.zeros((2, 3), int), r"of shape \(3, 2\) \(len\(runs\), generation_size\), not int64 of shape \(2, 3\)"),
        (np.zeros((3, 2)), r"integer architectures of shape \(3, 2\) .*, not float64 of shape \(3, 2\)"),
        (None, r"integer architectures of shape \(3, 2\) .*, not object of shape \(\)"),
        (np.full((3, 2), 256), r"must return architectures 0 … 255: got 256 … 256"),
        ([[0, 1], [2, 3], [-1, 4]], r"must return architectures 0 … 255: got -1 … 4"),
    ],
)
def test_what_is_proposed_is_checked(problem, answer, message):
    with pytest.raises(StrategyError, match=rf"Answers: propose\(runs\) must return .*{message.split('return ')[-1]}"):
        Answers(problem, streams(3), answer).ask(np.ones(3, dtype=bool))


def test_any_integer_type_and_lists_will_do(problem):
    for answer in ([[1, 2]], np.array([[1, 2]], dtype=np.int16), np.array([[1, 2]], dtype=np.uint64)):
        assert Answers(problem, streams(1), answer).ask(np.ones(1, dtype=bool)).architectures.tolist() == [1]


@pytest.mark.parametrize("size", [0, -1, 2.0, True, None], ids=str)
def test_generation_size_is_a_whole_number(problem, size):
    strategy = Answers(problem, streams(1), [[1, 2]])
    strategy.generation_size = size
    with pytest.raises(StrategyError, match=f"Answers: generation_size must be a whole number .*not {size}"):
        strategy.ask(np.ones(1, dtype=bool))


def test_a_missing_generation_size_is_named(problem):
    class Sizeless(Generational):
        def propose(self, runs):
            return np.zeros((len(runs), 1), dtype=int)

        def update(self, runs, architectures, losses):
            pass

    with pytest.raises(StrategyError, match="Sizeless: generation_size must be"):
        Sizeless(problem, streams(1)).ask(np.ones(1, dtype=bool))
