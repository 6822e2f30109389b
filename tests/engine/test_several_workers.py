"""Runs with several workers: one trace in any batch, exact budgets, and repeats that wait for the first training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.needs import check_needs
from nasbench_harness.engine.strategy import Progress, Proposal
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.batches import plan_batches
from nasbench_harness.studies.references import resolve

REGISTERED = ("random-search", "local-search", "regularized-evolution", "genetic-algorithm", "reinforce")


def simulated(task, script, workers, mode="async", duplicates="charge", evaluations=None, seconds=np.inf):
    """(architecture, status, worker, start, finish) in order of finishing: one run, written without arrays."""
    costs = task.table.column("set", "train_cost_s").values[:, 0, 0].tolist()
    script, pending, rows, clock, counted, ticket, first_end = list(script), [], [], 0.0, 0, 0, {}

    def may_start():
        return (evaluations is None or counted < evaluations) and clock < seconds

    def start():
        nonlocal counted, ticket
        item = script.pop(0)
        architecture, extra = (item.architecture, item.extra_cost_s) if isinstance(item, Proposal) else (item, 0.0)
        begin, status = min(clock + extra, seconds), Status.OK
        end = begin + costs[architecture]
        if architecture in first_end and duplicates == "forbid":
            end, status = begin, Status.REJECTED
        elif architecture in first_end and duplicates == "free":
            end, status = max(begin, first_end[architecture][0]), Status.DUPLICATE
        else:
            counted += 1
            if end > seconds:
                end, status = seconds, Status.OVERRUN
            first_end.setdefault(architecture, (end, status))
        free = min(set(range(workers)) - {entry[3] for entry in pending})
        pending.append((end, ticket, architecture, free, status, begin))
        ticket += 1

    while True:
        if mode == "async" or not pending:
            while script and len(pending) < workers and may_start():
                start()
        if not pending:
            return rows
        row = min(pending)
        pending.remove(row)
        clock = row[0]
        rows.append((row[2], int(row[4]), row[3], row[5], row[0]))


def rows_of(trace):
    names = ("architecture", "status", "worker", "started_s", "finished_s")
    return list(zip(*(trace[name].tolist() for name in names), strict=True))


PROPOSALS = st.one_of(
    st.integers(0, 8),
    st.tuples(st.integers(0, 8), st.sampled_from([0.0, 20.0, 300.0])).map(
        lambda pair: Proposal(pair[0], extra_cost_s=pair[1])
    ),
)


@given(
    scripts=st.lists(st.lists(PROPOSALS, max_size=25), min_size=1, max_size=3),
    workers=st.integers(2, 5),
    mode=st.sampled_from(["async", "sync"]),
    duplicates=st.sampled_from(["charge", "free", "forbid"]),
    budget=st.sampled_from([{"evaluations": 7}, {"simulated_seconds": 1500.0}]),
)
@settings(deadline=None)
def test_runs_follow_a_plain_simulation(tiny, scripted, play, scripts, workers, mode, duplicates, budget):
    rules = {"evaluations": None, "noise": "replicate=0", "duplicates": duplicates, **budget}
    traces = play(scripted(scripts), len(scripts), workers=workers, mode=mode, **rules)
    limits = {"evaluations": budget.get("evaluations"), "seconds": budget.get("simulated_seconds", np.inf)}
    for script, trace in zip(scripts, traces, strict=True):
        assert rows_of(trace) == simulated(tiny, script, workers, mode, duplicates, **limits)
        charged = np.isin(trace["status"], [Status.OK, Status.OVERRUN])
        assert charged.sum() <= (limits["evaluations"] or np.inf)
        assert (trace["finished_s"] <= limits["seconds"]).all()
        assert (np.diff(trace["finished_s"]) >= 0).all()


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("name", REGISTERED)
def test_a_run_is_the_same_in_any_batch(search, assert_same, name, mode):
    rules = {"evaluations": 60, "workers": 8, "mode": mode, "duplicates": "free"}
    together = search(name, range(6), **rules)
    for seed in (0, 3, 5):
        (alone,) = search(name, [seed], **rules)
        assert_same(alone, together[seed])
    for trace in together:
        assert set(trace["worker"].tolist()) == set(range(8))


def test_the_mode_changes_what_a_run_does(search):
    async_, sync = (
        search("regularized-evolution", evaluations=60, workers=8, mode=mode)[0] for mode in ("async", "sync")
    )
    assert async_["architecture"].tolist() != sync["architecture"].tolist()
    starts = np.unique(sync["started_s"])
    for start in starts[1:]:  # nothing starts before everything has finished
        assert (sync["finished_s"][sync["started_s"] < start] <= start).all()
    assert async_["finished_s"][-1] < sync["finished_s"][-1]


def test_a_repeat_of_a_pending_architecture_waits_for_it_and_costs_nothing(play, scripted, tiny):
    (trace,) = play(scripted([[5, 5, 6]]), workers=3, duplicates="free", noise="replicate=0")
    cost = tiny.table.column("set", "train_cost_s").values[5, 0, 0]
    of_repeat = trace["status"] == Status.DUPLICATE
    assert trace["finished_s"][of_repeat].tolist() == [cost]
    assert trace["cost_s"][of_repeat].tolist() == [0]
    assert trace["value_val_accuracy"][of_repeat] == tiny.table.column("set", "val_accuracy").values[5, 0, 0]


def test_a_repeat_of_a_pending_training_that_overruns_has_no_value(play, scripted):
    strategy = scripted([[5, 5]])
    (trace,) = play(strategy, workers=2, duplicates="free", evaluations=None, simulated_seconds=50, noise="replicate=0")
    assert trace["status"].tolist() == [Status.OVERRUN, Status.DUPLICATE]
    assert trace["finished_s"].tolist() == [50, 50]
    assert np.isnan(trace["value_val_accuracy"]).all()
    assert [told.values.ravel().tolist() for told in strategy.told] == [[np.inf], [np.inf]]


def test_search_time_delays_its_own_proposal_only(play, scripted):
    (trace,) = play(scripted([[Proposal(5, extra_cost_s=40.0), 6]]), workers=2, noise="replicate=0")
    assert dict(zip(trace["architecture"].tolist(), trace["started_s"].tolist(), strict=True)) == {5: 40.0, 6: 0.0}


def test_results_that_come_in_while_the_search_computes_are_taken_afterwards(play, scripted):
    (trace,) = play(scripted([[5, Progress(5000.0), 6]]), workers=2, noise="replicate=0")
    assert trace["status"].tolist() == [Status.PROGRESS, Status.OK, Status.OK]
    assert trace["finished_s"][:2].tolist() == [5000, 5000]
    assert trace["started_s"].tolist() == [0, 0, 5000]


def test_one_worker_stores_no_columns_of_workers(search):
    (trace,) = search("random-search")
    assert "worker" not in trace
    assert "started_s" not in trace


def test_generators_are_refused(tiny):
    def mine(problem, rng):
        yield problem.space.sample(rng)

    spec = resolve(StrategyRef(mine, "mine"))
    with pytest.raises(InvalidInputError, match=r"mine is a generator, .* cannot use 4 workers"):
        check_needs(spec, tiny.under(Protocol(workers=4)))
    with pytest.raises(InvalidInputError, match="mode=sync needs workers of at least 2"):
        Protocol(mode="sync")


def test_more_seconds_of_workers_make_room_for_more_rows(tiny):
    spec = resolve(StrategyRef("random-search"))
    one, eight = (Protocol(simulated_seconds=100_000, workers=workers) for workers in (1, 8))
    plans = [plan_batches(spec, tiny, [(0, 50_000)], rules) for rules in (one, eight)]
    assert len(plans[0]) < len(plans[1])
    rows = run_seeds(spec, tiny, Rules(eight, 0), np.arange(2)).trace.num_rows
    assert rows > 8 * 100_000 / 900
