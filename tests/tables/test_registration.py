"""Imported tables: kept under a name, listed, replaced, moved and removed."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness import compare, open_study, run
from nasbench_harness.errors import HarnessError, InvalidInputError, TableError, UnknownNameError
from nasbench_harness.evaluation.task import check_task_name, make_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables import cache as cache_module
from nasbench_harness.tables.check import check_table
from nasbench_harness.tables.registration import register_table, remove_table
from nasbench_harness.tables.registry import (
    default_task_names,
    describe_table,
    embedded_task_names,
    load_table,
    split_task_name,
    table_names,
    task_names,
)
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

SPACE = ProductSpace("letters", [["a", "b"], ["c", "d", "e"]])


def small(name="mine", dataset="one", values=None, fidelities=(3,), metric="val_accuracy"):
    """A table of six architectures."""
    values = np.arange(6.0).reshape(6, 1, 1) if values is None else values
    column = MetricArray(Metric(metric, "%", "maximize", "search"), values)
    entry = Dataset("One", SPACE, {metric: column}, fidelities)
    return Table(name, {dataset: entry}, Provenance("Six letters", "1", "MIT"))


def test_a_registered_table_is_a_table_like_any_other(cache):
    register_table(small())
    assert task_names() == [*embedded_task_names(), "mine-one"]
    assert table_names()[-1] == "mine"
    assert describe_table("mine") == ("Six letters", {"one": "One"})
    assert split_task_name("mine-one") == ("mine", "one")
    table = load_table("mine")
    assert table.datasets["one"].space.to_string(5) == "b:e"
    np.testing.assert_array_equal(table.column("one", "val_accuracy").values, np.arange(6.0).reshape(6, 1, 1))
    assert make_task(table, "one").scores["val"].optimum == 5


@pytest.mark.thorough
def test_compare_takes_imported_tasks_by_name_only(cache, tmp_path):
    register_table(small("other"))
    named = compare(["random-search"], ["other-one"], seeds=3, evaluations=4, out=tmp_path / "named")
    assert set(named.frame()["task"]) == {"other-one"}
    assert "--tasks other-one" in named.command
    default = run(["random-search"], seeds=3, evaluations=4, out=tmp_path / "default")
    assert list(default.record.tasks) == default_task_names()
    assert "--tasks" not in default.command


def test_the_same_table_again_is_fine_and_another_one_needs_replace(cache):
    first = register_table(small())
    assert register_table(small()).digest == first.digest
    other = small(values=np.ones((6, 1, 1)))
    with pytest.raises(InvalidInputError, match="another table named mine: give this one another --name, or --replace"):
        register_table(other)
    assert load_table("mine").digest == first.digest
    assert register_table(other, replace=True).digest != first.digest
    assert load_table("mine").column("one", "val_accuracy").values.max() == 1
    assert [path.name for path in (cache / "imported").iterdir()] == ["mine"]


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("where", "name", "is_old"),
    [(cache_module.shutil, "rmtree", False), (cache_module, "_rename", True)],
    ids=["while the old table is deleted", "before the new table has its name"],
)
def test_a_replacement_that_is_stopped_leaves_one_whole_table(cache, monkeypatch, where, name, is_old):
    first, other = register_table(small()), small(values=np.ones((6, 1, 1)))
    with monkeypatch.context() as patched:
        patched.setattr(where, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            register_table(other, replace=True)
    load_table.cache_clear()
    table = load_table("mine")
    assert (table.digest == first.digest) == is_old
    assert table.column("one", "val_accuracy").values.max() == (5 if is_old else 1)


def test_a_damaged_table_is_named_listed_and_can_be_replaced(cache):
    register_table(small())
    (cache / "imported" / "mine" / "one.val_accuracy.npy").write_bytes(b"")
    with pytest.raises(TableError, match=r"is corrupt \(.*\): import it again with --replace"):
        register_table(small())
    (cache / "imported" / "mine" / "table.json").write_text("[]")
    (cache / "imported" / "mine" / "summary.json").write_text("[]")
    assert describe_table("mine")[0].startswith("damaged (table.json does not match its digest): import it again")
    assert task_names() == embedded_task_names()
    with pytest.raises(TableError, match=r"is corrupt \(table\.json does not match its digest\): import it again"):
        check_task_name("mine-one")
    register_table(small(), replace=True)
    assert "mine-one" in task_names()


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b'{"summary": "s", "datasets": {}}'])
def test_a_summary_that_is_lost_or_damaged_is_written_again_from_the_table(cache, content):
    summary = register_table(small()).folder / "summary.json"
    before = summary.read_bytes()
    summary.unlink()
    if content is not None:
        summary.write_bytes(content)
    assert task_names() == [*embedded_task_names(), "mine-one"]
    assert summary.read_bytes() == before
    assert check_table("mine").state == "ok"


def test_a_summary_of_other_tasks_is_named_where_it_matters(cache, tmp_path):
    summary = register_table(small()).folder / "summary.json"
    study = run(["random-search"], ["mine-one"], seeds=2, evaluations=4, out=tmp_path / "s")
    summary.write_text(summary.read_text().replace("one", "two"))
    assert check_table("mine").findings == (
        "summary.json describes another table: delete that file, and it is written again",
    )
    with pytest.raises(TableError, match=r"summary\.json does not name mine-one: delete that file"):
        _ = open_study(study.path).tasks
    with pytest.raises(TableError, match=r"summary\.json does not name mine-one: delete that file"):
        check_task_name("mine-one")
    with pytest.raises(UnknownNameError):
        check_task_name("mine-three")
    (summary.parent / "table.json").write_text("[]")
    with pytest.raises(TableError, match=r"is corrupt .*: import it again with --replace"):
        _ = open_study(study.path).tasks


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (None, "spec.toml cannot be read: No such file or directory"),
        ("name = 'mime'", "spec.toml does not match its digest"),
        ("name = ", "spec.toml does not match its digest"),
    ],
)
def test_a_damaged_specification_is_named_and_not_copied(cache, tmp_path, content, finding):
    spec = register_table(small(), spec="name = 'mine'").folder / "spec.toml"
    assert check_table("mine").state == "ok"
    spec.unlink()
    if content is not None:
        spec.write_text(content)
    found = check_table("mine")
    assert (found.state, found.findings) == ("differs", (finding,))
    assert "import it again with --replace" in found.advice
    run(["random-search"], ["mine-one"], seeds=2, evaluations=4, out=tmp_path / "s")
    assert [path.name for path in (tmp_path / "s" / "tables").iterdir()] == ["mine.json"]
    (spec.parent / "spec.sha256").unlink()  # as an older version left it
    assert check_table("mine").findings == (("spec.toml is no TOML",) if content == "name = " else ())


def test_remove(cache):
    register_table(small())
    remove_table("mine")
    assert "mine" not in table_names()
    assert list((cache / "imported").iterdir()) == []
    with pytest.raises(UnknownNameError, match="unknown imported table 'mine'"):
        remove_table("mine")
    with pytest.raises(InvalidInputError, match="nb201 is no imported one"):
        remove_table("nb201")
    with pytest.raises(UnknownNameError):
        load_table("mine")


def test_a_folder_can_be_moved_to_another_cache_under_its_name(cache, tmp_path, monkeypatch):
    digest = register_table(small()).digest
    shutil.copytree(cache / "imported" / "mine", tmp_path / "new" / "imported" / "mine")
    shutil.copytree(cache / "imported" / "mine", tmp_path / "new" / "imported" / "yours")
    shutil.rmtree(cache)
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "new"))
    load_table.cache_clear()
    assert load_table("mine").digest == digest
    with pytest.raises(TableError, match="holds the table mine: give the folder its old name"):
        load_table("yours")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (small("nb201"), "comes with an installed package"),
        (small("../x"), "cannot name a table"),
        (small(".hidden"), "cannot name a table"),
        (small("Mine"), "cannot name a table"),
        (small("a" * 65), "cannot name a table"),
        (small(dataset="a/b"), "cannot name a data set"),
        (small(metric="a.b"), "cannot name a metric"),
        (small("other", "x-one"), "table other-x has a task other-x-one already"),
        (small(values=np.ones((5, 1, 1))), r"\(6, …, 1 or 1\), not \(5, 1, 1\)"),
        (small(values=np.ones((6, 1, 3)), fidelities=(1, 2)), "1 or 2"),
        (small(fidelities=(2, 1)), "must ascend"),
        (dataclasses.replace(small(), datasets={}), "no data set"),
    ],
    ids=range(12),
)
def test_what_cannot_be_a_table_is_refused(cache, table, message):
    register_table(small("other-x"))
    with pytest.raises(InvalidInputError, match=message):
        register_table(table)
    assert [path.name for path in (cache / "imported").iterdir()] == ["other-x"]


def changed(**fields):
    table = small()
    return dataclasses.replace(table, datasets={"one": dataclasses.replace(table.datasets["one"], **fields)})


COLUMN = small().datasets["one"].columns["val_accuracy"]
COARSE = MetricArray(dataclasses.replace(COLUMN.metric, resolution=0.0), COLUMN.values)
UNREADABLE = [
    (changed(default_fidelity=7), "default_fidelity is missing or has a wrong value"),
    (changed(columns={"val_accuracy": COARSE}), "resolution is missing or has a wrong value"),
    (changed(fidelities=(np.int64(3),)), "int64 is not JSON serializable"),
    (
        dataclasses.replace(small(), provenance=Provenance("Letters", "1", "MIT", {"t<v2>.csv": "0" * 64})),
        "sha256 is missing or has a wrong value",
    ),
]


@pytest.mark.parametrize(("table", "message"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_table_that_could_not_be_read_again_replaces_nothing(cache, table, message):
    digest = register_table(small(values=np.ones((6, 1, 1)))).digest
    with pytest.raises(InvalidInputError, match=f"table mine cannot be kept: .*{message}"):
        register_table(table, replace=True)
    assert load_table("mine").digest == digest
    assert check_table("mine").state == "ok"


def test_a_test_metric_without_any_value_is_refused(cache):
    columns = small().datasets["one"].columns
    metric = Metric("test_accuracy", "%", "maximize", "test")
    empty = MetricArray(metric, np.full((6, 1, 1), np.nan))
    with pytest.raises(InvalidInputError, match="mine-one: test_accuracy has no value at all"):
        register_table(changed(columns={**columns, "test_accuracy": empty}))


def test_a_name_of_a_task_that_trains_is_taken(cache, monkeypatch):
    monkeypatch.setattr("nasbench_harness.tables.registration.trained_task_names", lambda: ["mine-one"])
    with pytest.raises(InvalidInputError, match="a task mine-one that trains on demand: use another name"):
        register_table(small())


def test_metadata_are_the_same_bytes_on_every_system(cache, monkeypatch):
    whole = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, text, **_: whole(path, text, newline="\r\n"))
    register_table(small(), spec="name = 'mine'\n")
    assert check_table("mine").state == "ok"


def test_a_summary_is_not_written_again_through_a_link(cache, tmp_path):
    folder = register_table(small()).folder
    (folder / "summary.json").unlink()
    folder.parent.rename(tmp_path / "elsewhere")
    folder.parent.symlink_to(tmp_path / "elsewhere")
    assert describe_table("mine") == ("Six letters", {"one": "One"})
    assert not (tmp_path / "elsewhere" / "mine" / "summary.json").exists()


def test_a_table_needs_a_search_metric(cache):
    table = small()
    metric = Metric("val_accuracy", "%", "maximize", "test")
    table.datasets["one"].columns["val_accuracy"] = MetricArray(metric, np.ones((6, 1, 1)))
    with pytest.raises(InvalidInputError, match="no metric with the role search"):
        register_table(table)


def test_listing_imports_no_numpy(cache):
    register_table(small())
    code = """
import sys
from nasbench_harness.cli import main
try:
    main(["tables", "list", "--json"])
except SystemExit:
    pass
assert "numpy" not in sys.modules
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(found)["mine"] == {"summary": "Six letters", "tasks": ["mine-one"]}


def test_an_interrupted_registration_leaves_nothing(cache, monkeypatch):
    monkeypatch.setattr("nasbench_harness.tables.cache._sha256", lambda path: exec("raise KeyboardInterrupt"))  # noqa: S102
    with pytest.raises(KeyboardInterrupt):
        register_table(small())
    assert list((cache / "imported").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_explained(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("")
    with pytest.raises(HarnessError, match="cannot write the cache"):
        register_table(small())
