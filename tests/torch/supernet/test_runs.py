"""Runs of the methods through the engine: charged seconds, recommendations, resuming, refusals."""

import dataclasses
import json

import numpy as np
import pytest
from kit.supernets import ToyImages, toy_data, toy_settings
from nasbench_strategies._models.weight_sharing import search as driver

from nasbench_harness import InvalidInputError, Protocol, load_task
from nasbench_harness.engine.batches import Rules, run_parts, run_seeds
from nasbench_harness.evaluation.run_files import RunFiles
from nasbench_harness.evaluation.status import Status
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.trainer.loop.devices import torch_device
from nasbench_harness.trainer.supernet import RunState, SharedWeights, settings_of
from nasbench_harness.trainer.supernet.costs import Passes, epoch_passes, epoch_seconds, pass_cost
from nasbench_harness.trainer.supernet.settings import METHODS

TASK = "nb201-cifar10"
BUDGET = 1_000.0


@pytest.fixture(autouse=True)
def toy_presets(monkeypatch):
    """Every preset has the toy's size."""

    def settings(preset, method, **changes):
        return toy_settings(method, preset, **{name: value for name, value in changes.items() if value is not None})

    monkeypatch.setattr(driver, "settings_of", settings)
    monkeypatch.setattr(driver, "fixed_cells", lambda number=9: tuple(range(number)))


def rules(seconds=BUDGET, **protocol):
    return Rules(Protocol(simulated_seconds=seconds, **protocol), 0, ToyImages())


def play(name, seconds=BUDGET, seed=0, files=None, task=TASK, **parameters):
    """Columns of a run's trace."""
    spec = resolve(StrategyRef(name, parameters=parameters))
    (part,) = run_parts(spec, load_task(task), rules(seconds), np.array([seed]), None, files)
    assert not part.failures, part.failures
    return {name: column.ravel() for name, column in part.batch.trace.columns().items()}


def same(first, second):
    return all(np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_is_progress_only_and_the_last_epochs_cell_is_reported(name):
    columns = play(name)
    assert set(columns["status"].tolist()) == {Status.PROGRESS}
    assert len(columns["status"]) == 2
    assert np.isnan(columns["value_val_accuracy"]).all()
    assert columns["recommended"][-1] >= 0


@pytest.mark.parametrize("name", METHODS)
def test_charged_seconds_are_passes_times_model(name, monkeypatch):
    """Counts the images that go through the network, forward and backward, by kind of pass."""
    joint, path = [0], [0]
    original = SharedWeights.loss

    def counted(self, batch, choices=None, weights=None):
        (path if choices is not None else joint)[0] += len(batch.labels)
        return original(self, batch, choices, weights)

    measured = SharedWeights.accuracies

    def judged(self, cells, images_of, batch_size):
        path[0] += sum(len(images_of(position)) for position in range(len(cells))) / 3
        return measured(self, cells, images_of, batch_size)

    monkeypatch.setattr(SharedWeights, "loss", counted)
    monkeypatch.setattr(SharedWeights, "accuracies", judged)
    monkeypatch.setattr(driver, "ranked_accuracies", lambda *_: np.zeros(3))  # reports pay nothing
    columns = play(name, epochs=1)
    cost = pass_cost(TASK, settings_of("demo-cpu", name), toy_data())
    assert columns["cost_s"].sum() == pytest.approx(cost.joint_s * joint[0] + cost.path_s * path[0])


def test_the_table_in_its_own_currency():
    settings, data = settings_of("nb201-official", "gdas"), dataclasses.replace(toy_data(), name="cifar")
    cost = pass_cost(TASK, settings, data)
    assert 25_000 * cost.joint_s == pytest.approx(31.5, abs=0.01)
    assert 25_000 * cost.path_s == pytest.approx(9.14, abs=0.005)
    with pytest.raises(InvalidInputError, match="task graph-cora has no cost model for supernets"):
        pass_cost("graph-cora", settings, data)


def test_the_linear_model_fits_the_tables_times():
    """Seconds of a path of one operation everywhere against the table's cells, whatever their place."""
    task = load_task(TASK)
    stored = np.nanmean(task.table.metrics("cifar10", "cost")[0].values[:, :, 0], axis=1) / 200
    shares = {0: 0.0, 1: -0.189, 2: 1.733, 3: 2.283, 4: 0.832}
    keys = [task.space.to_key(index) for index in range(15_625)]
    modeled = np.array([3.549 + sum(shares[int(digit)] for digit in key) for key in keys])
    residual = stored - modeled
    assert 1 - residual.var() / stored.var() > 0.99
    assert abs(residual.mean()) < 0.05


@pytest.mark.parametrize(("dataset", "num_images"), [("cifar100", 50_000), ("imagenet16-120", 151_700)])
def test_an_image_costs_the_same_on_every_data_set(dataset, num_images):
    """The table's epochs differ by their number of images alone, so the images of a search are not charged twice."""
    settings, data = settings_of("nb201-official", "gdas"), toy_data()
    seconds = {
        name: load_task(f"nb201-{name}").table.metrics(name, "cost")[0].values[:, :, 0] for name in ("cifar10", dataset)
    }
    ratios = seconds[dataset] / seconds["cifar10"]
    assert ratios[np.isfinite(ratios)] == pytest.approx(num_images / 25_000)
    assert pass_cost(f"nb201-{dataset}", settings, data) == pass_cost(TASK, settings, data)


@pytest.mark.parametrize("task", ["nb201-cifar100", "nb201-imagenet16-120"])
def test_a_search_is_charged_its_images_and_not_those_of_the_data_set(task):
    columns = {name: play("rsps", epochs=1, task=name)["cost_s"].tolist() for name in (TASK, task)}
    assert columns[task] == columns[TASK]


def test_a_task_of_the_trainer_has_the_trainers_cost():
    from nasbench_harness.trainer.networks.structure import structure_of

    settings, data = settings_of("demo-cpu", "gdas"), toy_data()
    cost = pass_cost("trained-animals8", settings, data)
    space = load_task(TASK).space
    flops = [
        structure_of(space.to_string(index), 1, 8, 1, 4).flops(8)
        for index in np.random.default_rng(0).choice(15_625, 2_000, replace=False).tolist()
    ]
    assert cost.path_s == pytest.approx(3 * np.mean(flops) / 1e10, rel=0.02)
    assert cost.joint_s > 3 * max(flops) / 1e10


def test_passes_of_each_method():
    data = toy_data()  # 24 images in each half
    settings = toy_settings("enas")
    forward = 2 * 3 * 6
    judged = 5 * 12
    expected = {
        "darts-first": Passes(48, 0),
        "darts-second": Passes(120, 0),
        "gdas": Passes(0, 48),
        "rsps": Passes(0, 24 + judged / 3),
        "setn": Passes(24, 24 + judged / 3),
        "enas": Passes(0, 24 + forward / 3 + judged / 3),
    }
    assert {name: epoch_passes(name, settings, data, True) for name in METHODS} == expected
    assert epoch_passes("rsps", settings, data, False) == Passes(0, 24)
    paper = dataclasses.replace(settings, gradient="paper")
    assert epoch_passes("gdas", paper, data, True) == Passes(24, 24)


def test_published_seconds_are_those_of_the_papers_setting():
    data = toy_data()
    official = settings_of("nb201-official", "darts-first")
    assert 50 * epoch_seconds("published", "darts-first", TASK, official, data, True) == pytest.approx(10_889.87)
    with pytest.raises(InvalidInputError, match="seconds are known for darts-first, darts-second, gdas, enas"):
        epoch_seconds("published", "rsps", TASK, settings_of("nb201-official", "rsps"), data, True)
    with pytest.raises(InvalidInputError, match="not for darts-first under demo-cpu"):
        epoch_seconds("published", "darts-first", TASK, settings_of("demo-cpu", "darts-first"), data, True)


@pytest.mark.parametrize("name", METHODS)
def test_the_oracle_is_never_asked(name, monkeypatch):
    from nasbench_harness.evaluation.oracle import TableOracle

    def refuse(*_):
        raise AssertionError("a supernet asked the table")

    monkeypatch.setattr(TableOracle, "evaluate", refuse)
    assert play(name)["recommended"][-1] >= 0


def test_the_last_cell_is_reported_and_not_the_best(monkeypatch):
    """A planted sequence of cells whose best comes first."""
    from nasbench_strategies.weight_sharing.darts_first import FirstOrder

    cells = [(3, 3, 3, 3, 3, 3), (0, 0, 0, 0, 0, 0)]
    monkeypatch.setattr(FirstOrder, "derive", lambda self, epoch: cells[epoch])
    space = load_task(TASK).space
    recommended = play("darts-first")["recommended"].tolist()
    assert recommended == [space.from_key("333333"), space.from_key("000000")]


def test_only_whole_epochs_are_trained():
    whole = play("gdas", epochs=2)
    per_epoch = float(whole["cost_s"][0])
    assert len(play("gdas", seconds=1.5 * per_epoch, epochs=2)["cost_s"]) == 1
    cut = play("rsps", seconds=BUDGET, epochs=1)
    assert cut["recommended"][-1] >= 0


def test_the_last_epoch_in_the_budget_is_judged():
    """Judging is planned: a budget that ends between two judgments still ends with one."""

    def cost(derives):
        return epoch_seconds("table-linear", "rsps", TASK, toy_settings("rsps", judge_every=10), toy_data(), derives)

    from nasbench_strategies._models.weight_sharing.search import _planned

    problem = load_task(TASK).under(Protocol(simulated_seconds=2 * cost(False) + cost(True) + 0.5 * cost(False)))
    view = problem.problem().with_training(toy_data())
    from nasbench_strategies.weight_sharing.rsps import RandomSharing

    seconds = _planned(view, RandomSharing, toy_settings("rsps", judge_every=10, epochs=20), "table-linear")
    assert seconds == pytest.approx([cost(False), cost(False), cost(True)])


@pytest.mark.parametrize(
    ("name", "parameters", "task", "protocol", "message"),
    [
        ("gdas", {}, TASK, {"simulated_seconds": 1e-6}, "gdas: 1e-06 simulated seconds are less than the"),
        ("gdas", {}, TASK, {"evaluations": 10}, "gdas spends simulated seconds and evaluates nothing"),
        ("gdas", {}, f"{TASK}@without=none", {"simulated_seconds": 9.0}, "whole space of NAS-Bench-201 cells"),
        ("gdas", {"cost_model": "real"}, TASK, {"simulated_seconds": 9.0}, "unknown cost_model 'real'"),
        ("gdas", {"preset": "official"}, TASK, {"simulated_seconds": 9.0}, "unknown preset 'official'"),
        ("gdas", {"gradient": "true"}, TASK, {"simulated_seconds": 9.0}, "unknown gradient 'true'"),
        ("gdas", {"epochs": -1}, TASK, {"simulated_seconds": 9.0}, "epochs must be at least 1, not -1"),
    ],
)
def test_what_cannot_run_is_refused_before_any_run(name, parameters, task, protocol, message):
    spec = resolve(StrategyRef(name, parameters=parameters))
    with pytest.raises(InvalidInputError, match=message):
        run_seeds(spec, load_task(task), Rules(Protocol(**protocol), 0, ToyImages()), np.arange(1))


def test_training_data_must_be_there_and_fit():
    spec = resolve(StrategyRef("gdas"))
    with pytest.raises(InvalidInputError, match="gdas needs training data, and the study has none: name images with"):
        run_seeds(spec, load_task(TASK), Rules(Protocol(simulated_seconds=9.0), 0), np.arange(1))
    images = ToyImages()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyImages, "refusal", lambda self, task: f"{task} knows them")
        with pytest.raises(InvalidInputError, match="needs other training data: nb201-cifar10 knows them"):
            run_seeds(spec, load_task(TASK), Rules(Protocol(simulated_seconds=9.0), 0, images), np.arange(1))


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_was_stopped_continues_with_the_same_rows_and_notes(name, tmp_path, monkeypatch):
    whole = RunFiles(tmp_path / "a", tmp_path / "whole.json")
    expected = play(name, files=lambda _: whole)
    stopped = RunFiles(tmp_path / "b", tmp_path / "stopped.json")

    original, trained = driver._Run._trained, []

    def dies_in_the_second(self, epoch, before):
        trained.append(epoch)
        if len(trained) == 2:
            raise KeyboardInterrupt  # any other error would cost the run
        return original(self, epoch, before)

    monkeypatch.setattr(driver._Run, "_trained", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        play(name, files=lambda _: stopped)
    assert play(name, files=lambda _: stopped)["recommended"].tolist() == expected["recommended"].tolist()
    assert trained == [0, 1, 1]
    assert same(play(name, files=lambda _: stopped), expected)
    assert whole.notes.read_bytes() == stopped.notes.read_bytes()


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize(("place", "name"), [(RunFiles, "note"), (RunState, "write")])
def test_a_kill_between_notes_and_state_of_the_last_epoch_loses_no_notes(place, name, epochs, tmp_path, monkeypatch):
    whole, stopped = (RunFiles(tmp_path / which, tmp_path / f"{which}.json") for which in ("whole", "stopped"))
    play("rsps", files=lambda _: whole, epochs=epochs)
    original, calls = getattr(place, name), []

    def dies_before_the_last(self, content):
        calls.append(name)
        if len(calls) == epochs:
            raise KeyboardInterrupt
        original(self, content)

    monkeypatch.setattr(place, name, dies_before_the_last)
    with pytest.raises(KeyboardInterrupt):
        play("rsps", files=lambda _: stopped, epochs=epochs)
    play("rsps", files=lambda _: stopped, epochs=epochs)
    assert stopped.notes.read_bytes() == whole.notes.read_bytes()


def test_a_state_of_other_settings_or_a_damaged_one_is_ignored(tmp_path):
    files = RunFiles(tmp_path / "states", tmp_path / "notes.json")
    first = play("darts-first", files=lambda _: files)
    (path,) = (tmp_path / "states").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert same(play("darts-first", files=lambda _: files), first)
    play("darts-first", files=lambda _: files, epochs=1)
    assert same(play("darts-first", files=lambda _: files), first)


def test_notes_hold_the_trace_of_the_search(tmp_path):
    files = RunFiles(tmp_path / "states", tmp_path / "notes.json")
    columns = play("gdas", files=lambda _: files)
    notes = json.loads(files.notes.read_text())
    assert (notes["data"], notes["halves"], notes["device"]) == ("toy", "source", str(torch_device("auto")))
    assert [epoch["architecture"] for epoch in notes["epochs"]] == columns["recommended"].tolist()
    assert [epoch["cost_s"] for epoch in notes["epochs"]] == columns["cost_s"].tolist()
    assert np.array(notes["epochs"][0]["alpha"]).shape == (6, 5)
    assert np.allclose(np.array(notes["epochs"][1]["alpha"]).sum(1), 1)
    assert 0 <= notes["epochs"][0]["median_accuracy"] <= 100
    assert len(notes["ranking"]["architectures"]) == len(notes["ranking"]["accuracies"])


def test_runs_differ_by_seed_and_are_equal_twice():
    first = play("rsps", seed=0)
    assert same(first, play("rsps", seed=0))
    assert not same(first, play("rsps", seed=1))
