"""Tasks whose space has some choices left out."""

import pickle

import numpy as np
import pytest

from nasbench_harness import load_task, run
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import check_task_name, load_table_task, make_task
from nasbench_harness.evaluation.task_names import split_task_names
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.restricted import RowsOfColumn
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

NAME = "nb201-cifar100@without=none,avg_pool_3x3"


@pytest.fixture(scope="module")
def task():
    return load_task(NAME)


def test_the_rows_are_those_of_the_table(task):
    whole = load_task("nb201-cifar100")
    assert (task.name, task.title) == (NAME, "CIFAR-100 without none, avg_pool_3x3")
    assert task.space.num_architectures == 3**6
    rows = [whole.space.from_string(text) for text in task.space.to_strings(range(3**6))]
    for name, column in whole.table.datasets["cifar100"].columns.items():
        np.testing.assert_array_equal(task.table.column(task.dataset, name).values, column.values[rows])
    everyone = np.arange(3**6)
    zeros = np.zeros(3**6, dtype=np.int64)
    own = task.under(Protocol()).oracle.evaluate(everyone, zeros, zeros)
    of_whole = whole.under(Protocol()).oracle.evaluate(np.array(rows), zeros, zeros)
    np.testing.assert_array_equal(own.values, of_whole.values)
    np.testing.assert_array_equal(own.cost_s, of_whole.cost_s)


def test_it_is_another_table(task):
    other = load_task("nb201-cifar100@without=none")
    digests = {task.table.digest, other.table.digest, load_task("nb201-cifar100").table.digest}
    assert len(digests) == 3
    assert load_task(NAME) is task


def test_columns_travel_to_other_processes(task):
    column = task.table.column(task.dataset, "val_accuracy")
    again = pickle.loads(pickle.dumps(column))
    assert isinstance(again, RowsOfColumn)
    np.testing.assert_array_equal(again.values, column.values)


def test_every_strategy_searches_it(tmp_path):
    names = ["nb201-cifar100@without=none,avg_pool_3x3", "nb201-cifar10@without=nor_conv_3x3"]
    study = run(tasks=names, seeds=12, evaluations=40, out=tmp_path)
    frame = study.frame()
    assert sorted(frame.task.unique()) == sorted(names)
    assert len(frame.strategy.unique()) == 5
    left_out = {"nb201-cifar100@without=none,avg_pool_3x3": "04", "nb201-cifar10@without=nor_conv_3x3": "3"}
    for name, digits in left_out.items():
        space = load_task(name).space
        for row in frame[frame.task == name].architecture.unique():
            assert not set(space.to_key(space.from_string(row) if isinstance(row, str) else int(row))) & set(digits)
    again = run(tasks=names, seeds=12, evaluations=40, out=tmp_path)
    assert again.frame().equals(frame)


def test_a_table_in_memory_can_be_restricted():
    space = ProductSpace("letters", [["a", "b", "c"], ["d", "e"]])
    column = MetricArray(Metric("val_accuracy", "%", "maximize", "search"), np.arange(6.0)[:, None, None])
    table = Table("mine", {"one": Dataset("One", space, {"val_accuracy": column})}, Provenance("here", "1", "MIT"))
    from nasbench_harness.evaluation.task import restricted_task

    task = restricted_task(table, "one", "b")
    assert task.name == "mine-one@without=b"
    assert task.under(Protocol()).search.values[:, 0, 0].tolist() == [0, 1, 4, 5]
    assert make_task(table, "one").under(Protocol()).search.values.shape == (6, 1, 1)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nb201-cifar1@without=none", UnknownNameError, "unknown task 'nb201-cifar1': did you mean"),
        ("nb201-cifar10@with=none", InvalidInputError, "write nb201-cifar10@without=choice"),
        ("nb201-cifar10@without=", InvalidInputError, "write nb201-cifar10@without=choice"),
        ("nb201-cifar10@without=none@without=none", InvalidInputError, "write nb201-cifar10@without=choice"),
        ("nb201-cifar10@without=../x", InvalidInputError, "write nb201-cifar10@without=choice"),
        ("nb201-cifar10@without=zero", UnknownNameError, "unknown choice 'zero'"),
        ("nb201-cifar10@without=skip_connect,none", InvalidInputError, "in its order: none,skip_connect"),
        ("graph-cora@without=gat", InvalidInputError, "the space nasbench-graph cannot be restricted"),
        ("trained-animals8@without=none", InvalidInputError, "only a task with a table can leave choices out"),
    ],
)
def test_wrong_names_end_in_one_line(name, error, message):
    with pytest.raises(error, match=message):
        load_task(name)


def test_names_are_split_at_commas_that_are_not_in_them():
    text = "nb201-cifar10@without=none,skip_connect,nb201-cifar100, graph-cora@without=gat,nb201-cifar10@without=none"
    assert split_task_names(text) == [
        "nb201-cifar10@without=none,skip_connect",
        "nb201-cifar100",
        "graph-cora@without=gat",
        "nb201-cifar10@without=none",
    ]
    assert split_task_names("a-b,, c-d ") == ["a-b", "c-d"]


def test_a_table_task_is_read_at_its_last_fidelity():
    assert load_table_task("nb201-cifar10").fidelity == 200
    assert load_table_task("graph-cora").fidelity is None
    with pytest.raises(InvalidInputError, match="has no table"):
        load_table_task("trained-animals8")
    check_task_name("trained-animals8")


def test_the_command_line_runs_it(cli, tmp_path):
    tasks = "nb201-cifar10@without=none,skip_connect,nb201-cifar100"
    done = cli("run", "--tasks", tasks, "--strategies", "random-search", "--seeds", 2, "--evaluations", 5)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "nasbench-results").iterdir()
    assert sorted(path.name for path in (folder / "runs").iterdir()) == [
        "nb201-cifar100",
        "nb201-cifar10@without=none,skip_connect",
    ]
    done = cli("report", folder)
    assert (done.returncode, "CIFAR-10 without none, skip_connect" in done.stdout) == (0, True), done.stderr
    wrong = cli("run", "--tasks", "nb201-cifar10@without=zero", "--seeds", 2)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
