"""Epochs of stored rows are those that the ledger charged."""

import numpy as np
import pytest

from nasbench_harness.analysis.epochs import epoch_grid, row_epochs
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import Proposals, Strategy
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.protocol import Protocol
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


@pytest.mark.parametrize("continuation", ["checkpoint", "restart"])
@pytest.mark.parametrize("duplicates", ["charge", "free"])
def test_rows_have_the_epochs_that_the_ledger_charged(task, continuation, duplicates):
    protocol = Protocol(
        5, epochs=MANY, fidelity="all", noise="per_query", continuation=continuation, duplicates=duplicates
    )
    trace = run_batch(Draws, task, protocol, 0, np.arange(NUM_RUNS)).trace
    rows = trace.rows(slice(0, NUM_RUNS)) | {"seed": trace.rows(slice(0, NUM_RUNS))["run"]}
    found = np.bincount(rows["seed"], row_epochs(rows, task.under(protocol)))
    ledger, columns = Ledger(task, protocol, 0, np.arange(NUM_RUNS)), trace.columns()
    for architectures, fidelities, status in zip(
        columns["architecture"], columns["fidelity"], columns["status"], strict=True
    ):
        ledger.evaluate(architectures.astype(np.int64), status != 0, fidelities.astype(np.int64))
    assert found.tolist() == ledger.epochs.tolist()
    assert len(set(found.tolist())) > 3


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
