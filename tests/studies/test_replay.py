"""Traces from elsewhere: reading their CSV, storing their rows, proposing them again."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError, StoreError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.store.segments import write_segment
from nasbench_harness.studies.replay import ReplayedTrace, RunRows, TraceRows, check_runs
from nasbench_harness.studies.trace_csv import read_trace, write_trace

NUM_SEEDS = 12


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def rows_of(runs, **columns):
    """RunRows of {seed: architectures}, in this order."""
    seeds = np.array([seed for seed, items in runs.items() for _ in items])
    architectures = np.array([item for items in runs.values() for item in items])
    nothing = np.zeros(len(seeds))
    return RunRows.from_rows(seeds, architectures, nothing.astype(int), columns.get("extra_cost_s", nothing))


@pytest.fixture
def replay(tiny):
    """``replay(rows, seeds, **protocol)``: the columns of the batch."""

    def run(rows, seeds, **protocol):
        trace = TraceRows({tiny.name: rows}, "runs.csv")
        spec = ReplayedTrace.of(trace.record("mine"), trace)
        rules = Rules(Protocol(**{"evaluations": 4, **protocol}), 0)
        return run_seeds(spec, tiny, rules, np.array(seeds)).trace.rows(slice(0, len(seeds)))

    return run


@pytest.fixture(scope="module")
def epochs(tiny):
    """The tiny task, whose source says that it trained for 50 epochs."""
    dataset = replace(tiny.table.datasets["set"], fidelities=(50,))
    return make_task(replace(tiny.table, datasets={"set": dataset}), "set")


def test_every_run_proposes_its_own_rows_whatever_its_batch(replay):
    rows = rows_of({0: [1, 2, 3, 4, 9], 5: [250, 250, 0, 7], 17: [5, 6, 7, 8]})
    together = replay(rows, [0, 5, 17])
    assert together["architecture"].reshape(3, 4).tolist() == [[1, 2, 3, 4], [250, 250, 0, 7], [5, 6, 7, 8]]
    for position, seed in enumerate([0, 5, 17]):
        alone = replay(rows, [seed])
        for name in alone.keys() - {"run"}:
            assert alone[name].tobytes() == together[name].reshape(3, 4)[position].tobytes(), name


def test_a_row_that_does_not_exist_is_refused_when_the_engine_asks_for_it(replay):
    with pytest.raises(
        InvalidInputError, match=r"runs.csv: seed 5 on task tiny-set ends after 3 rows.*2 runs end there"
    ):
        replay(rows_of({0: [1, 2, 3, 4], 5: [7, 8, 9], 6: [1, 2, 3]}), [0, 5, 6], evaluations=3 + 1)
    assert len(replay(rows_of({0: [1, 2, 3], 5: [7, 8, 9]}), [0, 5], evaluations=3)["run"]) == 6
    with pytest.raises(InvalidInputError, match="seed 0 on task tiny-set ends after 4 rows"):
        replay(rows_of({0: [1, 1, 2, 3]}), [0], duplicates="free")
    assert replay(rows_of({0: [1, 1, 2, 3, 4]}), [0], duplicates="free")["status"].tolist() == [
        Status.OK, Status.DUPLICATE, Status.OK, Status.OK, Status.OK
    ]  # fmt: skip


def test_a_run_that_the_rules_end_needs_no_further_row(replay):
    assert len(replay(rows_of({0: [1] * 101}), [0], duplicates="forbid")["run"]) == 101
    with pytest.raises(InvalidInputError, match="ends after 100 rows"):
        replay(rows_of({0: [1] * 100}), [0], duplicates="forbid")


def test_search_time_advances_the_clock(replay):
    seconds = np.array([0.0, 2.5, 1.25, 0.0, 0.0])
    columns = replay(rows_of({3: [1, -1, 2, 3, 4]}, extra_cost_s=seconds), [3])
    assert columns["status"].tolist() == [Status.OK, Status.PROGRESS, Status.OK, Status.OK, Status.OK]
    spent = np.diff(np.concatenate([[0.0], columns["finished_s"]]))
    assert spent == pytest.approx([columns["cost_s"][0], 2.5, 1.25 + columns["cost_s"][2], *columns["cost_s"][3:]])


def test_a_run_that_is_not_asked_keeps_its_place(replay):
    seconds = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    rows = rows_of({0: [1, -1, -1, 2, 3], 1: [4, 5, 6, -1, 7]}, extra_cost_s=seconds)
    assert replay(rows, [0, 1], evaluations=3)["architecture"].tolist() == [1, -1, -1, 2, 3, 4, 5, 6]


def test_the_hash_is_that_of_the_rows_however_they_are_written(tmp_path):
    tasks = {name: load_task(name).under(Protocol()) for name in ("nb201-cifar10", "nb201-cifar100")}
    space = tasks["nb201-cifar10"].space
    runs = [(seed, step, (seed * 31 + step * 7) % 15_625) for seed in range(3) for step in range(4)]

    def digest(header, rows, name="nb201-cifar10", task="nb201-cifar10"):
        trace, notices = read_trace(write(tmp_path / "t.csv", header, rows), tasks, task)
        assert notices == []
        assert list(trace.tasks) == [name]
        return trace.sha256

    plain = digest(["seed", "index"], [(seed, index) for seed, _, index in runs])
    assert plain == digest(["seed", "key"], [(seed, space.to_key(index)) for seed, _, index in runs])
    strings = [(space.to_string(index), step, seed) for seed, step, index in runs]
    assert plain == digest(["architecture", "step", "seed"], strings[::-1])
    spaced = [(f" {seed}", index, "", "200") for seed, _, index in sorted(runs, key=lambda run: run[1])]
    assert plain == digest(["seed ", "index", "extra_cost_s", "fidelity"], spaced)
    named = [(seed, index, "nb201-cifar10") for seed, _, index in runs]
    assert plain == digest(["seed", "index", "task"], named, task=None)
    assert plain != digest(["seed", "index"], [(seed, index) for seed, _, index in runs[::-1]])
    assert plain != digest(
        ["seed", "index"], [(seed, index) for seed, _, index in runs], "nb201-cifar100", "nb201-cifar100"
    )
    assert plain != digest(["seed", "index", "extra_cost_s"], [(seed, index, 1) for seed, _, index in runs])


@given(
    st.dictionaries(
        st.integers(0, 10**9),
        st.lists(st.tuples(st.integers(-1, 255), st.floats(0, 1e9)), min_size=1, max_size=5),
        min_size=1,
        max_size=5,
    ),
    st.none() | st.integers(0, 255),
)
def test_what_is_written_or_stored_is_read_back(tmp_path_factory, epochs, runs, recommended):
    folder = tmp_path_factory.mktemp("rows")
    seconds = np.array([max(cost, 1.0) if index < 0 else cost for items in runs.values() for index, cost in items])
    rows = rows_of({seed: [index for index, _ in items] for seed, items in runs.items()}, extra_cost_s=seconds)
    if recommended is not None:
        rows = replace(rows, recommended=np.where(np.arange(len(seconds)) % 3, -1, recommended))
    trace = TraceRows({epochs.name: rows}, "here")
    (folder / "t.csv").write_text(write_trace({epochs.name: epochs.under(Protocol())}, trace), encoding="utf-8")
    again, _ = read_trace(folder / "t.csv", {epochs.name: epochs.under(Protocol())})
    trace.write(folder / "t.parquet")
    stored = TraceRows.read(folder / "t.parquet", trace.record("mine"))
    for other in (again, stored):
        assert other.sha256 == trace.sha256
        for name, column in vars(rows).items():
            assert np.array_equal(column, getattr(other.tasks[epochs.name], name)), name


def test_stored_rows_are_checked(tmp_path):
    trace = TraceRows({"t": rows_of({0: [1, 2]})}, "here")
    path, record = tmp_path / "rows.parquet", trace.record("mine")
    with pytest.raises(StoreError, match=r"rows.parquet is missing: add the trace 'mine' again"):
        TraceRows.read(path, record)
    TraceRows({"t": rows_of({0: [1, 3]})}, "here").write(path)
    with pytest.raises(StoreError, match="does not hold the rows of the trace 'mine'"):
        TraceRows.read(path, record)
    write_segment(path, {"seed": np.arange(3)}, {"run_id": "a segment of runs"})
    with pytest.raises(StoreError, match="does not hold the rows of the trace 'mine'"):
        TraceRows.read(path, record)
    path.write_bytes(b"truncated")
    with pytest.raises(StoreError, match="truncated or no Parquet"):
        TraceRows.read(path, record)


def test_fidelities_are_named_by_their_epochs(tmp_path, tiny, epochs):
    path = write(tmp_path / "t.csv", ["seed", "index", "fidelity"], [(0, 1, 50), (0, 2, "")])
    trace, _ = read_trace(path, {epochs.name: epochs.under(Protocol())})
    assert trace.tasks[epochs.name].fidelities.tolist() == [0, 0]
    with pytest.raises(InvalidInputError, match="line 2, column fidelity: tiny-set does not name its fidelity"):
        read_trace(path, {tiny.name: tiny.under(Protocol())})


def test_columns_that_are_not_read_are_named(tmp_path, tiny):
    path = write(tmp_path / "t.csv", ["seed", "index", "accuracy", "lr"], [(0, 1, 0.5, 1)])
    assert read_trace(path, {tiny.name: tiny.under(Protocol())})[1] == ["columns that are not read: accuracy, lr"]


MISTAKES = {
    "seed,index\n": "t.csv has no rows",
    "": "t.csv has no rows",
    "\n\n": "t.csv has no rows",
    "index\n3\n": "line 1: no column seed; the header has index",
    "seed\n3\n": "line 1: no column names the architectures: have exactly one of architecture, key, index",
    "seed,index,key\n0,3,a:a:a:a\n": "line 1: the columns key, index all name the architectures",
    "seed,index,index\n0,3,3\n": "line 1: two columns are called 'index'",
    "seed,index,extra_cost\n0,3,3\n": "unknown column 'extra_cost' in .*t.csv, line 1: did you mean 'extra_cost_s'",
    "Seed,index\n0,3\n": "unknown column 'Seed' in .*t.csv, line 1: did you mean 'seed'",
    "seed,index\n0,3\n0\n": "line 3: 1 cells, but the header has 2 columns",
    "seed,index\n0,3\n0,4,5\n": "line 3: 3 cells, but the header has 2 columns",
    "seed,index\n0,3\n1.0,4\n": "line 3, column seed: expected a whole number of at least 0, not '1.0'",
    "seed,index\n0,3\n\n-1,4\n": "line 4, column seed: expected a whole number of at least 0, not '-1'",
    "seed,index\n0,3\n,4\n": "line 3, column seed: expected a whole number of at least 0, not ''",
    "seed,index\n0,3\n99999999999999999999,4\n": "line 3, column seed: expected a whole number",
    "seed,index\n0,3\n0,256\n": "line 3, column index: tiny-set has the architectures 0 … 255, but no 256",
    "seed,index\n0,3\n0,x\n": "line 3, column index: expected a whole number of at least 0, not 'x'",
    "seed,index\n0,3\n0,-1\n": "line 3, column index: expected a whole number of at least 0, not '-1'",
    "seed,index\n0,3\n0,\n": "line 3, column index: no architecture; only a row with extra_cost_s may have none",
    "seed,index,extra_cost_s\n0,,1\n0,,0\n": "line 3, column index: no architecture; only a row",
    "seed,architecture\n0,a:a:a:a\n0,a:a:a:x\n": "line 3, column architecture: 'a:a:a:x': 'x' is no choice",
    "seed,key\n0,a:a:a:a\n0,a:a:a\n": "line 3, column key: 'a:a:a' has 3 choices",
    "seed,index,step\n0,3,0\n0,3,a\n": "line 3, column step: expected a whole number",
    "seed,index,step\n0,3,2\n1,3,2\n0,3,1\n0,4,2\n": "line 5, column step: seed 0 has step 2 already, on line 2",
    "seed,index,fidelity\n0,3,10\n": "line 2, column fidelity: tiny-set is read after 50 epochs in this study, not",
    "seed,index,extra_cost_s\n0,3,1e3\n0,4,-1\n": "line 3, column extra_cost_s: expected seconds of at least 0",
    "seed,index,extra_cost_s\n0,3,nan\n": "line 2, column extra_cost_s: expected seconds of at least 0, not 'nan'",
    "seed,index,extra_cost_s\n0,3,inf\n": "line 2, column extra_cost_s: expected seconds of at least 0, not 'inf'",
    "seed,index,extra_cost_s\n0,3,free\n": "line 2, column extra_cost_s: expected seconds of at least 0, not 'free'",
    "seed,index,task\n0,3,tiny-set\n0,4,tiny-sett\n": "line 3, column task: unknown task 'tiny-sett' in the study: "
    "did you mean 'tiny-set'",
    'seed,index\n0,"3\n0,4\n': "line 3: no CSV",
    "seed,index\n0,\x003\n": "line 2, column index: expected a whole number",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_is_named_by_file_line_and_column(tmp_path, epochs, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_trace(path, {epochs.name: epochs.under(Protocol())})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path, epochs):
    tasks = {epochs.name: epochs.under(Protocol())}
    with pytest.raises(InvalidInputError, match=r"cannot read the trace .*none.csv: No such file"):
        read_trace(tmp_path / "none.csv", tasks)
    with pytest.raises(InvalidInputError, match=r"cannot read the trace .*: Is a directory"):
        read_trace(tmp_path, tasks)
    (tmp_path / "t.csv").write_bytes("seed,index\n0,3\n# é\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"t.csv: it is not UTF-8 text"):
        read_trace(tmp_path / "t.csv", tasks)
    (tmp_path / "t.csv").write_bytes("\ufeffseed,index\r\n0,3\r\n".encode())
    assert read_trace(tmp_path / "t.csv", tasks)[0].tasks[epochs.name].architectures.tolist() == [3]


def test_the_task_must_be_clear(tmp_path):
    tasks = {name: load_task(name).under(Protocol()) for name in ("nb201-cifar10", "nb201-cifar100")}
    path = write(tmp_path / "t.csv", ["seed", "index"], [(0, 1)])
    with pytest.raises(InvalidInputError, match=r"which of the study's tasks .*\(nb201-cifar10, nb201-cifar100\)"):
        read_trace(path, tasks)
    with pytest.raises(UnknownNameError, match="unknown task 'nb201-cifar1' in the study: did you mean"):
        read_trace(path, tasks, "nb201-cifar1")
    path = write(tmp_path / "t.csv", ["seed", "index", "task"], [(0, 1, "nb201-cifar10"), (0, 1, "nb201-cifar100")])
    assert list(read_trace(path, tasks)[0].tasks) == list(tasks)
    with pytest.raises(InvalidInputError, match="line 3, column task: the row belongs to nb201-cifar100, but all were"):
        read_trace(path, tasks, "nb201-cifar10")


def test_keys_are_text_and_lost_zeros_are_noticed(tmp_path):
    task = load_task("nb201-cifar10")
    path = write(tmp_path / "t.csv", ["seed", "key"], [(0, "000012"), (1, "12")])
    with pytest.raises(
        InvalidInputError, match="line 3, column key: '12' is no NAS-Bench-201 key: expected six digits"
    ):
        read_trace(path, {task.name: task.under(Protocol())})


def test_too_few_seeds_and_runs_of_different_length_are_refused():
    def check(lengths, num_seeds=NUM_SEEDS, **protocol):
        rows = rows_of({seed: range(length) for seed, length in lengths.items()})
        return check_runs(TraceRows({"t": rows}, "runs.csv"), Protocol(**protocol), num_seeds)

    assert check(dict.fromkeys(range(NUM_SEEDS), 3)) == []
    assert check(dict.fromkeys(range(2, NUM_SEEDS), 3)) == []
    with pytest.raises(InvalidInputError, match=r"runs.csv, column seed: 9 of its 9 seeds on t are in .* 0 … 11, but"):
        check(dict.fromkeys(range(9), 3))
    with pytest.raises(InvalidInputError, match="2 of its 20 seeds on t are in the study's 0 … 11"):
        check(dict.fromkeys(range(10, 30), 3))
    (notice,) = check(dict.fromkeys(range(20), 3))
    assert re.fullmatch("8 of 20 seeds on t are outside the study's 0 … 11 and are not compared", notice)
    ragged = {**dict.fromkeys(range(NUM_SEEDS), 3), 4: 2}
    with pytest.raises(InvalidInputError, match=r"runs.csv: on t seed 4 has 2 rows, but seed 0 has 3"):
        check(ragged)
    assert check(ragged, duplicates="free") == []
    assert check(ragged, simulated_seconds=1000) == []
    assert check(ragged, epochs=4, fidelity="all") == []
