"""Errors of other harnesses, numbered as in the list of pitfalls: each is a rule here."""

from time import sleep

import numpy as np
import pytest

from nasbench_harness import Proposal, Proposals, Strategy, run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.studies.references import StrategyRef, resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

ACCURACY = Metric("val_accuracy", "%", "maximize", "search", 0.1)
COST = Metric("train_cost_s", "s", "minimize", "cost")


@pytest.fixture(scope="module")
def nb201():
    return load_task("nb201-cifar10")


def rows_of(use, task, num_seeds=1, **protocol):
    spec = resolve(StrategyRef(use, "mine" if callable(use) else None))
    batch = run_seeds(spec, task, Rules(Protocol(**protocol), 0), np.arange(num_seeds))
    return batch.trace.rows(slice(0, num_seeds))


def task_of(values, cost, epochs=(), name="set"):
    """A task over as many architectures as there are values (n, num_replicates, num_fidelities)."""
    space = ProductSpace("small", [[f"c{index}" for index in range(len(values))]])
    columns = {"val_accuracy": MetricArray(ACCURACY, values), "train_cost_s": MetricArray(COST, cost)}
    table = Table("small", {name: Dataset("Small", space, columns, epochs)}, Provenance("here", "1", "MIT"))
    return make_task(table, name)


@pytest.fixture(scope="module")
def curves():
    """Four architectures, two replicates, values after 1, 4 and 12 epochs; epoch 1 costs half of all 12."""
    values = np.arange(24).reshape(4, 2, 3) + 50.0
    cost = np.broadcast_to([60.0, 70.0, 120.0], (4, 2, 3)) + np.arange(4)[:, None, None]
    return task_of(values, cost, (1, 4, 12))


def test_pitfall_1_a_missing_split_is_an_error_and_test_never_selects(nb201):
    assert "test" not in nb201.scores
    for text in ("test_accuracy", "weighted(val_accuracy, test_accuracy, weights=[1, 1])"):
        with pytest.raises(InvalidInputError, match="is neither objective nor constraint: test never selects"):
            load_task("graph-cora").under(Protocol(objectives=text))
        with pytest.raises(InvalidInputError, match="metric 'test_accuracy'"):
            nb201.under(Protocol(objectives=text))
    with pytest.raises(InvalidInputError, match="test never selects"):
        load_task("graph-cora").under(Protocol(constraints="test_accuracy>=50"))


def test_pitfall_2_there_is_no_default_fidelity_and_a_named_one_is_read(curves):
    with pytest.raises(InvalidInputError, match=r"has 3 fidelities .* name one"):
        curves.under(Protocol())
    for place, epochs in enumerate((1, 4, 12)):
        answer = curves.under(Protocol(fidelity=epochs)).oracle.evaluate(*(np.array([0]) for _ in range(3)))
        assert answer.values[0, 0] == 50 + place


def test_pitfall_3_a_short_training_is_no_early_epoch_of_a_long_one(curves):
    short = task_of(np.full((4, 2, 1), 62.7), np.full((4, 2, 1), 9.0), (12,), name="set-12")
    assert short.name != curves.name
    assert short.under(Protocol(fidelity=12)).fidelities == curves.under(Protocol(fidelity=12)).fidelities
    assert short.scores["val"].values[0] != curves.scores["val"].values[0]


def test_pitfall_4_costs_come_from_the_table_and_the_first_epoch_is_not_free(curves):
    ledger = Ledger(curves, Protocol(9, fidelity="all"), 0, np.arange(1))
    one = np.array([True])
    costs = [ledger.evaluate(np.array([2]), one, np.array([place])).cost_s[0] for place in range(3)]
    assert costs == [62.0, 10.0, 50.0]


def test_pitfall_5_noise_is_a_hash_and_missing_replicates_are_not_filled_in(nb201):
    rows = rows_of("random-search", nb201, 20)
    again = rows_of("random-search", nb201, 20)
    assert rows["value_val_accuracy"].tobytes() == again["value_val_accuracy"].tobytes()
    stored = nb201.table.column("cifar10", "val_accuracy").values[:, :, 0]
    read = stored[rows["architecture"], rows["replicate"]]
    assert (rows["value_val_accuracy"] == read).all()  # never a mean, never a missing replicate
    assert np.isnan(stored).any()

    def repeats(problem, rng):
        while True:
            yield 7

    trace = rows_of(repeats, nb201, evaluations=30)
    assert trace["training"].tolist() == list(range(30))
    free = rows_of(repeats, nb201, evaluations=30, duplicates="free")
    assert len(set(free["value_val_accuracy"].tolist())) == 1


def test_pitfall_6_repeats_follow_a_policy_and_both_counts_are_reported(tmp_path):
    study = run(["random-search"], ["nb201-cifar10"], seeds=20, out=tmp_path, evaluations=300)
    spending = study.analysis.tasks[0].results[0].spending
    assert 1 < spending.repeats_by_index < 6
    assert 40 < spending.repeats_by_class < 65


def test_pitfall_7_isomorphic_rows_keep_their_own_values_and_times(nb201):
    classes = nb201.space.canonical(np.arange(nb201.space.num_architectures))
    first = int(np.flatnonzero(np.bincount(classes, minlength=len(classes))[classes] > 1)[0])
    twin = int(np.flatnonzero((classes == classes[first]) & (np.arange(len(classes)) != first))[0])
    rows = rows_of(lambda_of([first, twin]), nb201, evaluations=2, duplicates="free", noise="replicate=0")
    table = nb201.table
    for name in ("val_accuracy", "train_cost_s"):
        stored = table.column("cifar10", name).values[[first, twin], 0, 0].tolist()
        assert rows["value_val_accuracy" if name == "val_accuracy" else "cost_s"].tolist() == stored
    assert rows["status"].tolist() == [Status.OK, Status.OK]


def lambda_of(architectures):
    def listed(problem, rng):
        for architecture in architectures:
            _ = yield architecture

    return listed


def test_pitfall_8_real_time_never_enters_the_clock(nb201):
    def fast(problem, rng):
        while True:
            yield problem.space.sample(rng)

    def slow(problem, rng):
        while True:
            sleep(0.005)
            yield problem.space.sample(rng)

    slow.__qualname__ = slow.__name__ = "fast"
    slow.__module__ = fast.__module__
    rules = Protocol(10)
    traces = [run_of(nb201, search, rules) for search in (fast, slow)]
    assert traces[0]["finished_s"].tobytes() == traces[1]["finished_s"].tobytes()


def run_of(task, search, protocol):
    from nasbench_harness.engine.lifting import LiftedGenerators

    keys = np.array([3], dtype=np.uint64)
    make = lambda: LiftedGenerators(task.problem(protocol), keys, search, {})  # noqa: E731
    return run_batch(make, task, protocol, 0, np.arange(1)).trace.rows(slice(0, 1))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", ["random-search", "regularized-evolution", "genetic-algorithm"])
def test_pitfall_9_no_budget_is_overshot(nb201, name, workers):
    rows = rows_of(name, nb201, 5, evaluations=37, workers=workers)
    assert np.bincount(rows["run"]).tolist() == [37] * 5
    rows = rows_of(name, nb201, 5, simulated_seconds=20_000.0, workers=workers)
    assert rows["finished_s"].max() == 20_000.0
    assert set(rows["status"].tolist()) == {Status.OK, Status.OVERRUN}


def test_pitfall_10_a_fidelity_that_is_proposed_comes_back(curves):
    told = []

    class Ladder(Strategy):
        def __init__(self):
            self.step = 0

        def ask(self, idle):
            self.step += 1
            return Proposals(np.array([self.step % 4]), np.array([self.step % 3]))

        def tell(self, results):
            told.append((int(results.architectures[0]), int(results.fidelities[0]), int(results.ticket[0])))

    protocol = Protocol(epochs=60, fidelity="all", continuation="restart")
    rows = run_batch(Ladder, curves, protocol, 0, np.arange(1)).trace.rows(slice(0, 1))
    assert told == [(step % 4, step % 3, step - 1) for step in range(1, len(told) + 1)]
    assert rows["fidelity"].tolist() == [place for _, place, _ in told]
    spent = np.array([1, 4, 12])[rows["fidelity"]][rows["status"] == Status.OK].sum()
    assert 60 - 12 < spent <= 60  # the budget binds

    def generator(problem, rng):
        evaluation = yield Proposal(1, fidelity=1)
        assert (evaluation.architecture, evaluation.fidelity) == (1, 1)

    assert rows_of(generator, curves, evaluations=5, fidelity="all")["fidelity"].tolist() == [1]


def test_pitfall_11_every_rule_is_part_of_the_identity_and_time_is_reported_beside_evaluations(tmp_path):
    base = {"evaluations": 100}
    changes = [
        {},
        {"workers": 8},
        {"workers": 8, "mode": "sync"},
        {"duplicates": "free"},
        {"simulated_seconds": 9e6},
        {"simulated_seconds": 9e6, "overrun": "count"},
        {"fidelity": "all"},
        {"fidelity": "all", "continuation": "restart"},
        {"epochs": 9},
        {"objectives": "latency_ms"},
        {"constraints": "latency_ms<=q50"},
    ]
    assert len({Protocol(**{**base, **change}).identity() for change in changes}) == len(changes)
    study = run(["random-search", "regularized-evolution"], ["nb201-cifar10"], seeds=20, out=tmp_path, evaluations=300)
    hours = {result.label: result.spending.simulated_h for result in study.analysis.tasks[0].results}
    assert 1.1 < hours["regularized-evolution"] / hours["random-search"] < 1.35
