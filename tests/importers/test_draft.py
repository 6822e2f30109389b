"""Drafts of specifications: they are accepted, and their guesses are the likely ones."""

import tomllib

import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.importers.files.build import read_table
from nasbench_harness.importers.files.columns import guess
from nasbench_harness.importers.files.draft import draft_spec

CELLS = "arch,val_777,val_888,test_acc,latency_ms,train_seconds\n421211,80,,79,3.5,10\n334131,90,91,89,4.5,20\n"
CURVES = "depth,width,val_acc_1,val_acc_2,val_acc_3,val_acc_4,val_acc_5,val_acc_6,time_s\n" + "".join(
    f"{depth},{width},{','.join(['0.5'] * 6)},12\n" for depth in (2, 4, 8) for width in (16, 32)
)
LISTED = "name,kind,layers,val_loss,odd\n" + "".join(f"net-{i},{'ab'[i % 2]},{i // 2},{i}.5,{i}.25\n" for i in range(8))


def checked(text):
    """The draft as if its user had filled in what only they know."""
    return text.replace('"CHECK: ', '"')


@pytest.fixture
def draft(tmp_path):
    def call(csv):
        (tmp_path / "My Table.csv").write_text(csv)
        text = draft_spec(tmp_path / "My Table.csv")
        (tmp_path / "spec.toml").write_text(checked(text))
        return text, tomllib.loads(text), read_table(tmp_path / "My Table.csv", tmp_path / "spec.toml")

    return call


def test_cells_and_replicates(draft):
    text, spec, table = draft(CELLS)
    assert "CHECK" in text
    assert table.name == "my-table"
    assert (spec["space"]["kind"], spec["space"]["key"]) == ("nasbench201", "arch")
    metrics = {name: column.metric for name, column in table.datasets["data"].columns.items()}
    assert {name: metric.role for name, metric in metrics.items()} == {
        "val": "search",
        "test_acc": "test",
        "latency_ms": "hardware",
        "train_seconds": "cost",
    }
    assert [metric.unit for metric in metrics.values()] == ["%", "%", "ms", "s"]
    assert table.column("data", "val").values.shape == (15_625, 2, 1)


def test_a_cost_is_in_seconds(draft):
    _, _, table = draft(CELLS.replace("train_seconds", "train_time_ms"))
    before = draft(CELLS)[2].column("data", "train_seconds")
    column = table.column("data", "train_time_ms")
    assert (column.metric.role, column.metric.unit) == ("cost", "s")
    np.testing.assert_allclose(column.values, before.values / 1_000)


def test_a_second_cost_is_a_proxy(draft):
    text, _, table = draft(CELLS.replace("test_acc,latency_ms,train_seconds", "valid_time_s,params,train_time_s"))
    roles = {name: column.metric.role for name, column in table.datasets["data"].columns.items()}
    assert (roles["valid_time_s"], roles["train_time_s"]) == ("proxy", "cost")
    assert 'role = "proxy"  # CHECK: only one metric can be the cost' in text


@pytest.mark.parametrize("name", ["seconds", "time", "runtime", "run_time"])
def test_a_word_for_seconds_alone_is_a_cost(draft, name):
    _, _, table = draft(CELLS.replace("train_seconds", name))
    metric = table.column("data", name).metric
    assert (metric.role, metric.direction, metric.unit) == ("cost", "minimize", "s")


def test_values_of_the_training_are_not_searched(draft):
    csv = CELLS.replace("val_777,val_888,test_acc", "train_acc,val_acc,train_loss")
    text, _, table = draft(csv)
    roles = {name: column.metric.role for name, column in table.datasets["data"].columns.items()}
    assert [name for name, role in roles.items() if role == "search"] == ["val_acc"]
    assert (roles["train_acc"], roles["train_loss"]) == ("proxy", "proxy")
    assert text.count('role = "proxy"  # CHECK') == 2
    text, _, _ = draft(CELLS.replace("test_acc", "val_loss"))
    assert text.count('role = "search"  # CHECK: the first metric of this role is the objective') == 2


@pytest.mark.parametrize(
    ("name", "role", "direction"),
    [
        ("training_steps", "", "maximize"),
        ("test_time_s", "hardware", "minimize"),
        ("inference_time_ms", "hardware", "minimize"),
        ("train_time_s", "cost", "minimize"),
        ("train_cost_s", "cost", "minimize"),
        ("test_error", "test", "minimize"),
        ("final_train_acc", "proxy", "maximize"),
        ("acc_train", "proxy", "maximize"),
        ("loss_training", "proxy", "minimize"),
        ("latest_acc", "search", "maximize"),
        ("latest_acc_time", "cost", "minimize"),
        ("acc_test", "test", "maximize"),
        ("finalTestAcc", "test", "maximize"),
        ("bestTestAccuracy", "test", "maximize"),
        ("ImageNetTest", "test", "maximize"),
        ("acctest", "test", "maximize"),
        ("finalTrainAcc", "proxy", "maximize"),
    ],
)
def test_roles_of_names(name, role, direction):
    assert guess(name)[:2] == (role, direction)


def test_products_and_epochs(draft):
    text, spec, table = draft(CURVES)
    assert "[space.decisions]  # CHECK: columns and choices are those of the first 1,000 rows" in text
    assert spec["space"]["decisions"] == {"depth": ["2", "4", "8"], "width": ["16", "32"]}
    assert table.datasets["data"].fidelities == (1, 2, 3, 4, 5, 6)
    assert spec["datasets"]["data"]["metrics"]["val_acc"]["unit"] == "fraction"
    assert table.column("data", "time_s").values[0, 0].tolist() == [2, 4, 6, 8, 10, 12]


def test_lists(draft):
    _, spec, table = draft(LISTED)
    assert (spec["space"]["kind"], spec["space"]["key"]) == ("list", "name")
    assert spec["space"]["columns"] == ["kind", "layers"]
    metric = table.column("data", "val_loss").metric
    assert (metric.role, metric.direction) == ("search", "minimize")
    assert table.column("data", "odd").metric.role == "proxy"


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("val_loss", (2.5, 1.5, 130.5, 1.2), "1"),
        ("val_loss", (0.5, 0.4, 0.3, 0.2), "1"),
        ("test_perplexity", (25, 30, 40, 50), "1"),
        ("val_error", (0.5, 120.5, 3, 4), "1"),
        ("val_score", (-3, 250, 10, 20), "1"),
        ("val_error", (5, 6, 7, 8), "%"),
        ("val_acc", (95, -1, 93, 92), "%"),
        ("val_acc", (0.95, 0.94, 0.93, 0.92), "fraction"),
    ],
)
def test_only_what_may_be_a_share_of_100_is_in_percent(draft, name, values, unit):
    rows = "".join(f"net-{i},{'ab'[i % 2]},{i // 2},{value}\n" for i, value in enumerate(values))
    text, spec, _ = draft(f"name,kind,layers,{name}\n{rows}")  # the draft can be imported
    (metric,) = spec["datasets"]["data"]["metrics"].values()
    assert metric["unit"] == unit
    assert ('unit = "1"  # CHECK: ' in text) == (unit == "1")


def test_a_file_without_numbers_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nx,y\nz,w\n")
    with pytest.raises(InvalidInputError, match=r"could be a metric$"):
        draft_spec(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("a;val\nx;1.5\nz;2.5\n")
    with pytest.raises(InvalidInputError, match="it has the single column 'a;val'; write it with commas"):
        draft_spec(tmp_path / "t.csv")


def test_the_verb_writes_a_file_once(cli, tmp_path):
    (tmp_path / "cells.csv").write_text(CELLS)
    done = cli("tables", "init-spec", "cells.csv")
    assert done.returncode == 0, done.stderr
    assert "nasbench-harness tables import cells.csv --spec cells.toml" in done.stdout
    again = cli("tables", "init-spec", "cells.csv")
    assert (again.returncode, again.stderr) == (
        2,
        "error: cells.toml exists already: name another file with --out\n",
    )
    cache = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    untouched = cli("tables", "import", "cells.csv", "--spec", "cells.toml", **cache)
    assert (untouched.returncode, untouched.stderr) == (
        2,
        "error: cells.toml: source: it still says CHECK, as the draft does: replace it by the truth\n",
    )
    (tmp_path / "my cells.csv").write_text(CELLS)
    spaced = cli("tables", "init-spec", "my cells.csv").stdout
    assert "nasbench-harness tables import 'my cells.csv' --spec 'my cells.toml'" in spaced
    (tmp_path / "cells.toml").write_text(checked((tmp_path / "cells.toml").read_text()))
    imported = cli("tables", "import", "cells.csv", "--spec", "cells.toml", **cache)
    assert imported.returncode == 0
    assert "15,625 architectures, 15,623 of them without results; " in imported.stdout
    assert "cells-data" in cli("tables", "list", **cache).stdout
    assert "cells: as it was written" in cli("tables", "check", "cells", **cache).stdout
    info = cli("tables", "info", "cells", **cache).stdout
    assert "15,625 architectures of the space nasbench201, 15,623 of them without results" in info
    (tmp_path / "cache" / "imported" / "cells" / "data.val.npy").write_bytes(b"")
    broken = cli("tables", "check", "cells", **cache)
    assert broken.returncode == 1
    assert "import it again with --replace" in broken.stdout
    assert cli("tables", "remove", "cells", **cache).stdout == "removed cells\n"
    assert "cells-data" not in cli("tables", "list", **cache).stdout


def metrics_of(spec, dataset="data"):
    return spec["datasets"][dataset]["metrics"]


def test_keys_of_digits_only(draft):
    text = "id,layers,val_acc\n" + "".join(f"{number:06},{number},{number}.5\n" for number in range(6))
    _, spec, table = draft(text)
    assert (spec["space"]["kind"], spec["space"]["key"]) == ("list", "id")
    assert table.datasets["data"].space.to_string(3) == "000003"


def test_columns_are_split_by_the_data_set_in_their_names(draft):
    header = "cell,val12_c10,val200_c10,val12_big_16,val200_big_16,flops,watts_c10,watts_big_16\n"
    _, spec, table = draft(header + "421211,1,2,3,4,5,-1,7\n334131,8,9,10,11,12,13,14\n")
    assert list(spec["datasets"]) == ["c10", "big-16"]
    assert metrics_of(spec, "c10")["val"]["columns"] == {"12": ["val12_c10"], "200": ["val200_c10"]}
    assert list(metrics_of(spec, "big-16")) == ["val", "flops", "watts"]
    assert table.datasets["c10"].fidelities == (12, 200)
    assert table.column("big-16", "val").values[1].tolist() == [[10, 11]]
    missing = {name: metrics_of(spec, name)["watts"].get("missing_value") for name in ("c10", "big-16")}
    assert missing == {"c10": -1, "big-16": None}


def test_columns_are_split_by_the_data_set_before_the_epoch(draft):
    names = [f"{dataset}_val_acc_ep{epoch}" for dataset in "ab" for epoch in (1, 10)]
    _, spec, table = draft(f"cell,{','.join(names)}\n421211,1,2,3,4\n334131,8,9,10,11\n")
    assert list(spec["datasets"]) == ["a", "b"]
    assert table.datasets["b"].fidelities == (1, 10)


def test_a_name_that_could_be_two_data_sets_leaves_none_without_a_column(draft):
    names = [f"{first}_acc_{last}" for first in "ab" for last in "xy"]
    _, spec, _ = draft(f"cell,{','.join(names)}\n421211,1,2,3,4\n334131,8,9,10,11\n")
    assert list(spec["datasets"]) == ["x", "y"]


def test_data_sets_whose_names_become_alike_stay_apart(draft):
    _, spec, _ = draft("cell,acc_data-1,acc_data_1\n421211,1,2\n334131,8,9\n")
    assert len(set(spec["datasets"])) == 2


def test_metrics_of_one_data_set_are_not_taken_for_data_sets(draft):
    _, spec, _ = draft("arch,val_acc,val_loss,test_acc,best_val_acc,train_acc\n421211,1,2,3,4,5\n334131,8,9,10,11,12\n")
    assert list(spec["datasets"]) == ["data"]
    assert len(metrics_of(spec)) == 5


@pytest.mark.parametrize(
    ("names", "epochs"),
    [
        (["acc_e1", "acc_e3"], [1, 3]),
        (["acc_ep1", "acc_ep10"], [1, 10]),
        (["acc_epoch_10", "acc_epoch_20"], [10, 20]),
        (["acc_4ep", "acc_36ep"], [4, 36]),
        (["acc_9", "acc_27", "acc_81"], [9, 27, 81]),
    ],
)
def test_epochs_in_names_are_fidelities(draft, names, epochs):
    _, _, table = draft(f"arch,{','.join(names)}\n421211,{','.join('1' * len(names))}\n")
    assert table.datasets["data"].fidelities == tuple(epochs)
    assert table.column("data", "acc").values.shape == (15_625, 1, len(epochs))


def test_epochs_and_seeds_in_names(draft):
    names = [f"acc_seed{seed}_e{epoch}" for seed in (777, 888) for epoch in (12, 200)]
    _, _, table = draft(f"arch,{','.join(names)}\n421211,1,2,3,4\n")
    assert table.column("data", "acc").values[0].tolist() == [[1, 2], [3, 4]]


def test_a_number_that_never_changes_is_part_of_the_name(draft):
    _, spec, table = draft("arch,cifar10_val_777,cifar10_val_888,cifar10_test\n421211,1,2,3\n334131,4,5,6\n")
    assert list(metrics_of(spec, "data")) == ["cifar10_val", "cifar10_test"]
    assert table.column("data", "cifar10_val").values.shape == (15_625, 2, 1)
    _, spec, table = draft("arch,cifar10_val_e12,cifar10_val_e200\n421211,1,2\n334131,4,5\n")
    assert list(metrics_of(spec, "data")) == ["cifar10_val"]
    assert table.datasets["data"].fidelities == (12, 200)


def test_a_column_of_epochs(draft, tmp_path):
    _, _, table = draft("arch,epochs,acc\n421211,200,1\n334131,200,2\n")
    assert table.datasets["data"].fidelities == (200,)
    (tmp_path / "long.csv").write_text("arch,epochs,acc\na,1,1\na,2,2\nb,1,1\nb,2,3\n")
    with pytest.raises(InvalidInputError, match="one row for each architecture"):
        draft_spec(tmp_path / "long.csv")
