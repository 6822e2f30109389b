"""``tables measure``: latencies of a table's networks on this machine."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kit.cells import RULES, write_parts

from nasbench_harness.cli import main
from nasbench_harness.devices import measuring
from nasbench_harness.devices.measured_tables import measure_table
from nasbench_harness.devices.measuring import Networks, Timing, measure
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.trained_cells import read_table
from nasbench_harness.trainer.assembling import assemble, table_file
from nasbench_harness.trainer.recipe import recipe_of

SMALL = {"recipe": "animals8-1", "rounds": 2, "repeats": 3, "warm_up": 1}
CELLS = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        load_table.cache_clear()
        yield
        load_table.cache_clear()


def networks(names=CELLS, recipe="animals8-1"):
    return Networks(names, recipe_of(recipe), num_classes=10, side=32)


def test_a_cell_of_convolutions_takes_longer_than_an_empty_one(tmp_path):
    found = measure(networks(), "cpu", Timing(2, 5, 1), tmp_path / "journal.jsonl", {})
    assert found.latency_ms.shape == (2,)
    assert found.latency_ms[1] > 1.3 * found.latency_ms[0] > 0
    assert found.device.endswith("one thread")
    assert 0 < found.latency_ms.sum() / 1e3 < found.seconds


def test_the_official_size_is_the_published_network():
    with torch.inference_mode():
        network = networks(recipe="nb201-200").build(CELLS[1], torch.device("cpu"))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_531_546  # the table's params_m
    assert not network.training


def test_rounds_are_interleaved_and_every_visit_is_kept(tmp_path):
    path = tmp_path / "journal.jsonl"
    measure(networks(CELLS), "cpu", Timing(3, 2, 0), path, {"table": "x"})
    first, *visits = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (first["settings"]["table"], first["settings"]["repeats"]) == ("x", 2)
    assert [visit["round"] for visit in visits] == [0, 0, 1, 1, 2, 2]
    assert all(len(visit["ns"]) == 2 for visit in visits)


def test_a_killed_command_continues_after_its_last_visit(tmp_path, monkeypatch):
    path, calls = tmp_path / "journal.jsonl", []
    whole = measuring._visit

    def dying(*arguments):
        calls.append(arguments[1])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(measuring, "_visit", dying)
    with pytest.raises(KeyboardInterrupt):
        measure(networks(), "cpu", Timing(2, 2, 0), path, {})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"round":1,"net')  # a line that was being written
    measure(networks(), "cpu", Timing(2, 2, 0), path, {})
    assert len(calls) == (1 + 2 + 1) + (1 + 2)  # each start repeats its first visit, whose times are dropped
    again = measure(networks(), "cpu", Timing(2, 2, 0), path, {})
    assert len(calls) == 7
    assert again.latency_ms.min() > 0


def test_the_first_times_of_a_process_are_dropped(tmp_path, monkeypatch):
    clock = iter(range(1, 99))
    monkeypatch.setattr(measuring, "_visit", lambda *_: [next(clock)])
    measure(networks(), "cpu", Timing(2, 1, 0), tmp_path / "journal.jsonl", {})
    _, *visits = map(json.loads, (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    assert [visit["ns"] for visit in visits] == [[2], [3], [4], [5]]


def test_a_journal_of_other_code_is_refused(tmp_path, monkeypatch):
    measure(networks(), "cpu", Timing(1, 2, 0), tmp_path / "journal.jsonl", {})
    monkeypatch.setattr(measuring, "_code_digest", lambda: "0" * 64)
    with pytest.raises(InvalidInputError, match=r"belongs to other settings \(code\)"):
        measure(networks(), "cpu", Timing(1, 2, 0), tmp_path / "journal.jsonl", {})


def test_the_digest_of_the_code_follows_the_networks(tmp_path, monkeypatch):
    (tmp_path / "cells.py").write_text("one", encoding="utf-8")
    monkeypatch.setattr(measuring.package, "__file__", str(tmp_path / "__init__.py"))
    before = measuring._code_digest()
    (tmp_path / "cells.py").write_text("two", encoding="utf-8")
    assert measuring._code_digest() != before


@pytest.mark.parametrize(
    "change",
    [
        lambda path: measure(networks(), "cpu", Timing(2, 3, 0), path, {}),
        lambda path: measure(networks(CELLS[:1]), "cpu", Timing(2, 2, 0), path, {}),
        lambda path: measure(networks(), "cpu", Timing(2, 2, 0), path, {"table": "another"}),
    ],
    ids=["repeats", "networks", "table"],
)
def test_a_journal_of_other_settings_is_refused(tmp_path, change):
    path = tmp_path / "journal.jsonl"
    measure(networks(), "cpu", Timing(2, 2, 0), path, {})
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="belongs to other settings"):
        change(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line", ["{}", '{"round":0,"network":9,"ns":[1,1],"seconds":1}', '{"round":0,"network":0,"ns":[1]}', "x"]
)
def test_a_damaged_journal_is_refused(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    measure(networks(), "cpu", Timing(2, 2, 0), path, {})
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(InvalidInputError, match="is damaged"):
        measure(networks(), "cpu", Timing(2, 2, 0), path, {})


def test_the_table_gets_the_measured_column_and_with_predict_the_rest(tmp_path):
    out = tmp_path / "j.jsonl"
    found = measure_table("nb201", count=4, out=out, name="nb201-here", **SMALL)
    columns = load_table("nb201-here").datasets["cifar10"].columns
    values = columns["latency_cpu_ms"].values[:, 0, 0]
    assert np.isfinite(values).sum() == found.num_measured == 4
    assert (columns["latency_cpu_ms"].metric.role, columns["latency_cpu_ms"].metric.cost_s) == (
        "hardware",
        found.seconds,
    )
    assert "predicted_latency_cpu_ms" not in columns
    assert "images 32 × 32, batch 1, median of 2 × 3 passes" in found.table.provenance.source
    predicted = measure_table("nb201", count=4, out=out, name="nb201-all", predict=True, **SMALL).table
    assert "predicted_latency_cpu_ms predicted from these" in predicted.provenance.source
    columns = predicted.datasets["cifar10"].columns
    np.testing.assert_array_equal(columns["latency_cpu_ms"].values[:, 0, 0], values)  # from the journal
    assert columns["predicted_latency_cpu_ms"].metric.role == "proxy"
    assert (columns["predicted_latency_cpu_ms"].values > 0).all()


def test_a_taken_name_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    options = {"architectures": "7,8", "out": tmp_path / "j.jsonl", **SMALL}
    measure_table("nb201", name="nb201-mine", **options)
    assert measure_table("nb201", name="nb201-mine", **options).table.name == "nb201-mine"  # the same command again
    monkeypatch.setattr(measuring, "_visit", lambda *_: pytest.fail("it is measured"))
    text = (tmp_path / "j.jsonl").read_text(encoding="utf-8")
    (tmp_path / "j.jsonl").write_text(text[: text.rindex("{")], encoding="utf-8")  # another command was interrupted
    with pytest.raises(InvalidInputError, match="there is a table named nb201-mine already"):
        measure_table("nb201", name="nb201-mine", **options)


def test_the_data_set_gives_the_size_of_images(tmp_path):
    out = tmp_path / "j.jsonl"
    options = {"architectures": "7,8", "dataset": "imagenet16-120", "out": out, "name": "nb201-small"}
    table = measure_table("nb201", **options, **SMALL).table
    assert "images 16 × 16" in table.provenance.source
    settings = json.loads(out.read_text(encoding="utf-8").splitlines()[0])["settings"]
    assert (settings["num_classes"], settings["side"]) == (120, 16)
    assert np.flatnonzero(np.isfinite(table.column("imagenet16-120", "latency_cpu_ms").values)).tolist() == [7, 8]


@pytest.mark.thorough
def test_a_table_of_small_images_is_measured_on_small_images(tmp_path):
    """The networks of the table's own recipe have one channel of 8 × 8 pixels."""
    write_parts(tmp_path)
    assemble(tmp_path, RULES)
    register_table(read_table(table_file(tmp_path), "mine"))
    out = tmp_path / "j.jsonl"
    found = measure_table("mine", architectures="7,8", out=out, name="mine-here", **SMALL)
    assert "images 8 × 8 in gray, batch 1" in found.table.provenance.source
    settings = json.loads(out.read_text(encoding="utf-8").splitlines()[0])["settings"]
    assert (settings["side"], settings["image_channels"], settings["num_classes"]) == (8, 1, 10)


MISTAKES = [
    (["--device", "tpu"], "unknown device 'tpu'"),
    (["--device", "cpu", "--dataset", "cifar11"], "did you mean 'cifar10'"),
    (["--device", "cpu", "--count", "0"], "must lie in 1 … 15,625"),
    (["--device", "cpu", "--count", "3", "--architectures", "1,2"], "not both"),
    (["--device", "cpu", "--architectures", "1,1"], "different indices"),
    (["--device", "cpu", "--architectures", "15625"], "no result of the architecture 15625"),
    (["--device", "cpu", "--rounds", "0"], "rounds must lie in 1 … 100,000"),
    (["--device", "cpu", "--recipe", "nats-sss-90", "--count", "3"], "is about widths"),
    (["--device", "cpu", "--column", "latency_s"], "must end with _ms"),
    (["--device", "cpu", "--column", "latency_ms"], "has a metric latency_ms already"),
    (["--device", "cpu", "--name", "nb201"], "comes with an installed package"),
    (["--device", "cpu", "--count", "2", "--predict"], "--predict needs 3"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["tables", "measure", "nb201", *arguments])
    assert done.exit_code == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_table_of_other_networks_is_refused():
    done = CliRunner().invoke(main, ["tables", "measure", "graph", "--device", "cpu"])
    assert done.exit_code == 2
    assert "cannot be trained" in done.stderr


def test_the_command_prints_the_device_and_the_spread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--device",
        "cpu",
        "--architectures",
        "1,2,3",
        "--recipe",
        "animals8-1",
        "--rounds",
        "2",
        "--repeats",
        "2",
    ]
    done = CliRunner().invoke(main, ["tables", "measure", "nb201", *arguments, "--name", "nb201-told", "--json"])
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["name"] == "nb201-told"
    assert record["seconds"] > 0
    assert "one thread" in record["device"]
