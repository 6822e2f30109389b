"""Evaluations of sources in the engine: charged as the protocol says, and never beyond the budget."""

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


def test_seconds_are_charged_and_a_late_proposal_is_discarded():
    cost_s = load_task(TASK).under(Protocol()).typical_cost_s
    runs = rows(reads_first, evaluations=None, simulated_seconds=3 * cost_s, seeds=range(8))
    for run in runs:
        assert run["finished_s"].max() <= 3 * cost_s
        assert (run["status"] == Status.OVERRUN).sum() <= 1
        is_late = run["finished_s"][run["status"] == Status.SOURCE][-1] == 3 * cost_s
        assert not is_late or (run["status"] != Status.OK).all()
    assert any((run["status"] == Status.OK).any() for run in runs) or len(runs) == 8


def test_reads_without_a_proposal_are_progress():
    for run in rows(InLockstep, evaluations=8, cost="reported", number=6):
        assert run["status"].tolist() == [Status.OK] * 8


def test_tell_reads_nothing():
    class ReadsInTell(InLockstep):
        def tell(self, results):
            self.problem.sources[SOURCE].evaluate(np.zeros((len(results.losses), 1), dtype=int))

    with pytest.raises(InvalidInputError, match=r"in the constructor or in ask\(\), not in tell\(\)"):
        rows(ReadsInTell, evaluations=8, cost="reported")


def test_a_run_is_the_same_in_any_batch():
    whole = rows(reads_whenever_it_can, evaluations=15, seeds=range(5))
    for seeds in ([3], [4, 1]):
        for seed, run in zip(seeds, rows(reads_whenever_it_can, evaluations=15, seeds=seeds), strict=True):
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
