"""``tables adapt-device``: choosing the architectures to measure, and the column that is predicted from them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from nasbench_harness import Protocol, load_task, run
from nasbench_harness.cli import main
from nasbench_harness.devices.adapting import (
    adapt_device,
    choose_to_measure,
    device_names,
    quality_on_known_devices,
    sources_of,
    unit_of,
)
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.extending import with_columns
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Metric, MetricArray


def slow_latency(table):
    """A device of the future: each operation has a time of its own, and its scale is another one."""
    space = table.datasets["cifar10"].space
    hot = space.one_hot(np.arange(space.num_architectures)).reshape(-1, 6, 5)
    return 3.0 + hot.sum(axis=1) @ np.array([0.0, 0.5, 2.0, 9.0, 4.0])


@pytest.fixture
def measured(cache, tmp_path):
    """A CSV as a user fills it in: ten architectures, and their latencies on the new device."""
    table = load_table("nb201")
    rows = choose_to_measure(table, "cifar10", None, "phone_latency_ms", 10, 0)
    space, latency = table.datasets["cifar10"].space, slow_latency(table)
    lines = [f"{space.to_string(row)},{latency[row]:.3f}" for row in rows.tolist()]
    path = tmp_path / "phone.csv"
    path.write_text("\n".join(["architecture,phone_latency_ms", *lines]) + "\n", encoding="utf-8")
    return path


def test_devices_are_free_times_and_energies():
    assert device_names(load_table("nb201").datasets["cifar10"]) == ["latency_ms"]
    assert unit_of("watch_energy_mj") == "mJ"


def test_the_new_table_has_the_measured_and_the_predicted_column(measured):
    base = load_table("nb201")
    adapted = adapt_device(base, "cifar10", "phone_latency_ms", measured, cost_s=12.5, name="nb201-phone")
    columns = load_table("nb201-phone").datasets["cifar10"].columns
    assert (columns["phone_latency_ms"].metric.role, columns["predicted_phone_latency_ms"].metric.role) == (
        "hardware",
        "proxy",
    )
    assert np.isfinite(columns["phone_latency_ms"].values).sum() == 10
    predicted = columns["predicted_phone_latency_ms"]
    assert (predicted.metric.free, predicted.metric.cost_s, predicted.metric.unit) == (True, 12.5, "ms")
    truth = slow_latency(base)
    assert np.corrcoef(np.argsort(np.argsort(predicted.values[:, 0, 0])), np.argsort(np.argsort(truth)))[0, 1] > 0.9
    assert "phone_latency_ms predicted from 10 measurements and latency_ms" in adapted.table.provenance.source
    assert measured.name in adapted.table.provenance.sha256
    assert "predicted_phone_latency_ms" not in load_table("nb201-phone").datasets["cifar100"].columns


def test_a_predicted_column_is_an_objective_and_a_constraint(measured, tmp_path):
    adapt_device(load_table("nb201"), "cifar10", "phone_latency_ms", measured, cost_s=12.5, name="nb201-goal")
    goals = {"objectives": "val_accuracy,predicted_phone_latency_ms", "constraints": "predicted_phone_latency_ms<=q50"}
    problem = load_task("nb201-goal-cifar10").problem(Protocol(**goals))
    assert [objective.metric.name for objective in problem.objectives] == goals["objectives"].split(",")
    study = run(["random-search"], ["nb201-goal-cifar10"], seeds=3, evaluations=10, out=tmp_path / "study", **goals)
    assert "predicted_phone_latency_ms 12.5 s" in study.table().caption


def test_values_of_a_column_that_is_not_complete_are_used_without_a_file(cache):
    base = load_table("nb201")
    values = np.full(15_625, np.nan)
    values[:400:20] = slow_latency(base)[:400:20]
    metric = Metric("board_energy_mj", "mJ", "minimize", "hardware", free=True, cost_s=3.0)
    column = MetricArray(metric, values[:, None, None])
    sparse = register_table(with_columns(base, "cifar10", [column], "nb201-board", "made here"))
    adapted = adapt_device(sparse, "cifar10", "board_energy_mj", name="nb201-adapted")
    predicted = adapted.table.datasets["cifar10"].columns["predicted_board_energy_mj"].metric
    assert (predicted.unit, predicted.cost_s) == ("mJ", 3.0)


def test_the_check_on_known_devices_needs_two(cache, measured):
    base = load_table("nb201")
    assert adapt_device(base, "cifar10", "phone_latency_ms", measured, name="one").quality == {}
    other = MetricArray(
        Metric("tv_latency_ms", "ms", "minimize", "hardware", free=True), slow_latency(base)[:, None, None]
    )
    both = register_table(with_columns(base, "cifar10", [other], "nb201-tv", "made here"))
    quality = adapt_device(both, "cifar10", "phone_latency_ms", measured, name="two").quality
    assert list(quality) == ["latency_ms", "tv_latency_ms"]
    assert quality["tv_latency_ms"] > 0.9


def test_a_second_device_may_be_measured_on_the_same_architectures(cache, measured):
    """The first one has no values on which its own prediction could be judged, and no values to predict others from."""
    base = load_table("nb201")
    phone = adapt_device(base, "cifar10", "phone_latency_ms", measured, name="nb201-first-phone").table
    assert list(sources_of(phone, "cifar10", None, "pad_latency_ms")) == ["latency_ms"]
    both = ["latency_ms", "phone_latency_ms"]
    sources = sources_of(phone, "cifar10", both, "pad_latency_ms")
    rows = np.flatnonzero(~np.isnan(sources["phone_latency_ms"]))
    assert list(quality_on_known_devices(phone, "cifar10", sources, rows)) == ["latency_ms"]


def test_the_next_command_names_data_set_and_devices(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--column", "pad_ms", "--choose", "3", "--dataset", "cifar100", "--devices", "latency_ms"]
    done = CliRunner().invoke(main, ["tables", "adapt-device", "nb201", *options])
    command = "tables adapt-device nb201 pad_ms.csv --column pad_ms --dataset cifar100 --devices latency_ms"
    assert command in done.stdout


def test_a_declared_cost_survives_the_cache_and_changes_no_other_digest(cache, measured):
    base = load_table("nb201")
    digests = {
        cost: adapt_device(base, "cifar10", "phone_latency_ms", measured, cost_s=cost, name=f"t{number}").table.digest
        for number, cost in enumerate((None, 1.0))
    }
    assert digests[None] != digests[1.0]
    text = (load_table("t0").folder / "table.json").read_text(encoding="utf-8")
    assert "cost_s" not in text.replace("train_cost_s", "")


@pytest.mark.thorough
def test_the_command_chooses_then_predicts(cli, cache, tmp_path):
    done = cli("tables", "adapt-device", "nb201", "--column", "pad_ms", "--choose", 5)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "pad_ms.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "architecture,pad_ms"
    assert len(lines) == 6
    filled = [lines[0], *(f"{line}{number}.5" for number, line in enumerate(lines[1:], 1))]
    (tmp_path / "pad_ms.csv").write_text("\n".join(filled) + "\n", encoding="utf-8")
    done = cli("tables", "adapt-device", "nb201", "pad_ms.csv", "--column", "pad_ms", "--seconds", 7)
    assert done.returncode == 0, done.stderr
    assert "predicted_pad_ms (proxy, took 7.0 s)" in done.stdout
    info = cli("tables", "info", "nb201-pad_ms", "--json")
    metrics = {metric["name"]: metric for metric in json.loads(info.stdout)["tasks"]["nb201-pad_ms-cifar10"]["metrics"]}
    assert metrics["predicted_pad_ms"]["cost_s"] == 7.0


MISTAKES = [
    (["--column", "phone"], "end with the unit"),
    (["--column", "phone_ms", "--choose", "2"], "3 measured architectures or more"),
    (["--column", "phone_ms", "--choose", "99999"], "must lie in 1 … 15,625"),
    (["--column", "phone_ms"], "device 'phone_ms' in nb201-cifar10"),
    (["bad.csv", "--column", "phone_ms"], "is no number above 0"),
    (["unknown.csv", "--column", "phone_ms"], "is no architecture of the space"),
    (["twice.csv", "--column", "phone_ms"], "stands in line 2 already"),
    (["few.csv", "--column", "phone_ms"], "3 measured architectures or more, not 1"),
    (["few.csv", "--column", "phone_ms", "--devices", "latncy_ms"], "did you mean 'latency_ms'"),
    (["few.csv", "--column", "phone_ms", "--dataset", "cifar11"], "did you mean 'cifar10'"),
    (["few.csv", "--column", "phone_ms", "--choose", "5"], "--choose cannot be combined"),
    (["few.csv", "--column", "phone_ms", "--seconds", "-1"], "--seconds must be"),
    (["few.csv", "--column", "phone_ms", "--name", "nb201"], "comes with an installed package"),
    (["--column", "latency_ms", "--choose", "5"], "has a metric latency_ms already: name another column"),
    (["few.csv", "--column", "latency_ms"], "has a metric latency_ms already: leave FILE out"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(cache, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    texts = {"bad": f"{cell},-2", "unknown": "|conv~0|,2", "twice": f"{cell},2\n{cell},3", "few": f"{cell},2"}
    for name, text in texts.items():
        column = arguments[arguments.index("--column") + 1]
        (tmp_path / f"{name}.csv").write_text(f"architecture,{column}\n{text}\n", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(main, ["tables", "adapt-device", "nb201", *arguments])
    assert done.exit_code == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_exists_is_not_overwritten(cli, tmp_path):
    (tmp_path / "pad_ms.csv").write_text("mine", encoding="utf-8")
    done = cli("tables", "adapt-device", "nb201", "--column", "pad_ms", "--choose", 5)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (tmp_path / "pad_ms.csv").read_text(encoding="utf-8") == "mine"


def test_a_table_without_devices_is_refused(cache, tiny_table):
    with pytest.raises(InvalidInputError, match="has no other device"):
        choose_to_measure(tiny_table, "set", None, "phone_ms", 5, 0)
