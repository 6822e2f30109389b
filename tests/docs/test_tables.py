"""docs/tables.md: its specifications are accepted as they stand there."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness.importers.files.build import extend_table, import_table
from nasbench_harness.importers.files.spec import DatasetSpec, ImportSpec, MetricSpec, SpaceSpec
from nasbench_harness.tables.registry import load_table, task_names

TEXT = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
CELLS = """cell,val_777,val_888,val_999,test,seconds,latency
421211,81.984,82.0,,85.9,1444.5,13.9
334131,90.7,90.8,90.812,93.66,2169.6,16.9
000000,10,10,10,10,1200,9
"""
WIDTHS = """activation,depth,width,val_1,val_2,val_003,test,seconds
relu,2,16,50.5,60.5,70.5,69,30
gelu,4,64,51,61,71,72.25,90
"""
ENERGY = "cell,energy\n000000,1.25\n334131,30\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()


@pytest.fixture
def file(tmp_path):
    """Writes a file, or one of the specifications of the document by its name; returns its path."""
    specs = dict(re.findall(r"```toml\n# (\w+\.toml)\n(.*?)```", TEXT, flags=re.DOTALL))

    def write(name, text=None):
        path = tmp_path / name
        path.write_text(specs[name] if text is None else text, encoding="utf-8")
        return path

    return write


def test_the_nasbench201_specification(cache, file):
    table = import_table(file("cells.csv", CELLS), file("nasbench201.toml"))
    assert "my-cells-cifar10" in task_names()
    accuracy = table.column("cifar10", "val_accuracy").values
    assert accuracy.shape == (15_625, 3, 1)
    np.testing.assert_array_equal(accuracy[:2, :, 0], [[81.984, 82.0, np.nan], [90.7, 90.8, 90.812]])
    assert np.isfinite(accuracy).any(axis=(1, 2)).sum() == 3
    assert table.column("cifar10", "latency_ms").metric.free
    assert table.datasets["cifar10"].fidelities == (200,)


def test_the_product_specification(cache, file):
    table = import_table(file("w.csv", WIDTHS), file("widths.toml"))
    space = table.datasets["letters"].space
    rows = [space.from_string("2:16:relu"), space.from_string("4:64:gelu")]
    assert table.datasets["letters"].fidelities == (1, 2, 3)
    np.testing.assert_array_equal(
        table.column("letters", "val_accuracy").values[rows, 0], [[50.5, 60.5, 70.5], [51, 61, 71]]
    )
    np.testing.assert_array_equal(table.column("letters", "train_cost_s").values[rows, 0], [[10, 20, 30], [30, 60, 90]])
    np.testing.assert_array_equal(table.column("letters", "test_accuracy").values[rows, 0, 0], [69, 72.25])


def test_the_extension_specification(cache, file):
    table = extend_table("nb201", file("e.csv", ENERGY), file("energy.toml"), "nb201-energy")
    energy = table.column("cifar10", "energy_mj").values[:, 0, 0]
    assert energy[1] == 30
    assert np.isfinite(energy).sum() == 2
    assert list(table.datasets) == ["cifar10", "cifar100", "imagenet16-120"]


def test_every_key_is_explained():
    rows, _ = re.findall(r"\| :-- \| :-- \|\n(.*?)\n\n", TEXT, flags=re.DOTALL)
    for model in (ImportSpec, SpaceSpec, DatasetSpec, MetricSpec):
        for key in set(model.model_fields) - {"space", "datasets"}:
            assert f"`{key}`" in rows or f"[space] {key}" in rows, key


def test_every_block_is_toml():
    assert len([tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)]) == 4


@pytest.mark.thorough
def test_the_simplest_case_is_imported_and_compared(cli, tmp_path):
    table, specification = re.findall(r"```(?:toml)?\n(.*?)```", TEXT, flags=re.DOTALL)[:2]
    (tmp_path / "results.csv").write_text(table)
    (tmp_path / "results.toml").write_text(specification)
    commands = [line.split()[1:] for line in TEXT.splitlines() if line.startswith("nasbench-harness ")][:4]
    assert [command[1] for command in commands] == ["import", "info", "--tasks", "init-spec"]
    cache = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    done = [cli(*command, **cache) for command in commands]
    assert [one.returncode for one in done] == [0] * 4, done
    assert "4 architectures" in done[1].stdout
    draft = re.sub("CHECK: ", "", (tmp_path / "draft.toml").read_text())
    (tmp_path / "draft.toml").write_text(draft)
    imported = cli("tables", "import", "results.csv", "--spec", "draft.toml", **cache)
    assert "results-data" in imported.stdout, imported
