"""A small task in memory, strategies that follow a script, and traces taken apart by run."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import Progress, Proposal, Proposals, Results, Strategy
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task, make_task
from nasbench_harness.spaces.product import ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

Traces = list[dict[str, np.ndarray]]


class Barren(ProductSpace):
    """Two decisions whose choices are never an architecture."""

    def __init__(self) -> None:
        super().__init__("barren", [["a", "b"], ["c", "d", "e"]])

    def from_choices(self, choices: np.ndarray) -> np.ndarray:
        return np.full(len(choices), -1)


def _tiny_task() -> Task:
    rng = np.random.default_rng(20)
    space = ProductSpace("tiny", [["a", "b", "c", "d"]] * 4)
    size = (space.num_architectures, 3, 1)
    accuracy = rng.integers(3_000, 9_500, size) / 100.0
    accuracy[::3, 2] = np.nan  # a third of the rows has two replicates only
    cost = rng.integers(100, 900, size).astype(float)
    cost[np.isnan(accuracy)] = np.nan
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.01), accuracy),
        "train_cost_s": MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), cost),
    }
    table = Table("tiny", {"set": Dataset("Set", space, columns)}, Provenance("made here", "1", "MIT"), digest="0" * 64)
    return make_task(table, "set")


class Scripted(Strategy):
    """Every run proposes the items of its script: architectures, −1, Proposal, Progress; then −1 for ever.

    What the engine asked and told is kept for the tests to look at.
    """

    def __init__(self, scripts: Sequence[Sequence[Any]]) -> None:
        self.scripts = [list(script) for script in scripts]
        self.asked: list[list[bool]] = []
        self.told: list[Results] = []
        self.recommended: np.ndarray | None = None

    def ask(self, idle: np.ndarray) -> Proposals:
        self.asked.append(idle.tolist())
        architectures, extra_cost_s = np.full(len(idle), -1), np.zeros(len(idle))
        for run in np.flatnonzero(idle):
            item = self.scripts[run].pop(0) if self.scripts[run] else -1
            if isinstance(item, Progress):
                extra_cost_s[run] = item.cost_s
                self._recommend(run, item.recommendation)
            elif isinstance(item, Proposal):
                architectures[run], extra_cost_s[run] = item.architecture, item.extra_cost_s
                self._recommend(run, item.recommendation)
            else:
                architectures[run] = item
        return Proposals(architectures, None, extra_cost_s)

    def tell(self, results: Results) -> None:
        self.told.append(Results(**{field.name: getattr(results, field.name).copy() for field in fields(results)}))

    def recommend(self) -> np.ndarray | None:
        return self.recommended

    def _recommend(self, run: int, architecture: int | None) -> None:
        if architecture is not None:
            if self.recommended is None:
                self.recommended = np.full(len(self.scripts), -1)
            self.recommended[run] = architecture


def _by_run(columns: dict[str, np.ndarray], num_runs: int) -> Traces:
    return [{name: column[columns["run"] == run] for name, column in columns.items()} for run in range(num_runs)]


@pytest.fixture(scope="session")
def tiny() -> Task:
    """256 architectures of four decisions, two or three replicates, costs of 100 … 899 s."""
    return _tiny_task()


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture(scope="session")
def play(tiny: Task) -> Callable[..., Traces]:
    """``play(strategy, num_runs, **protocol)``: the trace of every run of a strategy object on the tiny task."""

    def run(strategy: Strategy, num_runs: int = 1, task: Task = tiny, **protocol: Any) -> Traces:
        seeds = np.arange(num_runs)
        batch = run_batch(lambda: strategy, task, Protocol(**{"evaluations": 10, **protocol}), 0, seeds)
        return _by_run(batch.trace.rows(slice(0, num_runs)), num_runs)

    return run


@pytest.fixture(scope="session")
def search(tiny: Task) -> Callable[..., Traces]:
    """``search(use, seeds, **protocol)``: the trace of every seed of a class, function or registered name."""

    def run(use: Any, seeds: Sequence[int] = (0,), task: Task = tiny, parameters: Any = (), **protocol: Any) -> Traces:
        rules = Rules(Protocol(**{"evaluations": 10, **protocol}), study_seed=0)
        batch = run_seeds(resolve(StrategyRef(use, None, parameters)), task, rules, np.array(seeds))
        return _by_run(batch.trace.rows(slice(0, len(seeds))), len(seeds))

    return run


@pytest.fixture(scope="session")
def assert_same() -> Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], None]:
    """Two runs have the same columns, types and bytes; the number of the run within its batch aside."""

    def check(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
        assert first.keys() == second.keys()
        for name in first.keys() - {"run"}:
            assert first[name].dtype == second[name].dtype, name
            assert first[name].tobytes() == second[name].tobytes(), name

    return check
