"""Fidelities that the strategy chooses: costs, trainings, budgets and repeats follow a plain simulation."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import HIGHEST, Proposal, Proposals, Strategy
from nasbench_harness.errors import InvalidInputError, StrategyError
from nasbench_harness.evaluation.choice import choices, rows_of
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

EPOCHS = (1, 3, 9)
NUM_ARCHITECTURES = 8
INF = np.inf
HERE = Provenance("here", "1", "MIT")


@pytest.fixture(scope="module")
def task():
    """Eight architectures, two replicates, values after 1, 3 and 9 epochs; costs are not proportional to epochs."""
    rng = np.random.default_rng(3)
    size = (NUM_ARCHITECTURES, 2, len(EPOCHS))
    accuracy = rng.integers(300, 950, size) / 10.0
    cost = np.cumsum(rng.integers(10, 90, size), axis=2).astype(float)
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.1), accuracy),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), cost),
    }
    space = ProductSpace("eight", [["a", "b"]] * 3)
    dataset = Dataset("Set", space, columns, EPOCHS)
    return make_task(Table("curves", {"set": dataset}, HERE, digest="1" * 64), "set")


class Script(Strategy):
    """Proposes what stands in each run's list: pairs of an architecture and a place on the fidelity axis."""

    def __init__(self, scripts):
        self.scripts, self.told = [list(script) for script in scripts], []

    def ask(self, idle):
        architectures, fidelities = np.full(len(idle), -1), np.zeros(len(idle), dtype=int)
        for run in np.flatnonzero(idle):
            if self.scripts[run]:
                architectures[run], fidelities[run] = self.scripts[run].pop(0)
        return Proposals(architectures, fidelities)

    def tell(self, results):
        self.told.append(results)


def played(task, scripts, **rules):
    protocol = Protocol(**{"fidelity": "all", "noise": "per_query", **rules})
    trace = run_batch(lambda: Script(scripts), task, protocol, 0, np.arange(len(scripts))).trace
    return [trace.rows(slice(run, run + 1)) for run in range(len(scripts))], protocol


def simulated(task, script, protocol, run):
    """Rows of one run in order of finishing, written without arrays."""
    costs = task.table.column("set", "train_cost_s").values
    values = task.table.column("set", "val_accuracy").values
    noise = Noise(protocol, task.under(protocol).oracle, NUM_ARCHITECTURES, 0, np.array([run]))
    seconds = INF if protocol.simulated_seconds is None else protocol.simulated_seconds
    limit = INF if protocol.evaluations is None else protocol.evaluations
    epochs_limit = INF if protocol.epochs is None else protocol.epochs
    is_checkpoint, discards = protocol.continuation == "checkpoint", protocol.overrun == "discard"
    history = []  # (architecture, number, from, to, end, has value) of charged evaluations
    script, pending, rows, clock, counted, spent, streak = list(script), [], [], 0.0, 0, 0, 0

    def start(architecture, fidelity):
        nonlocal counted, spent, streak
        own = [entry for entry in history if entry[0] == architecture]
        begun = len({entry[1] for entry in own})
        reached = own[-1][3] if own and is_checkpoint else -1
        shown = [e for e in own if (e[2] < fidelity <= e[3] if is_checkpoint else e[3] == fidelity)]
        is_repeat = fidelity <= reached if is_checkpoint else bool(shown)
        begin, before, number = clock, -1, begun
        if is_checkpoint and not is_repeat and own:
            before, number = reached, begun - 1
            begin = max(begin, own[-1][4])
        if is_repeat and protocol.duplicates != "charge":
            streak += 1
            if protocol.duplicates == "forbid":
                return Status.REJECTED, clock, clock, 0.0, shown[0][1], None
            replicate = int(noise.replicates(np.array([architecture]), np.array([shown[0][1]]))[0])
            value = values[architecture, replicate, fidelity] if shown[0][5] else None
            return Status.DUPLICATE, clock, max(clock, shown[0][4]), 0.0, shown[0][1], value
        replicate = int(noise.replicates(np.array([architecture]), np.array([number]))[0])
        cost = costs[architecture, replicate, fidelity] - (costs[architecture, replicate, before] if before >= 0 else 0)
        needed = EPOCHS[fidelity] - (EPOCHS[before] if before >= 0 else 0)
        value, status, end = values[architecture, replicate, fidelity], Status.OK, begin + cost
        if discards and needed > epochs_limit - spent:
            needed, status, value = epochs_limit - spent, Status.OVERRUN, None
        if discards and end > seconds:
            end, cost, status, value = seconds, seconds - begin, Status.OVERRUN, None
        counted, spent, streak = counted + 1, spent + needed, 0
        history.append((architecture, number, before, fidelity, end, value is not None))
        return status, begin, end, cost, number, value

    while True:
        while (
            script and len(pending) < protocol.workers and counted < limit and spent < epochs_limit and clock < seconds
        ):
            architecture, fidelity = script.pop(0)
            status, begin, end, cost, number, value = start(architecture, fidelity)
            pending.append((end, len(rows) + len(pending), architecture, fidelity, status, begin, cost, number, value))
        if not pending:
            return rows, spent
        row = min(pending, key=lambda entry: entry[:2])
        pending.remove(row)
        clock = row[0]
        rows.append((*row[2:4], int(row[4]), row[7], row[6], row[0], row[8]))


def rows_in(trace):
    names = ("architecture", "fidelity", "status", "training", "cost_s", "finished_s", "value_val_accuracy")
    rows = zip(*(trace[name].tolist() for name in names), strict=True)
    return [(*row[:-1], None if np.isnan(row[-1]) else row[-1]) for row in rows]


@given(
    scripts=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=25), min_size=1, max_size=3),
    workers=st.sampled_from([1, 1, 3]),
    duplicates=st.sampled_from(["charge", "free", "forbid"]),
    continuation=st.sampled_from(["checkpoint", "restart"]),
    budget=st.sampled_from([{"evaluations": 9}, {"epochs": 40}, {"simulated_seconds": 700.0}]),
    overrun=st.sampled_from(["discard", "count"]),
)
@settings(deadline=None, max_examples=300)
def test_runs_follow_a_plain_simulation(task, scripts, workers, duplicates, continuation, budget, overrun):
    rules = {} if "evaluations" in budget else {"overrun": overrun}
    rules |= {"duplicates": duplicates, "continuation": continuation, "workers": workers, **budget}
    traces, protocol = played(task, scripts, **rules)
    for run, (script, trace) in enumerate(zip(scripts, traces, strict=True)):
        expected, spent = simulated(task, script, protocol, run)
        assert rows_in(trace) == [(*row[:4], pytest.approx(row[4]), pytest.approx(row[5]), row[6]) for row in expected]
        if overrun == "discard":
            assert spent <= budget.get("epochs", INF)
            assert trace["finished_s"].max(initial=0) <= budget.get("simulated_seconds", INF)
        assert np.isin(trace["status"], [Status.OK, Status.OVERRUN]).sum() <= budget.get("evaluations", INF)


def test_a_checkpoint_pays_the_increment_and_keeps_the_replicate(task):
    (trace,), _ = played(task, [[(2, 0), (2, 1), (2, 2)]], evaluations=3)
    cost = task.table.column("set", "train_cost_s").values[2, trace["replicate"][0]]
    assert trace["replicate"].tolist() == [trace["replicate"][0]] * 3
    assert trace["training"].tolist() == [0, 0, 0]
    assert trace["cost_s"].tolist() == [cost[0], cost[1] - cost[0], cost[2] - cost[1]]
    assert trace["finished_s"][-1] == cost[2]


def test_a_restart_pays_the_whole_training_and_is_the_next(task):
    (trace,), _ = played(task, [[(2, 0), (2, 1), (2, 2)]], evaluations=3, continuation="restart")
    cost = task.table.column("set", "train_cost_s").values[2]
    assert trace["training"].tolist() == [0, 1, 2]
    assert trace["cost_s"].tolist() == [cost[replicate, at] for at, replicate in enumerate(trace["replicate"])]


def test_epochs_are_spent_exactly(task):
    script = [(0, 2), (1, 0), (1, 1), (2, 2)]  # 9 + 1 + 2 + 9 epochs
    (trace,), protocol = played(task, [script], epochs=15)
    assert trace["status"].tolist() == [Status.OK, Status.OK, Status.OK, Status.OVERRUN]
    ledger = Ledger(task, protocol, 0, np.arange(1))
    for architecture, fidelity in script:
        assert ledger.has_budget().all()
        ledger.evaluate(np.array([architecture]), np.array([True]), np.array([fidelity]))
    assert ledger.epochs.tolist() == [15]
    assert not ledger.has_budget().any()
    (trace,), _ = played(task, [script], epochs=12)
    assert trace["status"].tolist() == [Status.OK, Status.OK, Status.OK]
    (trace,), _ = played(task, [[*script, (3, 0)]], epochs=15, overrun="count")
    assert trace["status"].tolist() == [Status.OK] * 4


def test_a_continuation_of_a_pending_training_waits_for_it(task):
    (trace,), _ = played(task, [[(2, 0), (2, 2)]], evaluations=2, workers=2)
    cost = task.table.column("set", "train_cost_s").values[2, trace["replicate"][0]]
    assert trace["started_s"].tolist() == [0, cost[0]]
    assert trace["finished_s"].tolist() == [cost[0], cost[2]]


def test_generators_choose_fidelities_and_learn_them(task, monkeypatch):
    told = []

    def my_search(problem, rng):
        assert problem.fidelities == EPOCHS
        for fidelity in (0, HIGHEST, None, np.int64(1)):
            told.append((yield Proposal(5, fidelity=fidelity)))
        yield Proposal(5, fidelity=3)

    protocol = Protocol(9, fidelity="all", duplicates="free")
    problem = task.problem(protocol)
    keys = np.array([1], dtype=np.uint64)
    with pytest.raises(StrategyError, match=r"my_search: the task has the fidelities 0 … 2, .* it yielded 3"):
        run_batch(lambda: LiftedGenerators(problem, keys, my_search, {}), task, protocol, 0, np.arange(1))
    assert [evaluation.fidelity for evaluation in told] == [0, 2, 2, 1]
    assert [evaluation.status for evaluation in told] == [Status.OK, Status.OK, Status.DUPLICATE, Status.DUPLICATE]


def test_strategies_that_name_no_fidelity_train_to_the_highest(search, task):
    (chosen,) = search("random-search", task=task, evaluations=6, fidelity="all")
    (fixed,) = search("random-search", task=task, evaluations=6, fidelity=9)
    assert chosen["fidelity"].tolist() == [2] * 6
    for name in ("architecture", "cost_s", "value_val_accuracy"):
        assert chosen[name].tolist() == fixed[name].tolist()


def test_some_epochs_of_the_table_are_an_axis(task):
    view = task.under(Protocol(fidelity="1,9"))
    assert view.fidelities == (1, 9)
    answers = view.oracle.evaluate(np.array([4]), np.array([1]), np.array([0]))
    assert answers.values[0, 0] == task.table.column("set", "val_accuracy").values[4, 0, 2]
    with pytest.raises(InvalidInputError, match="has no fidelity of 2 epochs: it has 1, 3, 9 epochs"):
        task.under(Protocol(fidelity="1,2"))
    with pytest.raises(InvalidInputError, match=r"3 fidelities .*: name one, --fidelity, or let the strategy choose"):
        task.under(Protocol())


def test_the_clock_does_not_go_back_if_a_mean_cost_falls(task):
    """The dear replicate has a gap at the last epochs, so that the mean over the others is less than before."""
    columns = dict(task.table.datasets["set"].columns)
    values, cost_s = (columns[name].values.copy() for name in ("val_accuracy", "train_cost_s"))
    cost_s[0] = [[5, 6, 7], [100, 200, 300]]
    values[0, 1, 2] = cost_s[0, 1, 2] = np.nan
    for name, changed in (("val_accuracy", values), ("train_cost_s", cost_s)):
        columns[name] = MetricArray(columns[name].metric, changed)
    gappy = make_task(Table("gappy", {"set": Dataset("Set", task.space, columns, EPOCHS)}, HERE), "set")
    ledger = Ledger(gappy, Protocol(fidelity="all", noise="mean"), 0, np.arange(1))
    seconds = [ledger.evaluate(np.array([0]), np.array([True]), np.array([place])).cost_s[0] for place in range(3)]
    assert seconds == [52.5, 50.5, 0.0]
    assert ledger.clock_s.tolist() == [103.0]


def test_epochs_without_any_value_cannot_be_named(task):
    columns = dict(task.table.datasets["set"].columns)
    values = columns["val_accuracy"].values.copy()
    values[:, :, 1] = np.nan
    columns["val_accuracy"] = MetricArray(columns["val_accuracy"].metric, values)
    gappy = make_task(Table("gappy", {"set": Dataset("Set", task.space, columns, EPOCHS)}, HERE), "set")
    for fidelity in (3, "3,9", "1,3"):
        with pytest.raises(InvalidInputError, match="has no value after 3 epochs: name some that have, 1, 9"):
            gappy.under(Protocol(fidelity=fidelity))
    assert gappy.under(Protocol(fidelity="1,9")).fidelities == gappy.under(Protocol(fidelity="all")).fidelities


def test_no_fidelity_is_chosen_if_there_is_one(tiny):
    with pytest.raises(InvalidInputError, match="task tiny-set has one fidelity: there is nothing to choose"):
        tiny.under(Protocol(fidelity="all"))
    with pytest.raises(InvalidInputError, match=r"does not say after how many epochs .* a budget of epochs needs"):
        Ledger(tiny, Protocol(epochs=10), 0, np.arange(1))


def test_the_higher_fidelity_is_chosen_whatever_its_value(task):
    worst_first = [(a, 0) for a in range(4)] + [(0, 2), (1, 0), (2, 2)]
    traces, protocol = played(task, [worst_first], evaluations=7)
    columns = {name: column[None, :] for name, column in traces[0].items()}
    picks = choices(rows_of(columns, task.under(protocol)))[0]
    assert picks[4] == picks[5] == 0
    assert picks[6] in (0, 2)


def with_default(task, epochs):
    dataset = replace(task.table.datasets["set"], default_fidelity=epochs)
    return make_task(replace(task.table, datasets={"set": dataset}), "set")


def test_a_table_may_declare_the_fidelity_that_is_read_by_default(task, search):
    declared = with_default(task, 3)
    view = declared.under(Protocol())
    assert (view.fidelities, view.has_default_fidelity) == ((3,), True)
    assert not declared.under(Protocol(fidelity=3)).has_default_fidelity
    rows = [
        search("random-search", task=task, fidelity=fidelity)[0] for task, fidelity in ((declared, None), (task, 3))
    ]
    assert rows[0]["value_val_accuracy"].tolist() == rows[1]["value_val_accuracy"].tolist()


def test_epochs_are_charged_correctly_on_real_learning_curves():
    """A successive-halving ladder on measured curves: 27 cells for 1 epoch, the best third three times as long."""
    folder = Path(os.environ.get("NASBENCH_REFERENCE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "spiking_curves.parquet").is_file():
        pytest.skip("needs the reference data spiking_curves.parquet: set NASBENCH_REFERENCE_DATA to its folder")
    frame = pd.read_parquet(folder / "spiking_curves.parquet")
    space = ProductSpace("spiking", [list("01234")] * 6)
    order = np.argsort([int(key, 5) for key in frame["key"]])
    curves = frame[[f"val_accuracy_{epoch:03d}" for epoch in range(1, 101)]].to_numpy(dtype=float)[order, None]
    total_s = frame["train_time_s"].to_numpy(dtype=float)[order]
    cost = total_s[:, None, None] * np.arange(1, 101) / 100
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search"), curves),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), cost),
    }
    table = Table("spiking", {"images": Dataset("Images", space, columns, tuple(range(1, 101)))}, HERE, digest="2" * 64)
    task = make_task(table, "images")

    def halving(problem, rng):
        rung, fidelity = [problem.space.sample(rng) for _ in range(27)], problem.fidelities.index(1)
        while True:
            answers = []
            for architecture in rung:
                answers.append((yield Proposal(architecture, fidelity=fidelity)))
            answers.sort(key=lambda answer: answer.loss)
            rung = [answer.architecture for answer in answers[: len(rung) // 3]]
            if not rung:
                return
            fidelity = problem.fidelities.index(problem.fidelities[fidelity] * 3)

    spent = {}
    for continuation in ("checkpoint", "restart"):
        protocol = Protocol(1000, fidelity="1,3,9,27", continuation=continuation)
        problem, keys = task.problem(protocol), np.array([5], dtype=np.uint64)
        batch = run_batch(lambda: LiftedGenerators(problem, keys, halving, {}), task, protocol, 0, np.arange(1))  # noqa: B023
        trace = batch.trace.rows(slice(0, 1))
        assert trace["fidelity"].tolist() == [0] * 27 + [1] * 9 + [2] * 3 + [3]
        spent[continuation] = trace
        values = [
            curves[a, 0, (1, 3, 9, 27)[at] - 1] for a, at in zip(trace["architecture"], trace["fidelity"], strict=True)
        ]
        assert trace["value_val_accuracy"].tolist() == values
    per_epoch_s = total_s / 100
    winner = spent["checkpoint"]["architecture"][-1]
    epochs = {"checkpoint": [1] * 27 + [2] * 9 + [6] * 3 + [18], "restart": [1] * 27 + [3] * 9 + [9] * 3 + [27]}
    for continuation, trace in spent.items():
        expected = per_epoch_s[trace["architecture"]] * epochs[continuation]
        np.testing.assert_allclose(trace["cost_s"], expected, rtol=1e-12)
        assert trace["finished_s"][-1] == pytest.approx(expected.sum())
        assert trace["training"][-1] == (0 if continuation == "checkpoint" else 3)
        protocol = Protocol(epochs=sum(epochs[continuation]) - 1, fidelity="1,3,9,27", continuation=continuation)
        problem = task.problem(protocol)
        batch = run_batch(lambda: LiftedGenerators(problem, keys, halving, {}), task, protocol, 0, np.arange(1))  # noqa: B023
        last = batch.trace.rows(slice(0, 1))
        assert (last["architecture"][-1], last["status"][-1]) == (winner, Status.OVERRUN)
