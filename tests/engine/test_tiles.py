"""Strategies whose arithmetic depends on the shape of its arrays work on tiles of fixed size."""

from typing import ClassVar

import numpy as np
import pytest

from nasbench_harness.engine.strategy import Proposals, Strategy
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.engine.tiles import Tiles
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status


class Network(Strategy):
    """Every run proposes what two matrix products over all rows make of its results so far."""

    tile: ClassVar[int | None] = 64
    reproducible = "platform"

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        weights = np.random.default_rng(0)
        self.first, self.second = weights.normal(size=(16, 200)), weights.normal(size=(200, 16))
        self.memory = rng.uniform(16)

    def ask(self, idle):
        runs = np.flatnonzero(idle)
        scores = (np.tanh(self.memory @ self.first) @ self.second).reshape(len(idle), 4, 4)[runs]
        scores += self.rng.uniform(16, runs).reshape(len(runs), 4, 4)
        architectures = np.full(len(idle), -1)
        architectures[runs] = self.problem.space.from_choices(scores.argmax(axis=2))
        return Proposals(architectures)

    def tell(self, results):
        told = results.status != Status.NONE
        learned = self.problem.space.one_hot(results.architectures[told]) * (results.losses[told, None] / 100)
        self.memory[told] = 0.9 * self.memory[told] + learned


class ShapeDependent(Strategy):
    """What a product does in its last bits, done to the whole number: proposals depend on rows and on the own row."""

    tile: ClassVar[int | None] = 64
    asked: ClassVar[list] = []
    told: ClassVar[list] = []

    def ask(self, idle):
        self.asked.append(idle.copy())
        draws = self.rng.integers(1_000, runs=np.flatnonzero(idle))
        architectures = np.full(len(idle), -1)
        architectures[idle] = (draws * len(idle) + np.flatnonzero(idle)) % 256
        return Proposals(architectures)

    def tell(self, results):
        self.told.append(results)


class Untiled(ShapeDependent):
    """The same without a tile."""

    tile = None


@pytest.fixture(autouse=True)
def _forget():
    yield
    ShapeDependent.asked.clear()
    ShapeDependent.told.clear()


@pytest.mark.parametrize("strategy", [Network, ShapeDependent])
@pytest.mark.parametrize("noise", ["mean", "per_query"])
def test_traces_are_the_same_alone_and_in_batches(search, assert_same, strategy, noise):
    together = search(strategy, seeds=range(130), evaluations=30, noise=noise)
    for seed, trace in enumerate(search(strategy, seeds=range(7), evaluations=30, noise=noise)):
        assert_same(trace, together[seed])
    for seed in (0, 1, 6, 63, 64, 65, 127, 128, 129):
        (alone,) = search(strategy, seeds=[seed], evaluations=30, noise=noise)
        assert_same(alone, together[seed])


def test_without_a_tile_they_are_not(search):
    together = search(Untiled, seeds=range(7))
    (alone,) = search(Untiled, seeds=[3])
    assert alone["architecture"].tolist() != together[3]["architecture"].tolist()


def test_any_seeds_in_any_order_meet_their_own_rows(search, assert_same):
    seeds = [129, 3, 64, 700, 65, 0]
    for seed, trace in zip(seeds, search(Network, seeds=seeds), strict=True):
        (alone,) = search(Network, seeds=[seed])
        assert_same(trace, alone)


def test_every_object_sees_whole_tiles(search):
    search(ShapeDependent, seeds=[5, 70, 130], evaluations=4)
    assert {len(idle) for idle in ShapeDependent.asked} == {64}
    assert len(ShapeDependent.asked) == 3 * 4
    assert all(idle.all() for idle in ShapeDependent.asked)


def test_dummies_are_neither_stored_nor_counted(search):
    traces = search(ShapeDependent, seeds=[5, 70], evaluations=4)
    assert [trace["status"].tolist() for trace in traces] == [[Status.OK] * 4] * 2


def test_dummies_are_answered_with_finite_values(search):
    search(ShapeDependent, seeds=[5], evaluations=4)
    assert len(ShapeDependent.told) == 4
    for step, told in enumerate(ShapeDependent.told):
        assert (told.ticket == step).all()
        assert np.isfinite(told.values).all()
        assert np.isfinite(told.cost_s).all()
        assert np.isfinite(told.finished_s).all()
        assert (told.status == Status.OK).all()
        assert np.isin(told.architectures, np.arange(256)).all()


def test_streams_of_dummies_are_their_own(search):
    class Draws(Strategy):
        tile = 16
        first: ClassVar[list] = []

        def __init__(self, problem, rng):
            super().__init__(problem, rng)
            self.first.append(rng.uniform())

        def ask(self, idle):
            return Proposals(np.where(idle, 1, -1))

        def tell(self, results):
            pass

    search(Draws, seeds=[3, 20])
    draws = np.concatenate(Draws.first)
    assert len(np.unique(draws)) == len(draws) == 32
    keys = stream_keys(0, f"{Draws.__module__}:{Draws.__qualname__}", "tiny-set", np.arange(32))
    all_first = RunStreams(keys).uniform()
    assert draws[[3, 20]].tolist() == all_first[[3, 20]].tolist()
    assert not np.isin(np.delete(draws, [3, 20]), all_first).any()


def test_ended_runs_of_a_tile_are_not_asked(search):
    class Ends(Strategy):
        """Run with seed s proposes s times."""

        tile = 4
        idle: ClassVar[list] = []

        def __init__(self, problem, rng):
            super().__init__(problem, rng)
            self.left = np.arange(rng.num_runs)

        def ask(self, idle):
            self.idle.append(idle.tolist())
            architectures = np.where(idle & (self.left > 0), 7, -1)
            self.left[idle] -= 1
            return Proposals(architectures)

        def tell(self, results):
            pass

    traces = search(Ends, seeds=[0, 1, 3])
    assert [len(trace["status"]) for trace in traces] == [0, 1, 3]
    # Row 2 is a dummy, always idle; after everyone has ended nobody is asked.
    assert Ends.idle == [[True] * 4, [False, True, True, True], *[[False, False, True, True]] * 2]


@pytest.mark.parametrize(
    "answer",
    [np.full(4, 2.7), np.array([1, 2]), np.full((4, 1), 1), np.full(4, 256), np.full(4, -2)],
    ids=["float", "num_runs", "column", "high", "low"],
)
def test_tiles_are_held_to_the_same_contract(search, answer):
    class Answering(Strategy):
        tile = 4

        def ask(self, idle):
            return Proposals(answer)

        def tell(self, results):
            pass

    with pytest.raises(StrategyError, match="Answering"):
        search(Answering, seeds=[0, 1])


def test_recommendations_and_progress_pass_through_tiles(search):
    class Recommends(Strategy):
        tile = 8

        def __init__(self, problem, rng):
            super().__init__(problem, rng)
            self.is_progress = np.ones(rng.num_runs, dtype=bool)

        def ask(self, idle):
            progresses = idle & self.is_progress & (np.arange(len(idle)) % 2 == 1)
            self.is_progress[idle] = ~self.is_progress[idle]
            return Proposals(np.where(idle & ~progresses, np.arange(len(idle)), -1), None, 1.0 * progresses)

        def tell(self, results):
            pass

        def recommend(self):
            return np.arange(len(self.is_progress)) + 100

    traces = search(Recommends, seeds=[1, 2, 9, 12], evaluations=2)
    odd, even = [Status.PROGRESS, Status.OK] * 2, [Status.OK] * 2
    assert [trace["status"].tolist() for trace in traces] == [odd, even, odd, even]
    assert [set(trace["recommended"].tolist()) for trace in traces] == [{101}, {102}, {101}, {104}]


def test_runs_that_name_no_fidelity_ask_for_the_highest_whatever_their_neighbors_name(tiny):
    class Named(Strategy):
        """The group of the first tile names a fidelity, the others leave it open."""

        tile = 2

        def __init__(self, problem, rng):
            super().__init__(problem, rng)
            made.append(self)

        def ask(self, idle):
            named = np.array([0, -1]) if self is made[0] else None
            return Proposals(np.zeros(2, dtype=np.int64), named)

        def tell(self, results):
            pass

    made: list[Strategy] = []
    problem = tiny.problem(Protocol())
    tiles = Tiles(lambda keys: Named(problem, RunStreams(keys)), 2, np.arange(4, dtype=np.uint64), np.arange(4))
    assert tiles.ask(np.ones(4, dtype=bool)).fidelities.tolist() == [0, 0, -1, -1]
