"""Official archives of NATS-Bench: all values as the package answers, resumed, partial, in folders, tars and files."""

import bz2
import collections
import pickle
import shutil
import tarfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from kit.cases import fast_first
from nats_bench import api_utils
from nats_bench.api_size import NATSsize
from nats_bench.api_topology import NATStopology

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.importers.api import table_from_api
from nasbench_harness.importers.archives import importer, records
from nasbench_harness.importers.archives.importer import import_archive, read_archive
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.registration import name_is_taken
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing import TableContract, run_contract

CELLS = NASBench201Space()
WIDTHS = ["8:8:8:8:8", "8:8:8:8:16", "64:64:64:64:64", "8:8:8:16:32"]
TOPOLOGY = {"12": 3, "200": 5}
SIZE = {"01": 1, "12": 3, "90": 4}


def cell_names(count):
    """Not in the order of the space, so that numbers and rows differ."""
    return [CELLS.to_string(index) for index in reversed(range(count))]


def write_pickle(path, content, protocol=4):
    with bz2.open(path, "wb") as file:
        pickle.dump(content, file, protocol=protocol)


def write_folder(folder, names, architectures, protocol=4):
    folder.mkdir()
    meta = {"meta_archs": names, "total_archs": len(names), "arch2infos": None, "evaluated_indexes": set()}
    write_pickle(folder / "meta.pickle.pbz2", meta)
    for index, states in architectures.items():
        write_pickle(folder / f"{index:06d}.pickle.pbz2", collections.OrderedDict(states), protocol)
    return folder


def write_tar(path, folder):
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname=folder.name)
    return path


def single(names, architectures):
    return {
        "meta_archs": names,
        "total_archs": len(names),
        "arch2infos": architectures,
        "evaluated_indexes": set(architectures),
    }


@pytest.fixture(scope="module")
def cells(official_results):
    """Three cells with one, two and three seeds, of Python and of numpy numbers."""
    names = cell_names(20)
    settings = {0: ((777,), float), 7: ((777, 888), np.float64), 19: ((111, 777, 999), float)}
    return names, {
        index: official_results(api_utils, index, names[index], TOPOLOGY, seeds, number)
        for index, (seeds, number) in settings.items()
    }


@pytest.fixture(scope="module")
def folder(cells, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("archives") / "NATS-tss-v1_0-3ffb9-simple", *cells)


@pytest.fixture(scope="module")
def widths(official_results):
    return WIDTHS, {
        index: official_results(api_utils, index, WIDTHS[index], SIZE, (777, 888), np.float64) for index in (1, 2, 3)
    }


def topology(cells):
    return NATStopology(single(*cells), verbose=False)


@pytest.mark.parametrize("kind", fast_first(["folder", "old pickles", "tar", "file"], 2))
def test_every_value_of_a_topology_archive_is_what_the_package_answers(kind, cells, folder, tmp_path, assert_answers):
    path = {
        "folder": lambda: folder,
        "old pickles": lambda: write_folder(tmp_path / "NATS-tss", *cells, protocol=2),
        "tar": lambda: write_tar(tmp_path / "NATS-tss.tar", folder),
        "file": lambda: tmp_path / "NATS-tss.pickle.pbz2",
    }[kind]()
    if kind == "file":
        write_pickle(path, single(*cells))
    table = read_archive(path, tmp_path / "work")
    api = topology(cells)
    compared = sum(assert_answers(table, api, index, TOPOLOGY) for index in cells[1])
    assert compared == 1_728
    assert list(table.datasets) == [
        f"{name}-{schedule}" for schedule in ("200", "12") for name in ("cifar10-valid", "cifar100", "imagenet16-120")
    ]


def test_every_value_of_a_size_archive_is_what_the_package_answers(widths, tmp_path, assert_answers):
    folder = write_folder(tmp_path / "NATS-sss-v1_0-50262-simple", *widths)
    table = read_archive(folder, tmp_path / "work")
    api = NATSsize(single(*widths), verbose=False)
    assert sum(assert_answers(table, api, index, SIZE) for index in widths[1]) == 1_872
    dataset = table.datasets["cifar10-valid-90"]
    assert (table.name, dataset.space.num_architectures, dataset.space.to_string(11)) == (
        "nats-sss",
        32_768,
        "8:8:8:16:32",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "schedules"),
    [("NATS-tss-v1_0-3ffb9-simple", NATStopology, ("12", "200")), ("NATS-sss-v1_0-50262-simple", NATSsize, SIZE)],
)
def test_every_value_of_the_genuine_archives(name, kind, schedules, genuine_archives, tmp_path, assert_answers):
    api = kind(str(genuine_archives / name), fast_mode=True, verbose=False)
    table = read_archive(genuine_archives / name, tmp_path)
    for index in (0, 11, 284):
        api._prepare_info(index)
    assert sum(assert_answers(table, api, index, schedules) for index in (0, 11, 284)) > 10_000
    for dataset in table.datasets.values():
        for metric, column in dataset.columns.items():
            on_grid = metric.endswith("_accuracy") and "train_accuracy" not in metric
            assert (column.metric.resolution is not None) == on_grid
    shutil.rmtree(tmp_path)  # several GB


def test_what_has_no_value_stays_missing(cells, folder, tmp_path):
    table = read_archive(folder, tmp_path)
    rows = [CELLS.from_string(cells[0][index]) for index in (7, 0, 19)]
    assert rows == [12, 19, 0]
    validation = table.column("cifar100-200", "val_accuracy").values
    assert validation.shape == (15_625, 4, 5)  # seeds 777, 888, 999, 111
    assert np.isnan(validation[rows[0], :, :-1]).all()
    assert list(np.isnan(validation[rows[0], :, -1])) == [False, False, True, True]
    assert np.isnan(np.delete(validation, rows, axis=0)).all()
    assert table.column("cifar100-200", "test_accuracy").values.shape == (15_625, 4, 1)
    assert table.column("cifar10-valid-200", "val_accuracy").values.shape == (15_625, 4, 5)


def test_roles_keep_the_test_from_strategies(folder, tmp_path):
    table = read_archive(folder, tmp_path)
    for dataset in table.datasets.values():
        metrics = [column.metric for column in dataset.columns.values()]
        assert all(metric.role == "test" for metric in metrics if "test" in metric.name or "trainval" in metric.name)
        assert [metric.name for metric in metrics if metric.role == "cost"] == ["train_cost_s"]
        assert next(metric.name for metric in metrics if metric.role == "search") == "val_accuracy"
        assert next(metric.name for metric in metrics if metric.role == "test") == "test_accuracy"


def test_wrong_sizes_are_mended_as_the_package_mends_them(official_results, tmp_path):
    names = cell_names(1)
    states = official_results(api_utils, 0, names[0], {"12": 2})
    for (_, seed), trial in states["12"]["all_results"].items():
        trial["params"], trial["flop"] = {777: (1.0, 8.0), 888: (2.0, 9.0), 999: (1.0, 9.0)}[seed]
    table = read_archive(write_folder(tmp_path / "a", names, {0: states}), tmp_path / "work")
    info = topology((names, {0: states})).get_cost_info(0, "cifar100", hp="12")
    for metric, expected in {"params_m": info["params"], "flops_m": info["flops"]}.items():
        assert (table.column("cifar100-12", metric).values[0, :, 0] == expected).all()


def test_a_schedule_can_be_left_out(folder, tmp_path):
    assert {name.rpartition("-")[2] for name in read_archive(folder, tmp_path, schedules=["12"]).datasets} == {"12"}
    assert set(read_archive(folder, tmp_path / "number", schedules=[12]).datasets) == {
        "cifar10-valid-12",
        "cifar100-12",
        "imagenet16-120-12",
    }


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_schedule_that_does_not_exist_is_refused_before_anything_is_read(kind, cells, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(records.RecordStore, "append", lambda *_: pytest.fail("nothing must be read"))
    path = folder if kind == "folder" else tmp_path / "NATS-tss.pickle.pbz2"
    if kind == "file":
        write_pickle(path, single(*cells))
    for schedules, message in (
        (["90"], "has the training schedules 12, 200, not 90"),
        (["12", "300", "x"], "has the training schedules 12, 200, not 300, x"),
        ("12", r"schedules is a list, e\.g\. \['12'\]"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            read_archive(path, tmp_path / "other", schedules=schedules)


class Interrupted(BaseException):
    """What a user's Ctrl-C is."""


@pytest.mark.parametrize("kind", fast_first(["tar", "folder", "file"]))
def test_reading_goes_on_where_it_was_interrupted(kind, cells, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_CHECKPOINT_EVERY", 2)
    path = folder if kind == "folder" else tmp_path / "archive"
    if kind == "tar":
        write_tar(path, folder)
    elif kind == "file":
        write_pickle(path, single(*cells))

    def interrupt(done, _):
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        read_archive(path, tmp_path / "work", progress=interrupt)
    assert records.RecordStore(tmp_path / "work", "").done == 0  # another archive's rows are not taken
    with pytest.raises(Interrupted):
        read_archive(path, tmp_path / "work", progress=interrupt)
    with next((tmp_path / "work").glob("200.*.rows")).open("ab") as file:
        file.write(b"half a row")
    appended = []
    monkeypatch.setattr(
        records.RecordStore, "append", lambda self, trials: appended.append(trials) or keep(self, trials)
    )
    resumed = read_archive(path, tmp_path / "work")
    assert len(appended) == 1
    fresh = read_archive(path, tmp_path / "fresh")
    for name, dataset in fresh.datasets.items():
        for metric, column in dataset.columns.items():
            np.testing.assert_array_equal(resumed.column(name, metric).values, column.values)


keep = records.RecordStore.append


@pytest.mark.thorough
def test_an_imported_archive_is_a_table_like_any_other(folder, cache):
    table = import_archive(folder, schedules=["12"])
    assert load_table("nats-tss").digest == table.digest
    assert sorted(path.name for path in (cache / "imported").iterdir()) == ["nats-tss"]
    assert table.provenance.version == "v1_0-3ffb9"
    assert "3 of 15,625 architectures" in table.provenance.source
    assert import_archive(folder, schedules=["12"]).digest == table.digest
    other = shutil.copytree(folder, folder.parent / "other")
    (other / "000019.pickle.pbz2").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records.RecordStore, "append", lambda *_: pytest.fail("it must be refused before it is read"))
        for path, schedules in ((folder, ()), (folder, ["200"]), (other, ["12"])):
            with pytest.raises(InvalidInputError, match="there is another table named nats-tss"):
                import_archive(path, schedules=schedules)
    assert import_archive(folder, replace=True).digest != table.digest


def test_a_refused_import_keeps_the_rows_that_were_read(folder, cache, monkeypatch):
    monkeypatch.setattr(records, "_CHECKPOINT_EVERY", 1)

    def interrupt(done, _):
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_archive(folder, schedules=["12"], progress=interrupt)
    (work,) = (cache / "imported").iterdir()
    kept = {path.name: path.read_bytes() for path in work.glob("*.rows")}
    assert kept
    monkeypatch.setattr(importer, "_check_free", Mock(side_effect=name_is_taken("nats-tss")))  # taken meanwhile
    with pytest.raises(InvalidInputError, match="there is another table named nats-tss"):
        import_archive(folder, schedules=["12"])
    assert {path.name: path.read_bytes() for path in work.glob("*.rows")} == kept
    with pytest.raises(InvalidInputError, match="there is another table named nats-tss"):
        import_archive(folder, schedules=["200"])  # nothing was read
    assert list((cache / "imported").iterdir()) == [work]


@pytest.mark.thorough
def test_the_package_of_an_object_decides_and_not_its_file(cells, cache):
    api = topology(cells)
    api.filename = "NAS-Bench-201-v1_1-096897.pth"
    table = table_from_api(api, schedules=[12])
    assert table.name == "nats-tss"
    assert table.provenance.source.startswith("NATS-Bench, topology search space, official API object of NAS-Bench-201")
    with pytest.raises(InvalidInputError, match="has the training schedules 12, 200, not 90"):
        table_from_api(api, schedules=["90"])


@pytest.mark.thorough
def test_a_folder_is_named_where_the_user_stands(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    provenance = read_archive(Path(), tmp_path / "work", schedules=["12"]).provenance
    assert (provenance.version, list(provenance.sha256)) == ("v1_0-3ffb9", ["NATS-tss-v1_0-3ffb9-simple"])
    assert "official archive NATS-tss-v1_0-3ffb9-simple with" in provenance.source


def test_a_damaged_archive_leaves_nothing_behind(folder, tmp_path, cache):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "000019.pickle.pbz2").write_bytes(b"BZh9 and nothing more")
    with pytest.raises(TableError, match="truncated or damaged"):
        import_archive(broken)
    assert not list((cache / "imported").iterdir())


def test_the_command_line_imports_an_archive(folder, cli, tmp_path):
    cached = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    done = cli("tables", "import", folder, "--schedules", "12", "--name", "tss", **cached)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tss-cifar100-12  (CIFAR-100, 3 epochs): 15,625 architectures" in done.stdout
    for arguments, message in {
        (folder, "--spec", "spec.toml", "--schedules", "12"): "--schedules goes with an official archive",
        (folder.parent,): "is no NATS-Bench archive",
        (folder / "nothing",): "No such file or directory",
        (folder, "--name", "nb201"): "table nb201 comes with an installed package",
        (folder, "--name", "A B"): "cannot name a table",
    }.items():
        failed = cli("tables", "import", *arguments, **cached)
        assert failed.returncode == 2
        assert message in failed.stderr
        assert failed.stderr.count("\n") == 1


def test_its_table_keeps_the_contract_of_tables(folder, tmp_path):
    table = read_archive(folder, tmp_path)
    contract = type("Archive", (TableContract,), {"make_table": lambda self: table})()
    findings = run_contract(contract)
    assert len(findings) >= 8
    assert [finding.failure for finding in findings if finding.failure] == []
