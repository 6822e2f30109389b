"""Supernets in a study: command line, identity, resuming after a kill, workers, the official presets on CIFAR-10."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from kit.supernets import write_cifar
from nasbench_strategies._models.weight_sharing import search as driver

from nasbench_harness import Protocol, compare, load_task, open_study
from nasbench_harness.engine.batches import Rules, run_parts
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.trainer.supernet import halved_images, settings_of
from nasbench_harness.trainer.supernet.settings import METHODS

SEARCH = "darts-first(epochs=2)"


def write_images(path, shift=0, number=32):
    """Images of 8 × 8 pixels whose brightness tells the class."""
    rng = np.random.default_rng(shift)
    arrays = {}
    for part in ("train", "valid"):
        labels = np.arange(number) % 4
        images = rng.integers(0, 120, (number, 8, 8)) + 40 * labels[:, None, None]
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return path


def small(folder, data, strategies=(SEARCH,), **options):
    options = {"simulated_seconds": 3_000.0, "overrun": "count", "seeds": 2, **options}
    return compare(["random-search", *strategies], ["nb201-cifar10"], out=folder, data_dir=data, **options)


def files(folder, inner):
    """Content of all files of a part of a study, by name."""
    base = folder / inner
    return {str(path.relative_to(base)): path.read_bytes() for path in sorted(base.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "toy.npz")


@pytest.fixture(scope="module")
def study(tmp_path_factory, data):
    return small(tmp_path_factory.mktemp("study") / "s", data)


def test_a_supernet_beside_random_search(study):
    frame = study.frame()
    searched = frame[frame.strategy == SEARCH]
    assert searched.evaluations.tolist() == [0, 0]
    assert (searched.architecture >= 0).all()
    assert (searched.simulated_s > 0).all()
    assert (frame[frame.strategy == "random-search"].evaluations > 0).all()
    assert not (study.path / "states").exists()
    assert len(files(study.path, "notes")) == 2
    report = files(study.path, "report")
    assert report["supernets.csv"].count(b"\nstrategies,nb201-cifar10,darts-first") == 2
    assert report["supernet_epochs.csv"].count(b"\nstrategies,nb201-cifar10,darts-first") == 4


def test_the_record_names_the_images(study, data):
    record = open_study(study.path).record
    assert record.images.strategies == (SEARCH,)
    assert record.images.digest == halved_images(None, data).digest
    assert record.data_of("random-search") == ""
    assert "--data npz --data-dir DIR" in study.command


def test_the_study_file_repeats_the_study(study, data, cli):
    done = cli("compare", "--config", study.path / "study.toml", "--data-dir", data, "--out", study.path)
    assert done.returncode == 0, done.stderr
    assert "nothing to run; 4 runs were there already" in done.stdout


def test_other_images_are_another_identity(tmp_path, data):
    first = small(tmp_path / "s", data, seeds=1)
    names = set(os.listdir(tmp_path / "s" / "runs" / "nb201-cifar10"))
    second = small(tmp_path / "s", write_images(tmp_path / "other.npz", shift=1), seeds=1)
    added = set(os.listdir(tmp_path / "s" / "runs" / "nb201-cifar10")) - names
    assert len(added) == 1
    assert added.pop().startswith("darts-first-")
    assert first.record.images != second.record.images


def test_processes_change_no_byte(tmp_path, study, data):
    parallel = small(tmp_path / "s", data, jobs=2)
    for part in ("runs", "notes", "report"):
        assert files(study.path, part) == files(parallel.path, part), part


def test_a_killed_search_continues_with_the_same_bytes(tmp_path, data):
    """Killed when the first epoch of its first seed was saved."""
    strategy = "darts-first(epochs=6)"
    options = "simulated_seconds=3_000.0, overrun='count', seeds=1"
    code = (
        "import sys; from nasbench_harness import compare; "
        f"compare([{strategy!r}], ['nb201-cifar10'], out=sys.argv[1], data_dir={str(data)!r}, {options})"
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(killed)])
    while not list(killed.glob("states/*/*.state")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(killed.glob("runs/*/*/*.parquet"))
    for folder in (killed, tmp_path / "whole"):
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    for part in ("runs", "notes", "report"):
        assert files(killed, part) == files(tmp_path / "whole", part), part
    assert not (killed / "states").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--simulated-seconds", "900"), "strategy gdas needs training data, and the study has none: name images with"),
        (("--simulated-seconds", "900", "--data", "animals6"), "unknown data 'animals6': did you mean 'animals16'"),
        (("--simulated-seconds", "900", "--split", "x"), "--split names halves of training data"),
        (("--data", "animals8"), "gdas spends simulated seconds and evaluates nothing: set simulated_seconds"),
        (("--simulated-seconds", "0.5", "--data", "animals8"), "gdas: 0.5 simulated seconds are less than the"),
        (
            ("--simulated-seconds", "900", "--data", "animals16", "--tasks", "trained-animals8"),
            "data animals16 hold images that task trained-animals8 measures with: use --data animals8",
        ),
        (("--simulated-seconds", "900", "--data", "animals8", "--workers", "2"), "gdas is a generator"),
    ],
)
def test_a_mistake_gets_one_line_and_changes_nothing(cli, tmp_path, arguments, message):
    tasks = () if "--tasks" in arguments else ("--tasks", "nb201-cifar10")
    done = cli("compare", "--strategies", "gdas", *tasks, *arguments, "--out", "s")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "s").exists()


def test_families_choose_supernets_if_there_are_images(data):
    from nasbench_harness.studies.choosing import usable_strategies

    protocol, names = Protocol(simulated_seconds=3_000.0), ["nb201-cifar10"]
    entries, left_out = usable_strategies(["weight-sharing"], names, protocol, halved_images(None, data))
    assert sorted(entry.use for entry in entries) == sorted(METHODS)
    assert not left_out


@pytest.mark.parametrize("preset", ["nb201-official", "nats-official"])
@pytest.mark.parametrize("name", METHODS)
def test_the_official_presets_run_one_epoch_on_a_cifar_folder(name, preset, tmp_path, monkeypatch):
    """The published network and batches; fewer candidates, samples and ranked cells."""

    def settings(preset, method, **changes):
        small = {"num_judged": 2, "controller_updates": 1, "controller_samples": 2}
        return settings_of(preset, method, **{**changes, **small})

    monkeypatch.setattr(driver, "settings_of", settings)
    monkeypatch.setattr(driver, "fixed_cells", lambda number=2: tuple(range(2)))
    images = halved_images("cifar10", write_cifar(tmp_path))
    assert images.load().weight_images.shape == (25, 3, 32, 32)
    spec = resolve(StrategyRef(name, parameters={"preset": preset, "epochs": 1}))
    rules = Rules(Protocol(simulated_seconds=20_000.0), 0, images)
    (part,) = run_parts(spec, load_task("nb201-cifar10"), rules, np.arange(1))
    assert not part.failures
    assert part.batch.trace.columns()["recommended"].ravel()[-1] >= 0


def test_presets_are_the_published_settings():
    official = settings_of("nb201-official", "gdas")
    assert (official.epochs, official.num_cells, official.channels, official.batch_size) == (250, 5, 16, 64)
    assert (official.learning_rate, official.final_rate, official.weight_decay) == (0.025, 0.001, 5e-4)
    assert (official.alpha_rate, official.alpha_betas, official.alpha_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert official.normalization == "running"
    darts = settings_of("nb201-official", "darts-second")
    assert (darts.epochs, darts.gradient_clip, darts.alpha_first) == (50, 5.0, True)
    enas = settings_of("nb201-official", "enas")
    assert (enas.learning_rate, enas.final_rate, enas.rate_period, enas.batch_size) == (0.05, 5e-4, 10, 128)
    assert (enas.weight_decay, enas.alpha_betas, enas.alpha_epsilon, enas.baseline) == (
        2.5e-4,
        (0.0, 0.999),
        1e-3,
        "frozen",
    )
    for name in METHODS:
        newer = settings_of("nats-official", name)
        assert (newer.epochs, newer.normalization, newer.gradient_clip, newer.alpha_first) == (100, "batch", 0.0, False)
        assert newer.draw_per_cell == (name == "rsps")
        assert (newer.batch_size, newer.weight_decay, newer.alpha_betas) == (64, 5e-4, (0.5, 0.999))
        assert settings_of("nb201-official", name).judging == "different"
        assert settings_of("demo-cpu", name).judging == "same"
    newer = settings_of("nats-official", "enas")
    assert (newer.alpha_rate, newer.alpha_epsilon, newer.alpha_decay) == (1e-3, 1e-3, 0.0)
    presets = ("nb201-official", "nats-official", "demo-cpu")
    assert [settings_of(preset, "enas").reward_images for preset in presets] == [128, 512, 64]


def test_the_rate_of_enas_rises_again():
    enas = settings_of("nb201-official", "enas")
    rates = [enas.rate(epoch, 1) for epoch in range(21)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[10] == pytest.approx(5e-4)
    assert rates[20] == pytest.approx(0.05)
    assert rates[5] == pytest.approx(rates[15])


def test_notes_are_json_without_nan(study):
    for content in files(study.path, "notes").values():
        notes = json.loads(content)
        assert len(notes["epochs"]) == 2
        assert len(notes["ranking"]["accuracies"]) == 100
