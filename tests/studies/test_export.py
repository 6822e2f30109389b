"""Exported rows: what is stored, in a tidy form; declared search time is found again to the last bit."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from nasbench_harness import Status, UnknownNameError, open_study, run
from nasbench_harness.store.segments import read_columns
from nasbench_harness.studies.export import extra_costs, proposals

NUM_ROWS = 200_000


def draw(rng, low, high):
    return 10 ** rng.uniform(low, high, NUM_ROWS)


def test_search_time_that_gives_the_stored_clock_is_found():
    rng, nobody = np.random.default_rng(7), np.zeros(NUM_ROWS, dtype=bool)
    before, extra, cost = draw(rng, -3, 7), draw(rng, -3, 5), draw(rng, -1, 4.5)
    before[::5], extra[::3] = 0, 0
    finished = (before + extra) + cost
    naive = np.maximum(finished - cost - before, 0.0)
    assert ((before + naive) + cost != finished).any()  # plain differences would not do
    found = extra_costs(before, cost, finished, nobody)
    assert ((before + found) + cost == finished).all()
    assert (found >= 0).all()
    assert (found[extra == 0] == 0).all()


def test_search_time_before_an_evaluation_that_the_budget_ended_is_found():
    rng = np.random.default_rng(8)
    budget = draw(rng, 3, 6)
    before = budget * rng.random(NUM_ROWS)
    extra = (budget - before) * rng.random(NUM_ROWS)
    before[::5], extra[::3] = 0, 0
    left = budget - (before + extra)
    assert ((before + extra) + left != budget).any()  # what is left may miss the budget by a bit
    found = extra_costs(before, left, budget, np.ones(NUM_ROWS, dtype=bool))
    assert (budget - (before + found) == left).all()
    assert (found[extra == 0] == 0).all()


@pytest.mark.parametrize("status", [Status.PROGRESS, Status.OVERRUN])
def test_what_the_budget_ended_is_ended_again(status):
    before, budget = 7835.362096804443, 25278.773414620813
    left = budget - before
    assert before + left < budget
    rows = {
        "seed": np.array([3, 3]),
        "architecture": np.array([5, -1 if status == Status.PROGRESS else 6]),
        "fidelity": np.array([0, 0]),
        "status": np.array([Status.OK, status]),
        "cost_s": np.array([before, left]),
        "finished_s": np.array([before, budget]),
    }
    seconds = proposals([rows]).extra_cost_s
    if status == Status.PROGRESS:
        assert before + seconds[1] > budget
    else:
        assert seconds.tolist() == [0, 0]


def test_round_numbers_come_back_as_they_were():
    before, cost = np.array([0.0, 1234.5678, 98_765.4321]), np.array([431.07, 2_449.182, 0.1])
    extra, nobody = np.array([2.5, 0.125, 17.0]), np.zeros(3, dtype=bool)
    assert extra_costs(before, cost, (before + extra) + cost, nobody).tolist() == extra.tolist()
    assert extra_costs(before, cost, np.full(3, np.nan), nobody).tolist() == [0, 0, 0]


def recommends(problem, rng):
    from nasbench_harness import Progress, Proposal

    yield 7
    yield Progress(3.5, recommendation=9)
    while True:
        yield Proposal(rng.integers(problem.space.num_architectures), recommendation=9)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "s"
    return run(["random-search", recommends], ["nb201-cifar100", "nb201-cifar10"], 12, folder, evaluations=15)


def test_the_table_holds_every_stored_row(small):
    (path,) = small.export()
    assert path == small.path / "export" / "runs.parquet"
    frame = pq.read_table(path).to_pandas()
    assert frame.columns[:7].tolist() == ["strategy", "is_replayed", "task", "seed", "step", "index", "key"]
    assert len(frame) == 2 * 12 * 15 + 2 * 12 * 16
    assert frame.groupby(["task", "strategy"], sort=False).size().index.to_list()[:2] == [
        ("nb201-cifar100", "random-search"),
        ("nb201-cifar10", "random-search"),
    ]
    (segment,) = (small.path / "runs" / "nb201-cifar10").glob("random-search-*/*.parquet")
    stored = read_columns(segment)
    rows = frame[(frame.task == "nb201-cifar10") & (frame.strategy == "random-search")]
    for name in stored.keys() - {"architecture", "fidelity", "status"}:
        assert np.array_equal(stored[name], rows[name]), name
    assert np.array_equal(stored["architecture"], rows["index"])
    assert set(rows.status) == {"ok"}
    assert rows.key.iloc[0] == small.tasks[0].space.to_key(int(rows["index"].iloc[0]))
    assert set(rows.fidelity) == {200}
    assert rows.recommended.isna().all()
    progress = frame[frame.status == "progress"]
    assert len(progress) == 24
    assert progress[["index", "key", "fidelity", "replicate", "training", "value_val_accuracy"]].isna().all(axis=None)
    assert set(progress.cost_s) == {3.5}
    assert set(progress.recommended) == {9}


def test_csv_and_one_task(small):
    import pandas as pd

    parquet, csv = small.export(formats=("parquet", "csv"), task="nb201-cifar10")
    assert (parquet.name, csv.name) == ("nb201-cifar10.parquet", "nb201-cifar10.csv")
    first, second = pq.read_table(parquet).to_pandas(), pd.read_csv(csv, dtype={"key": str})
    assert set(first.task) == {"nb201-cifar10"}
    pd.testing.assert_frame_equal(first, second, check_dtype=False, check_exact=True)


def test_same_bytes_however_the_runs_were_made(small, tmp_path):
    for seeds in (5, 30, 12):  # parts, then more than the study asks for
        parts = run(["random-search", recommends], ["nb201-cifar100", "nb201-cifar10"], seeds, tmp_path, evaluations=15)
    for once, other in zip(
        [*small.export(formats=("parquet", "csv")), *small.export("random-search")],
        [*parts.export(formats=("parquet", "csv")), *parts.export("random-search")],
        strict=True,
    ):
        assert once.read_bytes() == other.read_bytes(), once.name


def test_unknown_names_are_refused(small):
    with pytest.raises(UnknownNameError, match="unknown strategy 'random' in this study: did you mean 'random-search'"):
        small.export("random")
    with pytest.raises(UnknownNameError, match="unknown task 'nb201-cifar1' in this study"):
        open_study(small.path).export(task="nb201-cifar1")
    with pytest.raises(UnknownNameError, match="unknown format 'xlsx'"):
        small.export(formats=("xlsx",))
