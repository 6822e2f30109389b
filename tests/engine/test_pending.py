"""Several evaluations of a run under way: the earliest finishes first, and one worker is the loop as it was."""

import numpy as np
import pytest

from nasbench_harness.engine.loop import StrategyFailed, _Loop
from nasbench_harness.engine.pending import Pending
from nasbench_harness.engine.strategy import Proposals, Strategy
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status


def columns(finished_s, ticket):
    return {"finished_s": np.array(finished_s, dtype=float), "ticket": np.array(ticket)}


def test_the_earliest_evaluation_of_each_run_finishes_first():
    pending = Pending(2, 3)
    pending.start(columns([5, 1, 9], [0, 0, 0]), np.array([True, True, False]))
    assert pending.has_room.tolist() == [True, True, True]
    pending.start(columns([3, 1, 9], [1, 1, 0]), np.array([True, True, False]))
    assert pending.has_room.tolist() == [False, False, True]
    found, finished = pending.finish()
    assert finished.tolist() == [True, True, False]
    assert found["ticket"][:2].tolist() == [1, 0]  # earlier; of equals the smaller ticket
    pending.start(columns([4, 0, 7], [2, 0, 0]), np.array([True, False, True]))
    found, finished = pending.finish()
    assert finished.tolist() == [True, True, True]
    assert found["ticket"].tolist() == [2, 1, 0]
    found, finished = pending.finish()
    assert (finished.tolist(), found["ticket"][0]) == ([True, False, False], 0)
    assert pending.counts.tolist() == [0, 0, 0]


def test_without_times_tickets_decide():
    pending = Pending(2, 1)
    for ticket in (1, 0):
        pending.start(columns([np.nan], [ticket]), np.array([True]))
    assert [pending.finish()[0]["ticket"][0] for _ in range(2)] == [0, 1]


def play(task, strategy, num_runs, num_workers, **protocol):
    rules = Protocol(**{"evaluations": 9, "noise": "replicate=0", "workers": num_workers, **protocol})
    ledger = Ledger(task, rules, 0, np.arange(num_runs))
    trace = _Loop(strategy, task, rules, ledger, None).run().trace
    return [trace.rows(slice(run, run + 1)) for run in range(num_runs)]


def simulated(task, script, num_workers, budget):
    """(architecture, finish) in order of finishing: a plain simulation of one run."""
    costs = task.table.column("set", "train_cost_s").values[:, 0, 0]
    pending, rows, clock = [], [], 0.0
    script = script[:budget]
    while script or pending:
        while script and len(pending) < num_workers:
            pending.append((clock + costs[script[0]], script.pop(0)))
        clock, architecture = pending.pop(min(range(len(pending)), key=lambda index: pending[index][0]))
        rows.append((architecture, clock))
    return rows


@pytest.mark.parametrize("num_workers", [1, 2, 3, 20])
def test_runs_with_several_workers_follow_a_plain_simulation(tiny, scripted, num_workers):
    scripts = [list(range(30)), list(range(100, 140)), [7, 8], []]
    strategy = scripted(scripts)
    traces = play(tiny, strategy, 4, num_workers)
    for script, trace in zip(scripts, traces, strict=True):
        rows = list(zip(trace["architecture"].tolist(), trace["finished_s"].tolist(), strict=True))
        assert rows == simulated(tiny, list(script), num_workers, 9)
        assert set(trace["status"].tolist()) <= {Status.OK}
    for run in range(4):
        tickets = [int(told.ticket[run]) for told in strategy.told if told.ticket[run] >= 0]
        assert sorted(tickets) == list(range(len(traces[run]["status"])))


def test_a_run_that_waits_is_asked_again_when_a_result_is_in(tiny, scripted):
    script = [1, 2, -1, 3, -1, -1, -1, 4]
    (trace,) = play(tiny, scripted([script]), 1, 3)
    assert sorted(trace["architecture"].tolist()) == [1, 2, 3]  # the last −1 comes with nothing pending


class Looking(Strategy):
    """Notes what is recorded and charged whenever it is told; has no evaluation that the record does not have."""

    def __init__(self):
        self.loop, self.seen = None, []

    def ask(self, idle):
        return Proposals(np.where(idle, 7, -1))

    def tell(self, results):
        rows, ledger = self.loop.trace.rows(slice(0, 1)), self.loop.ledger
        self.seen.append((len(rows["status"]), int(ledger.counted[0]), float(ledger.clock_s[0])))
        assert rows["finished_s"][-1] == results.finished_s[0]
        if len(self.seen) == 3:
            raise ArithmeticError


@pytest.mark.parametrize(("num_workers", "counted"), [(1, [1, 2, 3]), (2, [2, 3, 4])])
def test_a_result_is_recorded_before_it_is_told_and_charged_when_it_starts(tiny, num_workers, counted):
    rules = Protocol(evaluations=9, noise="replicate=0", workers=num_workers)
    strategy = Looking()
    strategy.loop = _Loop(strategy, tiny, rules, Ledger(tiny, rules, 0, np.arange(1)), None)
    with pytest.raises(StrategyFailed):
        strategy.loop.run()
    cost = tiny.table.column("set", "train_cost_s").values[7, 0, 0]
    rounds = np.arange(3) // num_workers + 1
    assert strategy.seen == list(zip([1, 2, 3], counted, (rounds * cost).tolist(), strict=True))
    assert strategy.loop.trace.rows(slice(0, 1))["architecture"].tolist() == [7, 7, 7]
