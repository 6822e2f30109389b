"""Epochs of stored rows are those that the ledger charged."""

import numpy as np
import pytest

from nasbench_harness.analysis.epochs import epoch_grid, has_epochs, row_epochs
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import Proposals, Strategy
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

EPOCHS, NUM_RUNS, MANY = (1, 3, 9), 20, 10**6


@pytest.fixture(scope="module")
def task():
    """Four architectures, values and costs after 1, 3 and 9 epochs."""
    rng = np.random.default_rng(0)
    accuracy, cost = rng.integers(300, 950, (4, 2, 3)) / 10.0, np.cumsum(rng.integers(1, 9, (4, 2, 3)), axis=2)
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.1), accuracy),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), cost.astype(float)),
    }
    dataset = Dataset("Set", ProductSpace("four", [["a", "b"]] * 2), columns, EPOCHS)
    return make_task(Table("curves", {"set": dataset}, Provenance("here", "1", "MIT"), digest="1" * 64), "set")


class Draws(Strategy):
    """Random proposals of an architecture and a fidelity."""

    def __init__(self):
        self.rng = np.random.default_rng(1)

    def ask(self, idle):
        return Proposals(self.rng.integers(4, size=NUM_RUNS), self.rng.integers(3, size=NUM_RUNS))

    def tell(self, results):
        """Nothing depends on the results."""


@pytest.mark.parametrize("budget", [MANY, 20])
@pytest.mark.parametrize("noise", ["per_query", "per_run"])
@pytest.mark.parametrize("continuation", ["checkpoint", "restart"])
@pytest.mark.parametrize("duplicates", ["charge", "free"])
def test_rows_have_the_epochs_that_the_ledger_charged(task, continuation, duplicates, noise, budget):
    protocol = Protocol(5, epochs=budget, fidelity="all", noise=noise, continuation=continuation, duplicates=duplicates)
    trace = run_batch(Draws, task, protocol, 0, np.arange(NUM_RUNS)).trace
    rows = trace.rows(slice(0, NUM_RUNS)) | {"seed": trace.rows(slice(0, NUM_RUNS))["run"]}
    epochs = row_epochs(rows, task.under(protocol))
    assert (epochs >= 0).all()
    found = np.bincount(rows["seed"], epochs)
    ledger, columns = Ledger(task, protocol, 0, np.arange(NUM_RUNS)), trace.columns()
    for architectures, fidelities, status in zip(
        columns["architecture"], columns["fidelity"], columns["status"], strict=True
    ):
        ledger.evaluate(architectures.astype(np.int64), status != 0, fidelities.astype(np.int64))
    assert found.tolist() == ledger.epochs.tolist()
    assert len(set(found.tolist())) > 3


def rows_of(*proposals, statuses=None, **others):
    """Rows of one run: pairs of architecture and fidelity."""
    architectures, fidelities = np.array(proposals).T
    nothing = np.zeros_like(architectures)
    status = np.full_like(nothing, Status.OK) if statuses is None else np.array(statuses)
    return {
        "seed": nothing,
        "architecture": architectures,
        "fidelity": fidelities,
        "training": nothing,
        "status": status,
        **{name: np.array(column) for name, column in others.items()},
    }


def test_a_training_that_goes_no_further_is_a_new_one_whatever_its_number(task):
    view = task.under(Protocol(fidelity="all", noise="per_run"))
    assert row_epochs(rows_of((0, 0), (0, 2), (0, 0), (0, 2)), view).tolist() == [1, 8, 1, 8]
    assert row_epochs(rows_of((0, 2), (0, 2), (1, 2), (0, 2)), view).tolist() == [9, 9, 9, 9]


@pytest.mark.parametrize(("noise", "continuation"), [("per_query", "checkpoint"), ("per_run", "restart")])
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_rows_of_several_workers_have_the_epochs_that_the_ledger_charged(task, noise, continuation, mode, monkeypatch):
    ledgers = []
    monkeypatch.setattr(
        "nasbench_harness.engine.loop.Ledger", lambda *given: ledgers.append(Ledger(*given)) or ledgers[-1]
    )
    rules = {"noise": noise, "continuation": continuation, "workers": 6, "mode": mode}
    protocol = Protocol(30, epochs=45, simulated_seconds=30.0, fidelity="all", **rules)
    rows = run_batch(Draws, task, protocol, 0, np.arange(NUM_RUNS)).trace.rows(slice(0, NUM_RUNS))
    epochs = row_epochs(rows | {"seed": rows["run"]}, task.under(protocol))
    assert has_epochs(task.under(protocol))
    assert (epochs >= 0).all()
    assert np.bincount(rows["run"], epochs).tolist() == ledgers[0].epochs.tolist()


def test_workers_have_no_epochs_if_a_continued_training_is_stored_like_a_new_one(task):
    rules = {"fidelity": "all", "noise": "per_run"}
    assert has_epochs(task.under(Protocol(**rules)))
    view = task.under(Protocol(**rules, workers=2))
    assert not has_epochs(view)
    assert epoch_grid(view, view.protocol) is None


def test_a_row_that_overran_the_epochs_has_those_that_were_left(task):
    rows = rows_of((0, 2), (1, 2), (2, 2), statuses=[Status.OK, Status.OK, Status.OVERRUN])
    assert row_epochs(rows, task.under(Protocol(epochs=20, fidelity="all"))).tolist() == [9, 9, 2]


@pytest.mark.parametrize(
    ("rules", "ends"),
    [
        (Protocol(epochs=60, fidelity="all"), (1, 60)),
        (Protocol(10, fidelity="1,9"), (1, 90)),
        (Protocol(10, epochs=40, fidelity="3,9"), (3, 40)),
    ],
)
def test_the_grid_ends_at_the_budget(task, rules, ends):
    grid = epoch_grid(task.under(rules), rules)
    assert (grid[0], grid[-1]) == ends
    assert (np.diff(grid) > 0).all()


def test_equal_trainings_have_no_grid(task):
    rules = Protocol(10, fidelity=3)
    assert epoch_grid(task.under(rules), rules) is None
