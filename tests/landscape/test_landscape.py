"""The whole landscape: what it says about every kind of space, and its files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_table_task, make_task
from nasbench_harness.landscape.analysis import landscape_of
from nasbench_harness.landscape.files import _files, write_landscape
from nasbench_harness.landscape.tables import landscape_tables
from nasbench_harness.spaces import ListSpace, ProductSpace
from nasbench_harness.spaces.restricted import RestrictedSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

RESULTS = Path(__file__).parents[2] / "results" / "landscape"
NB201 = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120")


@pytest.fixture(scope="module")
def cifar100():
    return landscape_of(load_task("nb201-cifar100").under(Protocol()))


def task_of(space, values, *, fidelities=(), test=None, direction="maximize", fidelity=None):
    """A task whose table has these values, (num_architectures, num_replicates, num_fidelities)."""
    columns = {"val_accuracy": MetricArray(Metric("val_accuracy", "%", direction, "search"), values)}
    if test is not None:
        columns["test_accuracy"] = MetricArray(Metric("test_accuracy", "%", direction, "test"), test)
    dataset = Dataset("One", space, columns, fidelities)
    table = Table("mine", {"one": dataset}, Provenance("here", "1", "MIT"))
    return make_task(table, "one").under(Protocol(fidelity=fidelity))


def names(landscape):
    return [table.name for table in landscape_tables(landscape)]


def test_the_tables_of_a_product(cifar100):
    assert names(cifar100) == [
        "summary", "optima", "walks", "distances", "agreement", "effects", "choices", "shrinking",
    ]  # fmt: skip
    assert cifar100.notes == ()
    assert cifar100.decisions == ("1←0", "2←0", "2←1", "3←0", "3←1", "3←2")
    shares = {entry.name: entry.rank_correlation for entry in cifar100.agreements}
    assert shares["nb201-cifar10"] == pytest.approx(0.976, abs=5e-4)
    assert shares["nb201-imagenet16-120"] == pytest.approx(0.961, abs=5e-4)
    assert sum(qualities[0].num_architectures for qualities in cifar100.qualities) == 6 * 3_125


def test_the_regret_of_the_best_of_another_data_set(cifar100):
    (entry,) = (entry for entry in cifar100.agreements if entry.name == "nb201-cifar10")
    best = load_task("nb201-cifar10").space.from_key("333132")
    assert entry.regret_of_best == pytest.approx(cifar100.values.max() - cifar100.values[best])


def test_graph_spaces_have_what_applies():
    landscape = landscape_of(load_table_task("graph-proteins"))
    assert names(landscape) == ["summary", "optima", "walks", "distances", "agreement", "choices"]
    assert [note.partition(":")[0] for note in landscape.notes] == [
        "noise of replicates", "effects of decisions", "distances and quality by choice", "shrinking",
    ]  # fmt: skip
    assert "Not here: noise of replicates: the table has one value" in landscape_tables(landscape)[0].caption
    assert landscape.decisions == ("links", "node 1", "node 2", "node 3", "node 4")
    assert [entry.kind for entry in landscape.agreements] == ["test", "free metric", "free metric"]


def test_list_spaces_have_no_effects_but_can_be_shrunk():
    choices = [[0, 0], [1, 0], [2, 1], [0, 1]]
    space = ListSpace("listed", ["k0", "k1", "k2", "k3"], [["a", "b", "c"], ["x", "y"]], choices)
    landscape = landscape_of(task_of(space, np.array([1.0, 2, 3, 4])[:, None, None]))
    assert "effects of decisions: the space listed is not every combination of its choices" in landscape.notes
    assert landscape.effects is None
    assert {way.without for way in landscape.shrinkings} >= {("a",), ("b",), ("x",)}


def test_a_restricted_space_is_not_shrunk_again():
    landscape = landscape_of(load_task("nb201-cifar10@without=none").under(Protocol()))
    assert landscape.effects is not None
    assert landscape.decisions == ("1←0", "2←0", "2←1", "3←0", "3←1", "3←2")
    assert landscape.notes == (
        "agreement with other data sets: only a whole space is compared with them",
        "shrinking: choices are left out already",
    )


def test_decisions_of_a_restricted_space_keep_their_names():
    space = RestrictedSpace(ProductSpace("letters", [["a", "b"], ["x", "y", "z"], ["a", "q"]]), ["b"])
    landscape = landscape_of(task_of(space, np.arange(6.0)[:, None, None]))
    assert landscape.decisions == ("1", "2")


def test_a_table_with_gaps_says_how_many_neighbors_it_knows(cifar100):
    space = ProductSpace("letters", [["a", "b", "c"], ["d", "e", "f"]])
    values = np.full((9, 1, 1), np.nan)
    values[[0, 1, 8], 0, 0] = 1, 2, 3  # a-d, a-e and c-f: the first two are neighbors, of four each
    landscape = landscape_of(task_of(space, values))
    (note,) = (note for note in landscape.notes if note.startswith("optima"))
    assert "only 17 % of the neighbors of architectures with a value have one" in note  # 2 of 12
    summary, optima = landscape_tables(landscape)[:2]
    assert note in summary.caption
    assert "share of the architectures with a value from which" in optima.caption
    assert any("(% of the architectures with a value)" in row.cells[0].text for row in summary.rows)
    assert not any(note.startswith("optima") for note in cifar100.notes)
    caption = next(table.caption for table in landscape_tables(cifar100) if table.name == "shrinking")
    assert "no other way that was looked at is as good or better in loss and in gain of" in caption


def test_fidelities_and_test():
    space = ProductSpace("letters", [["a", "b", "c"], ["d", "e", "f"]])
    random = np.random.default_rng(0)
    last = random.random((9, 1, 1)) * 100
    curve = np.concatenate([random.random((9, 1, 4)) * 50, last], axis=2)
    landscape = landscape_of(task_of(space, curve, fidelities=(1, 2, 3, 4, 9), test=last + 1, fidelity=9))
    found = {entry.name: entry for entry in landscape.agreements}
    assert [name for name in found if name.startswith("epoch")] == ["epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    assert (found["test_accuracy"].rank_correlation, found["test_accuracy"].regret_of_best) == (1, 0)
    assert found["epoch 1"].regret_of_best == pytest.approx(last.max() - last[curve[:, 0, 0].argmax(), 0, 0])
    early = landscape_of(task_of(space, curve, fidelities=(1, 2, 3, 4, 9), fidelity=1))
    np.testing.assert_array_equal(early.values, curve[:, 0, 0])


@pytest.mark.thorough
def test_minimized_metrics_and_missing_values(tmp_path):
    space = ProductSpace("letters", [["a", "b", "c"], ["d", "e", "f"]])
    values = np.arange(9.0)[:, None, None]
    values[4] = np.nan
    landscape = landscape_of(task_of(space, values, direction="minimize"))
    assert landscape.optima.architectures.tolist() == [0]
    assert landscape.whole.best == 0
    assert landscape.fitness_distance < -0.5
    assert "effects of decisions: some architectures have no value" in landscape.notes
    assert len(write_landscape(landscape, tmp_path, "here")) == 12


def test_nothing_to_show():
    space = ProductSpace("letters", [["a", "b"], ["c", "d"]])
    for values in (np.ones(4), np.array([1.0, np.nan, np.nan, np.nan])):
        with pytest.raises(InvalidInputError, match="fewer than two different values"):
            landscape_of(task_of(space, values[:, None, None]))


@pytest.mark.thorough
def test_files_have_the_same_bytes_again(cifar100, tmp_path):
    written = write_landscape(cifar100, tmp_path / "one", "here")
    again = landscape_of(load_task("nb201-cifar100").under(Protocol()))
    write_landscape(again, tmp_path / "two", "here")
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.parametrize("task", [*NB201, "tiny201-animals8"])
def test_results_hold_what_the_command_gives(task):
    """Text files only: pictures differ between versions of matplotlib, and the last digits between those of NumPy."""
    landscape, command = landscape_of(load_task(task).under(Protocol())), f"nasbench-harness tables landscape {task}"
    if os.environ.get("NASBENCH_RECORD_RESULTS"):
        write_landscape(landscape, RESULTS / task, command)
    name, text = next(_files(landscape, command))  # the first one; pictures take most of the time
    assert name == "landscape.md"
    assert text == (RESULTS / task / name).read_text(encoding="utf-8")


@pytest.mark.thorough
def test_the_command_line(cli, tmp_path):
    done = cli("tables", "landscape", "nb201-cifar10", "--out", tmp_path / "out", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert "13 local optima: architectures without a strictly better neighbor" in done.stdout
    assert sorted(path.suffix for path in (tmp_path / "out").glob("[!.]*")) == sorted(
        [".md", ".json", *[".csv"] * 8, *[".pdf", ".png"] * 2]
    )
    assert "shrinking.csv" in (tmp_path / "out" / ".generated").read_text().splitlines()  # another task replaces it
    first = (tmp_path / "out" / "choices.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# generated by: nasbench-harness tables landscape nb201-cifar10"
    as_json = cli("tables", "landscape", "graph-proteins", "--json", "--seed", 3)
    record = json.loads(as_json.stdout)
    assert record["command"] == "nasbench-harness tables landscape graph-proteins --seed 3"
    assert len(record["notes"]) == 4
    for wrong in (["nb201-cifar1"], ["trained-animals8"], ["nb201-cifar10", "--fidelity", 12]):
        done = cli("tables", "landscape", *wrong)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    (tmp_path / "file").write_text("")
    done = cli("tables", "landscape", "nb201-cifar10", "--out", tmp_path / "file")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
