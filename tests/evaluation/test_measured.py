"""Objectives and constraints of a task that trains on demand: the same runs as on a table that holds everything."""

from dataclasses import replace

import numpy as np
import pytest

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.oracle import Oracle, TableOracle
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task, Trained
from nasbench_harness.regression.traces import run_choices
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

SPACE = ProductSpace("small", [["a", "b", "c", "d"]] * 3)
TARGET = "mnasnet(val_accuracy,size_m,target=2.0,weight=-0.3)"


class Learns(Oracle):
    """Answers as the whole table does, and fills the columns and scores of what was asked for."""

    def __init__(self, whole, columns, scores):
        self.whole, self.columns, self.scores = whole, columns, scores
        self.oracle = TableOracle([whole.columns["val_accuracy"]], whole.columns["train_cost_s"])
        self.asked = set()

    def evaluate(self, architectures, fidelities, replicates):
        self.prepare(architectures)
        return self.oracle.evaluate(architectures, fidelities, replicates)

    def num_replicates(self, architectures):
        return self.oracle.num_replicates(architectures)

    def prepare(self, architectures):
        self.asked |= set(architectures.tolist())
        for name, score in (("val_accuracy", "val"), ("test_accuracy", "test")):
            self.columns[name].values[architectures] = self.whole.columns[name].values[architectures]
            view = self.scores[score]
            view.values[architectures] = self.whole.columns[name].values[architectures].mean(axis=(1, 2))
            view.grid_values[architectures] = np.rint(view.values[architectures] / view.resolution)
            view.exists[architectures] = True


def both():
    """The task with a table, and the one that learns the same values."""
    rng = np.random.default_rng(3)
    size = (SPACE.num_architectures, 2, 1)
    columns = {
        "val_accuracy": MetricArray(
            Metric("val_accuracy", "%", "maximize", "search", 0.1), rng.integers(300, 950, size) / 10
        ),
        "test_accuracy": MetricArray(
            Metric("test_accuracy", "%", "maximize", "test", 0.1), rng.integers(300, 950, size) / 10
        ),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), rng.integers(1, 9, size) * 1.0),
        "size_m": MetricArray(
            Metric("size_m", "M", "minimize", "hardware", None, free=True), rng.uniform(1, 4, (size[0], 1, 1))
        ),
    }
    whole = Dataset("Set", SPACE, columns)
    table = Table("small", {"set": whole}, Provenance("made here", "1", "MIT"), digest="0" * 64)
    known = Task("small-set", "Set", table, "set")
    empty = {
        name: MetricArray(column.metric, np.full_like(column.values, np.nan)) if name.endswith("accuracy") else column
        for name, column in columns.items()
    }
    blank = {
        name: replace(
            view,
            values=np.full(64, np.nan),
            grid_values=np.zeros(64, dtype=np.int64),
            exists=np.zeros(64, dtype=bool),
            perfect=round(100 / view.resolution),
        )
        for name, view in known.scores.items()
    }
    learned = replace(table, datasets={"set": replace(whole, columns=empty)})
    oracle = Learns(whole, empty, blank)
    return known, Task("small-set", "Set", learned, "set", Trained(oracle, blank))


PROTOCOLS = [
    {"objectives": TARGET},
    {"constraints": "size_m<=q50"},
    {"objectives": TARGET, "constraints": "size_m<=2.5,size_m>=1.5", "noise": "mean"},
    {"objectives": "penalized(val_accuracy,size_m,target=2.0,weight=-9.0)"},
    {"objectives": "weighted(val_accuracy,size_m,weights=[1.0, 3.0])"},
]


@pytest.mark.parametrize("fields", PROTOCOLS, ids=str)
def test_runs_are_those_of_a_table_with_the_same_values(fields):
    protocol = Protocol(**{"evaluations": 12, **fields})
    rules, spec, seeds = Rules(protocol, 0), resolve(StrategyRef("random-search")), np.arange(20)
    found = []
    for task in both():
        columns = run_seeds(spec, task, rules, seeds).trace.columns()
        picks = run_choices(columns, task, rules)
        view = task.under(protocol)
        view.oracle.prepare(picks)
        found.append((columns, picks, {name: score.values[picks] for name, score in view.scores.items()}))
    (known, picks, scores), (learned, picks_learned, scores_learned) = found
    for name in known:
        assert np.array_equal(known[name], learned[name], equal_nan=known[name].dtype.kind == "f"), name
    assert np.array_equal(picks, picks_learned)
    assert scores.keys() == scores_learned.keys()
    for name, values in scores.items():
        np.testing.assert_allclose(scores_learned[name], values, rtol=1e-8)


@pytest.mark.parametrize("fields", PROTOCOLS, ids=str)
def test_losses_are_to_a_bound_that_nothing_exceeds_and_rank_as_the_values_do(fields):
    protocol = Protocol(**{"evaluations": 12, **fields})
    _, task = both()
    view = task.under(protocol)
    view.oracle.prepare(np.arange(64))
    for score in view.scores.values():
        assert not score.has_optimum
        feasible = np.ones(64, dtype=bool) if score.is_feasible is None else score.is_feasible
        loss, value = score.regret(np.arange(64)), score.values
        sign = 1 if score.metric.direction == "maximize" else -1
        assert score.exists.all()
        assert (sign * value[feasible] <= sign * score.best_value + 1e-9).all()
        assert np.allclose(loss, np.abs(score.best_value - value), atol=2 * score.resolution)
        assert loss[~feasible].min(initial=np.inf) >= loss[feasible].max()
        assert feasible.sum() in (64, *range(10, 60))


@pytest.mark.parametrize("trains", [False, True])
def test_the_row_at_a_quantile_meets_its_bound(trains):
    """Also if the mean of three equal numbers differs from them in the last bit."""
    task = both()[trains]
    sizes = task.table.datasets["set"].columns["size_m"].values
    sizes[:] = np.round(np.linspace(0.011272, 0.3, 64), 6)[:, None, None]
    for quantile in range(5, 100, 5):
        view = task.under(Protocol(3, constraints=f"size_m<=q{quantile}"))
        assert (sizes[:, 0, 0] <= view.constraints[0].bound).sum() == view.scores["val"].is_feasible.sum()
        assert view.constraints[0].bound in sizes


def test_only_what_is_asked_for_is_trained():
    _, task = both()
    protocol = Protocol(5, objectives=TARGET, constraints="size_m<=q50")
    view = task.under(protocol)
    assert view.scores["val"].exists.sum() == 32  # infeasible rows need no training
    run_seeds(resolve(StrategyRef("random-search")), task, Rules(protocol, 0), np.arange(1))
    assert 1 < len(task.trained.oracle.asked) <= 5
    calls = []
    view.oracle.on_learned = calls.append
    assert task.trained.oracle.on_learned is not None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objectives": "val_accuracy,size_m"}, "several objectives need a table"),
        ({"objectives": "size_m"}, "and takes one objective, val_accuracy or a function of it"),
        ({"constraints": "val_accuracy>=50"}, "constraints bound free metrics, not val_accuracy"),
        ({"constraints": "size_m<=0.5"}, "no architecture of task small-set meets it"),
        ({"constraints": "size_m<=2,size_m>=3"}, "no architecture of task small-set meets all of them"),
    ],
)
def test_what_such_a_task_cannot_know_is_refused(fields, message):
    _, task = both()
    with pytest.raises(InvalidInputError, match=message):
        task.under(Protocol(5, **fields))
