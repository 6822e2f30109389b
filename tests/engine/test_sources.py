"""Evaluations of sources in the engine: charged as the protocol says, and never beyond the budget."""

from typing import ClassVar

import numpy as np
import pytest

from nasbench_harness import Needs, Proposals, Status, Strategy, declare
from nasbench_harness.engine.batches import Rules, run_parts, run_seeds
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve

TASK, SOURCE = "nb201-cifar10", "nb201-cifar100"


@declare(needs=Needs(sources=True))
def reads_first(problem, rng, *, number=5):
    """Read a source for random architectures, then evaluate the best of them downwards, again and again."""
    drawn = np.array([problem.space.sample(rng) for _ in range(number)])
    order = drawn[problem.sources[SOURCE].evaluate(drawn).argsort(kind="stable")].tolist()
    while True:
        for architecture in order:  # noqa: UP028 - a list takes no answers from the engine
            yield architecture


@declare(needs=Needs(sources=True))
def reads_whenever_it_can(problem, rng):
    while True:
        if problem.sources.left:
            problem.sources[SOURCE].evaluate(problem.space.sample(rng))
        yield problem.space.sample(rng)


class InLockstep(Strategy):
    """Reads two architectures at a time as progress, then proposes them."""

    needs = Needs(sources=True)

    def ask(self, idle):
        runs = np.flatnonzero(idle & (self.problem.sources.left >= 2))
        proposals = np.where(idle, self.problem.space.sample(self.rng), -1)
        if len(runs):
            self.problem.sources[SOURCE].evaluate(np.stack([proposals[runs]] * 2, axis=1), runs)
        proposals[runs] = -1
        return Proposals(proposals)

    def tell(self, results):
        pass


def rows(strategy, seeds=(0, 1, 2), parameters=(), number=5, cost="charged", task=TASK, **fields):
    protocol = Protocol(sources=[SOURCE], source_evaluations=number, source_cost=cost, **fields)
    spec = resolve(StrategyRef(strategy, None, parameters))
    trace = run_seeds(spec, load_task(task), Rules(protocol, 0), np.array(seeds)).trace
    return [trace.rows(slice(run, run + 1)) for run in range(len(seeds))]


def test_charged_reads_are_rows_that_count_and_cost_their_training_time():
    for run in rows(reads_first, evaluations=12):
        assert run["status"].tolist() == [Status.SOURCE] * 5 + [Status.OK] * 7
        assert (run["architecture"][:5] == -1).all()
        assert np.isnan(run["value_val_accuracy"][:5]).all()
        assert (run["cost_s"] > 0).all()
        assert run["finished_s"].tolist() == np.cumsum(run["cost_s"]).tolist()


@pytest.mark.parametrize("cost", ["reported", "free"])
def test_other_reads_leave_the_budget_alone(cost):
    for run in rows(reads_first, evaluations=12, cost=cost):
        assert run["status"].tolist() == [Status.OK] * 12
        assert run["finished_s"].tolist() == np.cumsum(run["cost_s"]).tolist()


def test_cost_decides_about_nothing_but_the_budget():
    charged, reported = (rows(reads_first, evaluations=12, cost=cost)[0] for cost in ("charged", "reported"))
    assert charged["architecture"][5:].tolist() == reported["architecture"][:7].tolist()


@pytest.mark.parametrize("evaluations", [6, 7, 8, 20])
@pytest.mark.parametrize("strategy", [reads_whenever_it_can, InLockstep])
def test_a_charged_budget_is_exact(strategy, evaluations):
    """The last evaluation is always one of the task."""
    for run in rows(strategy, evaluations=evaluations):
        assert len(run["status"]) == evaluations
        assert run["status"][-1] == Status.OK
        assert 4 <= (run["status"] == Status.SOURCE).sum() <= 5 or evaluations < 10


def test_reading_more_than_is_left_fails_that_run():
    with pytest.raises(InvalidInputError, match="asks for 6 evaluations, and 5 of its 5 source evaluations are left"):
        rows(reads_first, parameters={"number": 6}, evaluations=12)


class Recommends(Strategy):
    """Reads as many as it may, at once or one by one, and recommends the best that it was shown."""

    needs = Needs(sources=True)
    shown: ClassVar[list[list[float]]] = []  # losses that each run was shown

    def __init__(self, problem, rng, *, at_once=True, in_constructor=False):
        super().__init__(problem, rng)
        type(self).shown = [[] for _ in range(rng.num_runs)]
        self.at_once, self.best = at_once, np.full(rng.num_runs, -1)
        if in_constructor:
            self.read(np.arange(rng.num_runs))

    def read(self, runs):
        number = int(self.problem.sources.left[runs].max(initial=0)) if self.at_once else 1
        drawn = np.stack([self.problem.space.sample(self.rng, runs) for _ in range(number)], axis=1)
        for run, architectures, losses in zip(
            runs.tolist(), drawn, self.problem.sources[SOURCE].evaluate(drawn, runs), strict=True
        ):
            self.shown[run] += losses.tolist()
            if losses.min() <= np.nanmin(self.shown[run]):
                self.best[run] = architectures[losses.argmin()]

    def ask(self, idle):
        runs = np.flatnonzero(idle & (self.problem.sources.left > 0))
        if len(runs):
            self.read(runs)
        return Proposals(np.where(idle, self.problem.space.sample(self.rng), -1))

    def tell(self, results):
        pass

    def recommend(self):
        return self.best


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("parameters", [{}, {"at_once": False}, {"in_constructor": True}])
@pytest.mark.parametrize("trainings", [0.3, 1, 4])
@pytest.mark.parametrize("overrun", ["discard", "count"])
def test_a_value_of_a_source_is_shown_only_if_it_is_paid(overrun, trainings, parameters, workers):
    """Reads never spend more than the budget, by ``count`` than one training more; later ones change nothing."""
    end_s = trainings * load_task(SOURCE).under(Protocol()).typical_cost_s
    rules = {"evaluations": None, "simulated_seconds": end_s, "overrun": overrun, "workers": workers}
    runs = rows(Recommends, seeds=range(6), number=300, parameters=parameters, **rules)
    assert all(Recommends.shown)
    longest_s = np.nanmax(load_task(SOURCE).table.column("cifar100", "train_cost_s").values)
    for run, shown in zip(runs, Recommends.shown, strict=True):
        is_read = run["status"] == Status.SOURCE
        starts_s, ends_s = run["finished_s"] - run["cost_s"], run["finished_s"]
        assert (starts_s[is_read] < end_s).all()
        assert ends_s[is_read].max() <= end_s + (longest_s if overrun == "count" else 0)
        assert (run["cost_s"][is_read] > 0).all(), "a row without cost was never trained"
        last_is_shown = overrun == "count" or ends_s[is_read][-1] < end_s
        assert np.isfinite(shown).sum() == is_read.sum() - (not last_is_shown)
        if ends_s[is_read][-1] >= end_s:
            last = int(np.flatnonzero(is_read)[-1])
            after = slice(last + 1, None)
            assert len(set(run.get("recommended", run["architecture"] * 0)[last:])) == 1
            if workers == 1:
                assert run["status"][after].tolist() in ([], [Status.OVERRUN])
                assert run["cost_s"][after].sum() == 0
                assert np.isnan(run["value_val_accuracy"][after]).all()


def test_after_the_last_affordable_read_none_are_left():
    @declare(needs=Needs(sources=True))
    def reads_until_none_are_left(problem, rng):
        while problem.sources.left:
            problem.sources[SOURCE].evaluate(problem.space.sample(rng))
        yield problem.space.sample(rng)

    for run in rows(reads_until_none_are_left, evaluations=None, simulated_seconds=20_000, number=1_000):
        assert run["status"].tolist() == [Status.SOURCE] * (len(run["status"]) - 1) + [Status.OVERRUN]
        assert run["finished_s"][-2:].tolist() == [20_000, 20_000]


def test_seconds_that_suffice_change_nothing():
    bounded, free = (rows(reads_first, evaluations=12, simulated_seconds=seconds) for seconds in (10.0**9, None))
    for run, other in zip(bounded, free, strict=True):
        assert all(run[name].tobytes() == other[name].tobytes() for name in run)


@pytest.mark.parametrize("name", ["source-ordered", "few-shot-predictor", "ranking-weighted-ensemble"])
def test_installed_strategies_bear_reads_without_an_answer(name):
    rules = {"evaluations": None, "simulated_seconds": 20_000, "number": 40}
    for run in rows(name, **rules):
        assert run["status"][-1] == Status.OVERRUN
        assert run["finished_s"].max() == 20_000


def test_reads_without_a_proposal_are_progress():
    for run in rows(InLockstep, evaluations=8, cost="reported", number=6):
        assert run["status"].tolist() == [Status.OK] * 8


def test_tell_reads_nothing():
    class ReadsInTell(InLockstep):
        def tell(self, results):
            self.problem.sources[SOURCE].evaluate(np.zeros((len(results.losses), 1), dtype=int))

    with pytest.raises(InvalidInputError, match=r"in the constructor or in ask\(\), nowhere else"):
        rows(ReadsInTell, evaluations=8, cost="reported")


def test_recommend_reads_nothing():
    class ReadsToRecommend(InLockstep):
        def recommend(self):
            drawn = np.arange(self.rng.num_runs)
            self.problem.sources[SOURCE].evaluate(drawn[:, None])
            return drawn

    with pytest.raises(InvalidInputError, match=r"in the constructor or in ask\(\), nowhere else"):
        rows(ReadsToRecommend, evaluations=8, cost="reported")


@pytest.mark.parametrize("strategy", [reads_whenever_it_can, Recommends])
@pytest.mark.parametrize("seconds", [None, 30_000])
def test_a_run_is_the_same_in_any_batch(strategy, seconds):
    budget = {"evaluations": 15, "simulated_seconds": seconds}
    whole = rows(strategy, seeds=range(5), **budget)
    for seeds in ([3], [4, 1]):
        for seed, run in zip(seeds, rows(strategy, seeds=seeds, **budget), strict=True):
            for name in run.keys() - {"run"}:
                assert run[name].tobytes() == whole[seed][name].tobytes(), name


def test_parts_hold_the_counts_of_their_runs():
    protocol = Protocol(evaluations=12, sources=[SOURCE], source_evaluations=5, source_cost="reported")
    (part,) = run_parts(resolve(StrategyRef(reads_first)), load_task(TASK), Rules(protocol, 0), np.arange(3))
    assert part.sources.counts[SOURCE].tolist() == [5, 5, 5]
    assert (part.sources.seconds > 0).all()


def test_a_strategy_that_declares_no_need_gets_no_sources():
    def undeclared(problem, rng):
        assert len(problem.sources) == 0
        assert problem.sources.left == 0
        while True:
            yield problem.space.sample(rng)

    assert len(rows(undeclared, evaluations=8)[0]["status"]) == 8


def test_tiles_read_no_sources():
    class Tiled(InLockstep):
        tile = 64

    with pytest.raises(InvalidInputError, match="declares tile, and strategies in tiles read no sources"):
        rows(Tiled, evaluations=8)


def test_a_task_without_a_clock_charges_evaluations():
    @declare(needs=Needs(sources=True))
    def of_graphs(problem, rng):
        problem.sources["graph-citeseer"].evaluate(np.arange(5))
        while True:
            yield problem.space.sample(rng)

    protocol = Protocol(evaluations=9, sources=["graph-citeseer"], source_evaluations=5)
    batch = run_seeds(resolve(StrategyRef(of_graphs)), load_task("graph-cora"), Rules(protocol, 0), np.arange(2))
    run = batch.trace.rows(slice(0, 1))
    assert run["status"].tolist() == [Status.SOURCE] * 5 + [Status.OK] * 4
    assert np.isnan(run["finished_s"]).all()
